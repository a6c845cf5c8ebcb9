/* A walk's tiles dealt to threads, one at a time and in the walk's order: so threads are always at
 * neighbouring tiles, which are made from the same blocks of the source, and a tile waits for those
 * before it no longer than one tile takes.
 */
#ifndef WORKER_OUTPUT_TILE_QUEUE_H
#define WORKER_OUTPUT_TILE_QUEUE_H

#include "common/failure.h"
#include "worker/output/tile_walk.h"

struct progress;

struct tile_place {
    uint64_t position; /* in the walk */
    uint32_t x, y;     /* in the grid */
};

typedef int (*tile_queue_cb)(void *worker, const struct tile_place *place, struct failure *failure);

/* Calls tile once for each place from position `first` on, from n_workers threads at once (the
 * caller's is one of them), each with its own workers[i]. The first error stops all and is
 * returned; every place that was dealt is called before that. */
MUST_USE int tile_queue_run(const struct tile_walk *walk, uint64_t first, void *const *workers,
                            int n_workers, tile_queue_cb tile, struct progress *progress,
                            struct failure *failure);

#endif
