/* See verify_content.h. */
#include "worker/align/verify_content.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum { MOST_CLEAR = 200, REACH_PX = 2 };

/* px: bodies without grain are much larger. */
static const double BLUR_PX = 3.2;
static const double RICH_QUANTILE = 0.9, RICH = 0.25; /* so much of what a tenth of all have */
/* A quarter of all parts show noise alone, or hardly more; some times as much is clear. */
static const double NOISE_QUANTILE = 0.25, CLEARLY = 2.5, UNEXPLAINED_QUANTILE = 0.75;

struct part {
    const struct tile_detail *detail;
    bool agrees;     /* its tile does */
    double strength; /* in the image where it is weaker, of what counts there */
};

struct parts {
    struct part *all; /* in the tiles' order, but for sorting */
    double *scratch;
    size_t count;
};

static int compare_parts(const void *a, const void *b) {
    const struct part *p = a, *q = b;
    return (p->strength < q->strength) - (p->strength > q->strength);
}

enum which { FIXED, MOVING };

static const struct tile_seen *seen(const struct tile_detail *detail, enum which which) {
    return which == FIXED ? &detail->fixed : &detail->moving;
}

static double deviation_of(const struct tile_seen *part) { return (double)part->deviation; }
static double slope_of(const struct tile_seen *part) { return (double)part->slope; }
static double both_ways_of(const struct tile_seen *part) { return (double)part->both_ways; }

/* Of the parts that have any. */
static double quantile_of(const struct parts *parts, enum which which,
                          double (*value)(const struct tile_seen *), double quantile) {
    size_t n = 0;
    for (size_t i = 0; i < parts->count; i++) {
        double one = value(seen(parts->all[i].detail, which));
        if (one > 0)
            parts->scratch[n++] = one;
    }
    return n > 0 ? fit_quantile(parts->scratch, n, quantile) : 1;
}

/* The strongest first. Returns how many have at least `least`. */
static size_t sort_by(struct parts *parts, double (*value)(const struct tile_seen *), double fixed,
                      double moving, double least) {
    size_t n = 0;
    for (size_t i = 0; i < parts->count; i++) {
        const struct tile_detail *detail = parts->all[i].detail;
        parts->all[i].strength =
            fmin(value(&detail->fixed) / fixed, value(&detail->moving) / moving);
        n += parts->all[i].strength >= least;
    }
    qsort(parts->all, parts->count, sizeof(*parts->all), compare_parts);
    return n;
}

/* What the one image's tone leaves of the other's, of the noise of both; the smaller of the two
 * ways. */
static double unexplained(const struct tile_detail *detail, double fixed_noise,
                          double moving_noise) {
    double c = fmax((double)detail->correlation, 0), left = sqrt(1 - fmin(c * c, 1));
    double fixed = deviation_of(&detail->fixed), moving = deviation_of(&detail->moving);
    double one_way = fixed * left / hypot(fixed_noise, c * fixed / moving * moving_noise);
    double other = moving * left / hypot(moving_noise, c * moving / fixed * fixed_noise);
    return fmin(one_way, other);
}

static void judge_rich(struct parts *parts, struct verify_content *ret) {
    double fixed = quantile_of(parts, FIXED, both_ways_of, RICH_QUANTILE);
    double moving = quantile_of(parts, MOVING, both_ways_of, RICH_QUANTILE);
    size_t rich = sort_by(parts, both_ways_of, fixed, moving, RICH), n = 0;
    for (size_t i = 0; i < rich; i++)
        if (parts->all[i].agrees)
            parts->scratch[n++] = (double)parts->all[i].detail->correlation;
    ret->parts = (int)n;
    ret->correlation = n > 0 ? fit_quantile(parts->scratch, n, 0.5) : 0;
}

static void judge_clear(struct parts *parts, struct verify_content *ret) {
    double fixed_noise = quantile_of(parts, FIXED, deviation_of, NOISE_QUANTILE);
    double moving_noise = quantile_of(parts, MOVING, deviation_of, NOISE_QUANTILE);
    size_t clear = sort_by(parts, slope_of, quantile_of(parts, FIXED, slope_of, NOISE_QUANTILE),
                           quantile_of(parts, MOVING, slope_of, NOISE_QUANTILE), CLEARLY);
    size_t n = 0;
    for (size_t i = 0; i < clear && n < MOST_CLEAR; i++)
        if (parts->all[i].agrees)
            parts->scratch[n++] = unexplained(parts->all[i].detail, fixed_noise, moving_noise);
    ret->clear = (int)n;
    ret->unexplained = n > 0 ? fit_quantile(parts->scratch, n, UNEXPLAINED_QUANTILE) : 0;
}

static void gather(const struct tile_shift *shifts, const enum verify_answer *answers, size_t count,
                   struct parts *parts) {
    parts->count = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < TILE_PARTS && shifts[i].measured; k++)
            parts->all[parts->count++] =
                (struct part){&shifts[i].detail[k], answers[i] == VERIFY_AGREES, 0};
}

int verify_content_judge(const struct tile_shift *sharp, const struct tile_shift *blurred,
                         const enum verify_answer *answers, size_t count,
                         struct verify_content *ret, struct failure *failure) {
    size_t most = count * TILE_PARTS + 1;
    *ret = (struct verify_content){0};
    CLEANUP_TRACKED double *scratch = tracked_alloc(most, sizeof(*scratch), "structure");
    CLEANUP_TRACKED struct part *all = tracked_alloc(most, sizeof(*all), "structure");
    if (!scratch || !all)
        return failure_set(failure, -ENOMEM, "no memory for the structure of %zu tiles", count);
    struct parts parts = {all, scratch, 0};
    gather(sharp, answers, count, &parts);
    judge_rich(&parts, ret);
    gather(blurred, answers, count, &parts);
    judge_clear(&parts, ret);
    return 0;
}

int verify_content_measure(const struct verify_scene *scene, const struct verify_sample *sample,
                           struct tiles_span progress, struct tile_shift *ret_shifts,
                           struct verify_content *ret, struct failure *failure) {
    struct tile_request how = {.reach_px = REACH_PX, .stay = true};
    double half = (progress.from + progress.to) / 2;
    CLEANUP_TRACKED struct tile_shift *blurred =
        tracked_alloc(sample->grid.count + 1, sizeof(*blurred), "tiles");
    if (!blurred)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", sample->grid.count);
    int r = tiles_measure_grid(scene->crew, &sample->grid, scene->transform, &how,
                               (struct tiles_span){progress.from, half}, ret_shifts, failure);
    how.look.smooth_px = BLUR_PX;
    if (r == 0)
        r = tiles_measure_grid(scene->crew, &sample->grid, scene->transform, &how,
                               (struct tiles_span){half, progress.to}, blurred, failure);
    return r == 0 ? verify_content_judge(ret_shifts, blurred, sample->answers, sample->grid.count,
                                         ret, failure)
                  : r;
}
