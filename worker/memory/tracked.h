/* The one allocator of large buffers: it knows what stands in memory, who asked for it, in which
 * stage, and what stood there when the most did.
 *
 * Everything above 64 KiB in the worker comes from here (OpenCV's Mats included, through the
 * bridge). Safe from several threads. The stage is the process's, set by the pipeline.
 */
#ifndef WORKER_MEMORY_TRACKED_H
#define WORKER_MEMORY_TRACKED_H

#include "common/failure.h"

#include <stddef.h>
#include <stdint.h>

enum { TRACKED_MAX_LABELS = 64 };

/* Zeroed memory for count elements of size bytes, 64-byte aligned; NULL when the product overflows,
 * the budget would be exceeded or the machine has no more. label: a string literal, "tile cache".
 */
void *tracked_alloc(size_t count, size_t size, const char *label);
void tracked_free(void *buffer); /* NULL is fine */

static inline void tracked_cleanup(void *slot) { tracked_free(*(void **)slot); }
#define CLEANUP_TRACKED CLEANUP(tracked_cleanup)

/* What all buffers together may take. 0: no limit (the default). */
void tracked_set_budget(uint64_t bytes);
void tracked_set_stage(const char *stage); /* a string literal */
uint64_t tracked_budget(void);
uint64_t tracked_now(void);

struct tracked_peak {
    uint64_t bytes;
    const char *stage;
    size_t n_buffers; /* summed per label, largest first */
    struct {
        const char *label;
        uint64_t bytes;
    } buffers[TRACKED_MAX_LABELS];
};
void tracked_get_peak(struct tracked_peak *ret);
/* From now on rose is called whenever the high-water mark has risen clearly since the last call of
 * it: by 4 MiB and by a twentieth, so some hundred times in a process's life at most. It is called
 * by the thread that allocates, before the memory can be touched, and must not allocate here
 * itself. NULL ends it. Borrows context. */
typedef void (*tracked_rose_cb)(void *context);
void tracked_watch(tracked_rose_cb rose, void *context);
/* The high-water mark since the last call of this function: a stage's own peak. */
uint64_t tracked_take_stage_peak(void);

#endif
