/* Renders a canvas's tiles in threads, compresses them there, and hands them to the writers in the
 * order of the walk: so a file's bytes do not depend on the threads, and what is finished is always
 * the beginning of the walk.
 */
#ifndef WORKER_OUTPUT_PAINTER_H
#define WORKER_OUTPUT_PAINTER_H

#include "worker/output/picture.h"
#include "worker/output/tile_sync.h"
#include "worker/output/tile_walk.h"

/* Borrows everything. */
struct painter_job {
    const struct tile_render_task *task;
    const struct picture_set *set;
    enum params_compression compression;
    const struct tile_walk *walk;
    uint64_t first;                     /* position to begin at */
    struct tiff_writer *const *writers; /* of the set's files */
    struct tile_sync *sync;             /* NULL: nothing is kept for a resume */
    int threads;
    struct progress *progress;
};

struct painter_counts {
    uint64_t overlap_pixels;                  /* canvas pixels that all images cover */
    uint64_t pre_read_bytes, post_read_bytes; /* image_reader_read_bytes */
};

/* The counts are those of what was painted here, and right after an error too. */
MUST_USE int painter_run(const struct painter_job *job, struct painter_counts *ret,
                         struct failure *failure);

#endif
