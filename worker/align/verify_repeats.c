/* See verify_repeats.h. */
#include "worker/align/verify_repeats.h"

#include <math.h>

enum { MOST_TILES = 40, REACH_PX = 2 };

/* Below it "nearly as well" is no finding: everything correlates a little. */
static const double LEAST_TESTED = 0.5;
static const double AS_WELL = 0.92; /* of the correlation here: fits there as well */

int verify_repeats_measure(const struct verify_scene *scene, const struct verify_sample *sample,
                           double confident_from, struct tiles_span progress,
                           struct verify_repeats *ret, struct failure *failure) {
    struct map maps[MOST_TILES];
    struct tile_request requests[MOST_TILES];
    struct tile_shift there[MOST_TILES];
    size_t here[MOST_TILES], n = 0;
    const struct tiles_grid *grid = &sample->grid;
    double factor = ldexp(1, grid->level), distances[MOST_TILES];
    for (size_t i = 0; i < grid->count && n < MOST_TILES; i++) {
        const struct tile_shift *shift = &sample->shifts[i];
        if (!shift->measured || shift->correlation <= fmax(confident_from, LEAST_TESTED) ||
            (shift->next_dx == 0 && shift->next_dy == 0))
            continue;
        maps[n] = tiles_local_map(grid, &grid->cells[i], scene->transform, factor * shift->next_dx,
                                  factor * shift->next_dy);
        requests[n] = (struct tile_request){.level = grid->level,
                                            .x = grid->cells[i].x,
                                            .y = grid->cells[i].y,
                                            .size = grid->size,
                                            .reach_px = REACH_PX,
                                            .map = &maps[n]};
        here[n++] = i;
    }
    *ret = (struct verify_repeats){.tested = (int)n};
    if (n == 0)
        return 0;
    int r = tiles_measure(scene->crew, requests, n, progress, there, failure);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        const struct tile_shift *shift = &sample->shifts[here[i]];
        if (there[i].settled && there[i].correlation > AS_WELL * shift->correlation)
            distances[ret->ambiguous++] =
                factor * hypot(shift->next_dx - shift->dx, shift->next_dy - shift->dy);
    }
    if (ret->ambiguous > 0)
        ret->distance_px = fit_quantile(distances, (size_t)ret->ambiguous, 0.5);
    return 0;
}

struct verify_repeats verify_repeats_worse(const struct verify_repeats *a,
                                           const struct verify_repeats *b) {
    if (a->tested == 0 || b->tested == 0)
        return a->tested == 0 ? *b : *a;
    return b->ambiguous * a->tested > a->ambiguous * b->tested ? *b : *a;
}
