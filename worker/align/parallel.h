/* Work on numbered items by several threads, with results that do not depend on their number.
 *
 * Each item writes only its own result; `thread` (0 to threads - 1) chooses scratch memory and file
 * handles. Items start in order. After an error no further item starts.
 */
#ifndef WORKER_ALIGN_PARALLEL_H
#define WORKER_ALIGN_PARALLEL_H

#include "common/failure.h"

#include <stddef.h>

typedef int (*parallel_item_cb)(void *context, int thread, size_t item, struct failure *failure);

enum { PARALLEL_MAX_THREADS = 64 };

/* threads counts the caller's own, which works too; it is clamped to 1..PARALLEL_MAX_THREADS. When
 * a thread cannot be started, the others do its share. Returns the first error. */
MUST_USE int parallel_run(size_t items, int threads, parallel_item_cb item, void *context,
                          struct failure *failure);
/* What threads is clamped to: how many scratch slots the caller needs. */
int parallel_threads(int threads);

#endif
