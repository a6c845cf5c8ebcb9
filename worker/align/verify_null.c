/* See verify_null.h. */
#include "worker/align/verify_null.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

static const double QUANTILE = 0.95; /* better than so much of the null is confident */
static const double LEAST_CHANCE = 0.01, MOST_CHANCE = 0.9;

/* Another cell of the grid, out of reach of this one. */
static const struct tiles_cell *stranger_to(const struct tiles_grid *grid, size_t i) {
    const struct tiles_cell *cell = &grid->cells[i], *other = cell;
    for (size_t k = 0; k < grid->count; k++) {
        other = &grid->cells[(i + grid->count / 2 + k) % grid->count];
        if (abs(other->x - cell->x) > 2 * grid->size || abs(other->y - cell->y) > 2 * grid->size)
            break;
    }
    return other;
}

static int measure(const struct verify_scene *scene, const struct tiles_grid *grid,
                   struct tiles_span progress, struct tile_shift *ret, struct failure *failure) {
    CLEANUP_TRACKED struct map *maps = tracked_alloc(grid->count + 1, sizeof(*maps), "maps");
    CLEANUP_TRACKED struct tile_request *requests =
        tracked_alloc(grid->count + 1, sizeof(*requests), "tiles");
    if (!maps || !requests)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", grid->count);
    double factor = ldexp(1, grid->level);
    for (size_t i = 0; i < grid->count; i++) {
        const struct tiles_cell *cell = &grid->cells[i], *other = stranger_to(grid, i);
        maps[i] = tiles_local_map(grid, cell, scene->transform, factor * (other->x - cell->x),
                                  factor * (other->y - cell->y));
        requests[i] = (struct tile_request){.level = grid->level,
                                            .x = cell->x,
                                            .y = cell->y,
                                            .size = grid->size,
                                            .reach_px = verify_sample_reach(grid),
                                            .look = verify_sample_look(scene, grid),
                                            .map = &maps[i]};
    }
    return tiles_measure(scene->crew, requests, grid->count, progress, ret, failure);
}

int verify_null_measure(const struct verify_scene *scene, const struct verify_sample *sample,
                        double agree_px, struct tiles_span progress, struct verify_null *ret,
                        struct failure *failure) {
    size_t count = sample->grid.count, n = 0;
    CLEANUP_TRACKED struct tile_shift *shifts = tracked_alloc(count + 1, sizeof(*shifts), "tiles");
    CLEANUP_TRACKED double *correlations =
        tracked_alloc(count + 1, sizeof(*correlations), "correlations");
    if (!shifts || !correlations)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", count);
    int r = measure(scene, &sample->grid, progress, shifts, failure);
    if (r < 0)
        return r;
    struct verify_null null = {0};
    for (size_t i = 0; i < count; i++) {
        if (!shifts[i].measured)
            continue;
        correlations[n++] = shifts[i].correlation;
        null.agreeing += hypot(shifts[i].dx, shifts[i].dy) < agree_px;
    }
    null.tiles = (int)n;
    null.confident_from = n > 0 ? fmax(fit_quantile(correlations, n, QUANTILE), 0) : 0;
    /* what accident allows: from the areas, or what the null did, whichever is more */
    double reach = verify_sample_reach(&sample->grid);
    double area = agree_px * agree_px * 3.14159265358979 / pow(2 * reach + 1, 2);
    double seen = n > 0 ? (null.agreeing + 1.0) / ((double)n + 1) : area;
    null.chance = fmin(fmax(fmax(area, seen), LEAST_CHANCE), MOST_CHANCE);
    *ret = null;
    return 0;
}
