/* How the rendering of a canvas is laid out: how many renderers and what caches fit the memory, and
 * in which order tiles are rendered.
 */
#ifndef WORKER_OUTPUT_TILE_PLAN_H
#define WORKER_OUTPUT_TILE_PLAN_H

#include "worker/output/tile_render.h"
#include "worker/output/tile_walk.h"

struct tile_plan {
    int n_workers;
    uint64_t cache_bytes; /* for each of the two images, shared by all workers */
};

/* How many renderers fit the memory budget that is left (tracked.h), at most `threads`, when each
 * worker needs extra_bytes more. At least one. */
struct tile_plan tile_plan_make(const struct tile_render_task *task, int threads,
                                uint64_t extra_bytes);

/* The order for every step-th tile of the canvas in both directions, columns x rows of them: the
 * same whatever the memory and the number of threads. */
struct tile_walk tile_plan_walk(const struct tile_render_task *task, uint32_t columns,
                                uint32_t rows, uint32_t step);

#endif
