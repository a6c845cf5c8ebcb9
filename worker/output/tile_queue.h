/* A grid of tiles shared among threads.
 *
 * The grid is walked in strips of a few tiles' width from top to bottom, so that the blocks of the
 * source image that one tile decoded are still cached for its neighbours. Each thread starts with
 * its own stretch of that walk; one that is done takes the far half of the longest stretch left.
 */
#ifndef WORKER_OUTPUT_TILE_QUEUE_H
#define WORKER_OUTPUT_TILE_QUEUE_H

#include "common/failure.h"

#include <stdint.h>

struct progress;

typedef int (*tile_queue_cb)(void *worker, uint32_t tile_x, uint32_t tile_y,
                             struct failure *failure);

/* Calls tile once for each of columns x rows tiles, from n_workers threads at once (the caller's is
 * one of them), each with its own workers[i]. The first error stops all and is returned. */
MUST_USE int tile_queue_run(uint32_t columns, uint32_t rows, void *const *workers, int n_workers,
                            tile_queue_cb tile, struct progress *progress, struct failure *failure);

#endif
