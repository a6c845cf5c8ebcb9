/* Threads count into histograms of their own; the sums are the same in any order, so the result
 * does not depend on how many there were. See background_scale.h. */
#include "worker/output/background_scale.h"

#include "worker/memory/tracked.h"
#include "worker/output/tile_plan.h"
#include "worker/output/tile_queue.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { SAMPLED_PIXELS = 16 << 20 /* more change the scale by less than 1 in a thousand */ };

struct counter {
    struct tile_render *render;
    struct background_counts *counts;
    uint32_t step, first_x, first_y; /* sampled tiles: first + k step in both directions */
};

static const char *const kinds[] = {"manual", "percentile", "moffat", "histogram-peak"};

/* Two numbers in [-0.5, 0.5) that look random and depend on the place alone (the finaliser of
 * Stafford's 64-bit mixer). */
static void spread_of(uint64_t place, float *ret_a, float *ret_b) {
    place = (place ^ (place >> 30)) * 0xbf58476d1ce4e5b9ULL;
    place = (place ^ (place >> 27)) * 0x94d049bb133111ebULL;
    place ^= place >> 31;
    *ret_a = (float)(int32_t)(place >> 32) * 0x1p-32F;
    *ret_b = (float)(int32_t)(place & 0xffffffff) * 0x1p-32F;
}

/* Ratios of whole counts pile up at simple fractions, most of all at 1, and hollow out what lies
 * between. So each count is spread over its own unit interval before the ratio is taken. */
static void count_tile(struct counter *counter, const struct tile_render_tile *tile,
                       uint64_t tile_place) {
    struct background_counts *counts = counter->counts;
    float pre_factor = (float)counts->pre_bins_per_count;
    float post_factor = (float)counts->post_bins_per_count;
    for (uint32_t y = 0; y < tile->height; y++) {
        size_t at = (size_t)y * TILE_RENDER_PX;
        for (uint32_t x = 0; x < tile->width; x++) {
            if (!tile->covered[at + x])
                continue;
            float pre = tile->pre_signal[at + x], post = tile->post_signal[at + x];
            counts->pre[(size_t)(pre * pre_factor)]++;
            counts->post[(size_t)(post * post_factor)]++;
            if (!(pre > 0 && post > 0))
                continue;
            float pre_spread, post_spread;
            spread_of(tile_place + at + x, &pre_spread, &post_spread);
            counts->ratio[log_ratio_bin(pre + pre_spread, post + post_spread)]++;
        }
    }
}

static int count_cb(void *worker, const struct tile_place *place, struct failure *failure) {
    struct counter *counter = worker;
    const struct tile_render_tile *tile;
    uint32_t tile_x = counter->first_x + place->x * counter->step;
    uint32_t tile_y = counter->first_y + place->y * counter->step;
    int r = tile_render_run(counter->render, tile_x, tile_y, &tile, failure);
    if (r == 0)
        count_tile(counter, tile,
                   ((uint64_t)tile_y << 32 | tile_x) * TILE_RENDER_PX * TILE_RENDER_PX);
    return r;
}

static void counter_close(struct counter *counter) {
    tile_render_close(counter->render);
    background_counts_free(counter->counts);
}

static double bins_per_count(const struct signal *signal) {
    return fmin(1, (BACKGROUND_COUNTS_BINS - 1) / signal_max(signal));
}

/* first: NULL, or the one whose caches it shares. */
static int counter_open(const struct tile_render_task *task, const struct counter *first,
                        uint64_t cache_bytes, uint32_t step, struct counter *ret,
                        struct failure *failure) {
    struct counter counter = {
        .counts = background_counts_new(),
        .step = step,
        .first_x = step / 2,
        .first_y = step / 2,
    };
    if (!counter.counts)
        return failure_set(failure, -ENOMEM,
                           "no memory for the scale's histograms; raise --worker-memory");
    counter.counts->pre_bins_per_count = bins_per_count(task->pre_signal);
    counter.counts->post_bins_per_count = bins_per_count(task->post_signal);
    int r = first ? tile_render_open_beside(first->render, &counter.render, failure)
                  : tile_render_open(task, cache_bytes, &counter.render, failure);
    if (r < 0)
        counter_close(&counter);
    else
        *ret = counter;
    return r;
}

/* Signal value below which `percent` of the sampled pixels lie. */
static double signal_percentile(const uint64_t *bins, double per_count, uint64_t n,
                                double percent) {
    double rank = percent / 100 * (double)n, below = 0;
    for (size_t i = 0; i < BACKGROUND_COUNTS_BINS; i++) {
        below += (double)bins[i];
        if (below >= rank && bins[i] > 0)
            return (double)i / per_count;
    }
    return 0;
}

static const double shown_percents[] = {1, 5, 25, 50, 75, 95, 99};

static json_t *signal_statistics(const uint64_t *bins, double per_count, uint64_t n) {
    json_t *object = json_object();
    for (size_t i = 0; n > 0 && i < ARRAY_LEN(shown_percents); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%.0f", shown_percents[i]);
        json_object_set_new(object, name,
                            json_real(signal_percentile(bins, per_count, n, shown_percents[i])));
    }
    return object;
}

static json_t *ratio_statistics(const uint64_t *ratio, uint64_t n) {
    json_t *object = json_object();
    for (size_t i = 0; n > 0 && i < ARRAY_LEN(shown_percents); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%.0f", shown_percents[i]);
        json_object_set_new(object, name,
                            json_real(log_ratio_percentile(ratio, shown_percents[i])));
    }
    return object;
}

static json_t *statistics(const struct background_counts *sum) {
    uint64_t n = 0, n_ratio = 0;
    for (size_t i = 0; i < BACKGROUND_COUNTS_BINS; i++)
        n += sum->pre[i];
    for (size_t i = 0; i < LOG_RATIO_FINE_BINS; i++)
        n_ratio += sum->ratio[i];
    return json_pack("{s:I,s:I,s:o,s:o,s:o}", "sampled_pixels", (json_int_t)n, "ratio_pixels",
                     (json_int_t)n_ratio, "pre",
                     signal_statistics(sum->pre, sum->pre_bins_per_count, n), "post",
                     signal_statistics(sum->post, sum->post_bins_per_count, n), "log10_ratio",
                     ratio_statistics(sum->ratio, n_ratio));
}

static json_t *moffat_json(const struct log_ratio_scale *estimate) {
    if (!estimate->fitted)
        return json_null();
    const struct moffat *moffat = &estimate->moffat;
    return json_pack("{s:f,s:f,s:f,s:f,s:f}", "amp", moffat->amp, "mu", moffat->mu, "alpha",
                     moffat->alpha, "beta", moffat->beta, "rms", estimate->rms);
}

/* The bins of the estimate. */
static json_t *histogram_json(const struct log_ratio_scale *estimate) {
    CLEANUP_JSON json_t *counts = json_array();
    for (size_t i = 0; i < LOG_RATIO_BINS; i++)
        if (json_array_append_new(counts, json_integer((json_int_t)estimate->counts[i])) < 0)
            return NULL;
    return json_pack("{s:f,s:f,s:O}", "low", estimate->low, "high", estimate->high, "counts",
                     counts);
}

int background_scale_conclude(const struct background_counts *sum, const struct params *params,
                              json_t **ret, struct failure *failure) {
    struct log_ratio_scale estimate = {0};
    bool estimated = log_ratio_estimate(sum->ratio, &estimate);
    CLEANUP_JSON json_t *scales = json_object();
    if (isfinite(params->manual_scale))
        json_object_set_new(scales, "manual", json_real(params->manual_scale));
    if (estimated && isfinite(params->scale_percentile))
        json_object_set_new(
            scales, "percentile",
            json_real(pow(10, log_ratio_percentile(sum->ratio, params->scale_percentile))));
    if (estimate.fitted)
        json_object_set_new(scales, "moffat", json_real(pow(10, estimate.moffat.mu)));
    if (estimated)
        json_object_set_new(scales, "histogram-peak", json_real(pow(10, estimate.peak)));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        json_t *value = json_object_get(scales, kinds[i]);
        if (!value)
            continue;
        *ret =
            json_pack("{s:O,s:s,s:O,s:o,s:o,s:o*}", "scale", value, "scale_kind", kinds[i],
                      "scales", scales, "moffat", moffat_json(&estimate), "statistics",
                      statistics(sum), "histogram", estimated ? histogram_json(&estimate) : NULL);
        return *ret ? 0 : failure_set(failure, -ENOMEM, "no memory for the scale's figures");
    }
    return failure_set(failure, -ENODATA,
                       "no background scale: fewer than %d sampled pixels are above 0 in both "
                       "images; check the channel, or set manual_scale",
                       LOG_RATIO_LEAST_PIXELS);
}

/* Tiles of the grid that are sampled in one direction. */
static uint32_t sampled(uint32_t pixels, uint32_t step) {
    uint32_t tiles = (pixels + TILE_RENDER_PX - 1) / TILE_RENDER_PX;
    return (tiles - step / 2 + step - 1) / step;
}

int background_scale_count(const struct tile_render_task *task, int threads,
                           struct progress *progress, struct background_counts **ret,
                           struct failure *failure) {
    struct tile_render_task plain = *task; /* the scale is the images', not the pictures' */
    plain.interpolation = PARAMS_INTERPOLATION_CUBIC;
    plain.pad = 0;
    uint32_t width = tile_render_canvas_width(&plain);
    uint32_t height = tile_render_canvas_height(&plain);
    double share = (double)width * height / SAMPLED_PIXELS;
    uint32_t step = share > 1 ? (uint32_t)ceil(sqrt(share)) : 1;
    while (step > 1 && (sampled(width, step) == 0 || sampled(height, step) == 0))
        step--; /* a ribbon narrower than half a step */
    struct tile_plan plan = tile_plan_make(&plain, threads, sizeof(struct background_counts));
    size_t n = (size_t)plan.n_workers;
    CLEANUP_FREE struct counter *counters = calloc(n, sizeof(*counters));
    CLEANUP_FREE void **workers = calloc(n, sizeof(*workers));
    if (!counters || !workers)
        return failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        r = counter_open(&plain, i > 0 ? counters : NULL, plan.cache_bytes, step, &counters[i],
                         failure);
        workers[i] = &counters[i];
    }
    struct tile_walk walk =
        tile_plan_walk(&plain, sampled(width, step), sampled(height, step), step);
    if (r == 0)
        r = tile_queue_run(&walk, 0, workers, plan.n_workers, count_cb, progress, failure);
    for (size_t i = 1; i < n && r == 0; i++)
        background_counts_add(counters[0].counts, counters[i].counts);
    if (r == 0)
        *ret = STEAL_PTR(counters[0].counts);
    for (size_t i = n; i-- > 0;) /* the first one owns the caches */
        counter_close(&counters[i]);
    return r;
}

size_t background_scale_differences(
    const json_t *scale, struct background_scale_difference ret[BACKGROUND_SCALE_MAX_DIFFERENCES]) {
    const char *in_use = json_string_value(json_object_get(scale, "scale_kind"));
    const json_t *scales = json_object_get(scale, "scales");
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds) && n < BACKGROUND_SCALE_MAX_DIFFERENCES; i++) {
        const json_t *value = json_object_get(scales, kinds[i]);
        bool stand_in =
            strcmp(kinds[i], "histogram-peak") == 0 && json_object_get(scales, "moffat");
        if (value && !stand_in)
            ret[n++] = (struct background_scale_difference){
                .kind = kinds[i],
                .scale = json_number_value(value),
                .in_use = in_use && strcmp(kinds[i], in_use) == 0,
            };
    }
    return n;
}
