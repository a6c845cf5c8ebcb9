/* See verify_content.h. */
#include "worker/align/verify_content.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

/* Nearly the steepest slope there is is an outline's, and what has this share of it. */
static const double STEEPEST_QUANTILE = 0.98, OUTLINE = 0.5;
/* Where there is empty ground it shows noise alone; texture has some times as much. */
static const double NOISE_QUANTILE = 0.1, ABOVE_NOISE = 1.5;
/* Of what is usual there: less is empty, where shading and the steps of an 8-bit image may
 * coincide. */
static const double USUAL_QUANTILE = 0.75, LEAST_COARSE = 0.25;
static const double SECTOR_DEVIATIONS = 3;

struct limits {
    double slope[TILE_IMAGE_COUNT], deviation[TILE_BAND_COUNT][TILE_IMAGE_COUNT];
};

static double slope_of(const struct tile_grain *grain, int image) {
    return (double)grain->slope[image];
}

static double fine_of(const struct tile_grain *grain, int image) {
    return (double)grain->deviation[TILE_BAND_FINE][image];
}

static double coarse_of(const struct tile_grain *grain, int image) {
    return (double)grain->deviation[TILE_BAND_COARSE][image];
}

static bool is_inside(const struct tile_grain *grain, const double slope[TILE_IMAGE_COUNT]) {
    return slope_of(grain, TILE_FIXED) < slope[TILE_FIXED] &&
           slope_of(grain, TILE_MOVING) < slope[TILE_MOVING];
}

static bool is_clear(const struct tile_grain *grain, const struct limits *limits, int band) {
    const float *seen = grain->deviation[band];
    const double *least = limits->deviation[band];
    return (double)seen[TILE_FIXED] > least[TILE_FIXED] &&
           (double)seen[TILE_MOVING] > least[TILE_MOVING];
}

/* inside: NULL, or the slopes below which parts are asked. */
static double quantile_of(const struct tile_grains *grains, size_t count, const double *inside,
                          double (*value)(const struct tile_grain *, int), int image,
                          double quantile, double *scratch) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (int part = 0; part < grains[i].count; part++)
            if (!inside || is_inside(&grains[i].parts[part], inside))
                scratch[n++] = value(&grains[i].parts[part], image);
    return n > 0 ? fit_quantile(scratch, n, quantile) : 0;
}

/* Of n signs. */
static double deviations_from_half(int positive, int n) {
    return n > 0 ? (2 * positive - n) / sqrt(n) : 0;
}

static void judge(const struct tiles_grid *grid, const struct tile_grains *grains,
                  const struct limits *limits, struct verify_content *ret) {
    enum { N = TILES_SECTORS * TILES_SECTORS };
    int asked[N] = {0}, positive[N] = {0}, all_positive = 0;
    for (size_t i = 0; i < grid->count; i++)
        for (int part = 0; part < grains[i].count; part++) {
            const struct tile_grain *grain = &grains[i].parts[part];
            ret->parts++;
            if (!is_inside(grain, limits->slope))
                continue;
            ret->inside++;
            if (is_clear(grain, limits, TILE_BAND_FINE)) {
                ret->fine_correlation += (double)grain->correlation[TILE_BAND_FINE];
                ret->fine_parts++;
            }
            if (is_clear(grain, limits, TILE_BAND_COARSE)) {
                bool is_positive = grain->correlation[TILE_BAND_COARSE] > 0;
                asked[grid->cells[i].sector]++;
                positive[grid->cells[i].sector] += is_positive;
                all_positive += is_positive;
                ret->coarse_parts++;
            }
        }
    ret->fine_correlation /= ret->fine_parts > 0 ? ret->fine_parts : 1;
    ret->coarse_deviations = deviations_from_half(all_positive, ret->coarse_parts);
    for (int sector = 0; sector < N; sector++)
        ret->coincides[sector] =
            deviations_from_half(positive[sector], asked[sector]) > SECTOR_DEVIATIONS;
}

int verify_content_judge(const struct tiles_grid *grid, const struct tile_grains *grains,
                         struct verify_content *ret, struct failure *failure) {
    *ret = (struct verify_content){0};
    CLEANUP_TRACKED double *scratch =
        tracked_alloc(grid->count * TILE_GRAIN_PARTS + 1, sizeof(*scratch), "structure");
    if (!scratch)
        return failure_set(failure, -ENOMEM, "no memory for the grain of %zu tiles", grid->count);
    struct limits limits;
    size_t n = grid->count;
    for (int image = 0; image < TILE_IMAGE_COUNT; image++)
        limits.slope[image] =
            OUTLINE * quantile_of(grains, n, NULL, slope_of, image, STEEPEST_QUANTILE, scratch);
    for (int image = 0; image < TILE_IMAGE_COUNT; image++) {
        limits.deviation[TILE_BAND_FINE][image] =
            ABOVE_NOISE * quantile_of(grains, n, NULL, fine_of, image, NOISE_QUANTILE, scratch);
        limits.deviation[TILE_BAND_COARSE][image] =
            LEAST_COARSE *
            quantile_of(grains, n, limits.slope, coarse_of, image, USUAL_QUANTILE, scratch);
    }
    judge(grid, grains, &limits, ret);
    return 0;
}

int verify_content_measure(const struct verify_scene *scene, const struct verify_sample *sample,
                           const struct transform *transform, struct verify_content *ret,
                           struct failure *failure) {
    CLEANUP_TRACKED struct tile_grains *grains =
        tracked_alloc(sample->grid.count + 1, sizeof(*grains), "structure");
    if (!grains)
        return failure_set(failure, -ENOMEM, "no memory for the grain of %zu tiles",
                           sample->grid.count);
    int r = tiles_take_grain(scene->crew, &sample->grid, transform, (struct tiles_span){0.68, 0.7},
                             grains, failure);
    return r == 0 ? verify_content_judge(&sample->grid, grains, ret, failure) : r;
}
