/* See verify_second.h. */
#include "worker/align/verify_second.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum { LEAST_TILES = 6, FITTED = 2 /* tiles that a similarity agrees with by itself */ };

static const double PI = 3.14159265358979323846;
static const double AGREE_PX = 2;   /* of the level */
static const double STILL_PX = 0.5; /* of the level */
/* Wrong peaks are not spread evenly over the reach: some places are likelier than others. */
static const double UNEVEN = 2;
static const double ACCIDENT_LIMIT = 1e-5;

const char *verify_second_where(int sector) {
    static const char *const names[TILES_SECTORS * TILES_SECTORS] = {
        "in the upper left", "at the top",    "in the upper right",
        "on the left",       "in the middle", "on the right",
        "in the lower left", "at the bottom", "in the lower right"};
    return names[sector];
}

/* Whether so many of them can agree by accident: every pair of tiles was a trial. Cells of coarse
 * levels overlap by half, so only half of them count. */
static bool is_accident(const struct tiles_grid *grid, int n, int k) {
    double share = AGREE_PX / (2.0 * verify_sample_reach(grid) + 1);
    double chance = fmin(UNEVEN * PI * share * share, 0.5), trials = 0.5 * n * n;
    int twice = grid->level > 0 ? 2 : 1;
    return k < LEAST_TILES ||
           trials * fit_binomial_tail(n / twice, k / twice - FITTED, chance) > ACCIDENT_LIMIT;
}

static int fullest(const int *counts, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        best = counts[i] > counts[best] ? i : best;
    return best;
}

/* What the other map explains among the contradicting tiles. */
static void describe(const struct verify_sample *sample, const struct map *map, double limit_px,
                     double *scratch, struct verify_second *ret) {
    int sectors[TILES_SECTORS * TILES_SECTORS] = {0}, k = 0, still = 0;
    double still_px = ldexp(STILL_PX, sample->grid.level);
    for (size_t i = 0; i < sample->grid.count; i++) {
        if (sample->answers[i] != VERIFY_CONTRADICTS ||
            fit_residual(&sample->matches[i], map) >= limit_px)
            continue;
        const struct fit_match *match = &sample->matches[i];
        still += hypot(match->u - match->x, match->v - match->y) < still_px;
        sectors[sample->grid.cells[i].sector]++;
        scratch[k++] = sample->residuals_px[i];
    }
    if (is_accident(&sample->grid, ret->contradicting, k))
        return;
    ret->agreeing = k;
    ret->still = 2 * still > k;
    ret->distance_px = fit_quantile(scratch, (size_t)k, 0.5);
    ret->sector = fullest(sectors, TILES_SECTORS * TILES_SECTORS);
}

int verify_second_find(const struct verify_sample *sample, uint32_t seed, struct verify_second *ret,
                       struct failure *failure) {
    size_t count = sample->grid.count, n = 0;
    CLEANUP_TRACKED struct fit_match *matches =
        tracked_alloc(count + 1, sizeof(*matches), "matches");
    CLEANUP_TRACKED double *scratch = tracked_alloc(count + 1, sizeof(*scratch), "residuals");
    if (!matches || !scratch)
        return failure_set(failure, -ENOMEM, "no memory for %zu matches", count);
    for (size_t i = 0; i < count; i++)
        if (sample->answers[i] == VERIFY_CONTRADICTS)
            matches[n++] = sample->matches[i];
    *ret = (struct verify_second){.contradicting = (int)n};
    struct fit_options options = {
        .model = FIT_SIMILARITY, .inlier_px = ldexp(AGREE_PX, sample->grid.level), .seed = seed};
    struct map map;
    if (n >= LEAST_TILES && fit_run(matches, n, &options, &map) == 0)
        describe(sample, &map, options.inlier_px, scratch, ret);
    return 0;
}
