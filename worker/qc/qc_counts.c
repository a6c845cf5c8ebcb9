/* Each thread counts for itself, as the background scale does; see qc_counts.h. */
#include "worker/qc/qc_counts.h"

#include "worker/memory/tracked.h"
#include "worker/output/tile_plan.h"
#include "worker/output/tile_queue.h"

#include <errno.h>
#include <math.h>

enum {
    SAMPLED_PIXELS = 2 << 20,
    CELLS = QC_COUNTS_SIDE * QC_COUNTS_SIDE,
};

static const uint64_t CACHE_BYTES = 4 << 20; /* tiles lie apart: nothing is read twice */

struct counter {
    struct tile_render *render;
    struct qc_counts counts;
    float scale;
    uint32_t step;
};

void qc_counts_free(struct qc_counts *counts) {
    tracked_free(counts->density);
    tracked_free(counts->scaled);
    tracked_free(counts->difference);
    counts->density = counts->scaled = counts->difference = NULL;
}

static struct qc_counts_axis axis_to(double top) {
    double width = fmax(ceil(top / (QC_COUNTS_SIDE - 1)), 1);
    int bins = (int)fmin(ceil((top + 1) / width), QC_COUNTS_SIDE - 1);
    return (struct qc_counts_axis){bins > 1 ? bins : 1, width};
}

static void choose_axes(const struct qc_counts_request *request, struct qc_counts *ret) {
    double pre = fmin(request->pre_top, signal_max(&request->pre->signal));
    double post = fmin(request->post_top, signal_max(&request->post->signal));
    double common = fmax(request->scale * pre, post);
    *ret = (struct qc_counts){
        .pre = axis_to(pre),
        .post = axis_to(post),
        .common = axis_to(common),
        .difference_width = fmax(2 * common / QC_COUNTS_DIFFERENCES, 1.0 / 64),
    };
}

static int counts_open(const struct qc_counts_request *request, struct qc_counts *ret,
                       struct failure *failure) {
    choose_axes(request, ret);
    ret->density = tracked_alloc(CELLS, sizeof(uint32_t), "quality histograms");
    ret->scaled = tracked_alloc(CELLS, sizeof(uint32_t), "quality histograms");
    ret->difference = tracked_alloc(QC_COUNTS_DIFFERENCES, sizeof(uint32_t), "quality histograms");
    if (ret->density && ret->scaled && ret->difference)
        return 0;
    qc_counts_free(ret);
    return failure_set(failure, -ENOMEM, "no memory for the pictures' histograms");
}

/* From 0 to below 1, by the place alone (the finaliser of Stafford's 64-bit mixer): spreads each
 * count over its own unit, so that whole numbers make no pattern with bins of another width. */
static void spread_of(uint64_t place, float *ret_a, float *ret_b) {
    place = (place ^ (place >> 30)) * 0xbf58476d1ce4e5b9ULL;
    place = (place ^ (place >> 27)) * 0x94d049bb133111ebULL;
    place ^= place >> 31;
    *ret_a = (float)(place >> 40) * 0x1p-24F;
    *ret_b = (float)(place & 0xffffff) * 0x1p-24F;
}

/* Beyond the last bin: `bins`. */
static inline size_t bin_of(float value, float per_bin, int bins) {
    size_t bin = (size_t)fmaxf(value * per_bin, 0);
    return bin < (size_t)bins ? bin : (size_t)bins;
}

void qc_counts_take(const struct qc_counts_request *request, const float *pre, size_t n_pre,
                    const float *post, size_t n_post, struct qc_counts *ret) {
    choose_axes(request, ret);
    for (size_t i = 0; i < n_pre; i++)
        ret->pre_bins[bin_of(pre[i], (float)(1 / ret->pre.width), ret->pre.bins)]++;
    for (size_t i = 0; i < n_post; i++)
        ret->post_bins[bin_of(post[i], (float)(1 / ret->post.width), ret->post.bins)]++;
    ret->pixels = n_post;
}

static void count_tile(struct counter *counter, const struct tile_render_tile *tile,
                       uint64_t place) {
    struct qc_counts *counts = &counter->counts;
    const float pre_per = (float)(1 / counts->pre.width),
                post_per = (float)(1 / counts->post.width);
    const float common_per = (float)(1 / counts->common.width);
    const float difference_per = (float)(1 / counts->difference_width);
    for (uint32_t y = 0; y < tile->height; y++)
        for (uint32_t x = 0; x < tile->width; x++) {
            size_t at = (size_t)y * TILE_RENDER_PX + x;
            if (!tile->covered[at])
                continue;
            float pre = tile->pre_signal[at], post = tile->post_signal[at], a, b;
            spread_of(place + at, &a, &b);
            size_t pre_bin = bin_of(pre, pre_per, counts->pre.bins);
            size_t post_bin = bin_of(post, post_per, counts->post.bins);
            float scaled = counter->scale * (pre + a);
            counts->pre_bins[pre_bin]++;
            counts->post_bins[post_bin]++;
            counts->density[post_bin * QC_COUNTS_SIDE + pre_bin]++;
            counts->scaled[bin_of(post + b, common_per, counts->common.bins) * QC_COUNTS_SIDE +
                           bin_of(scaled, common_per, counts->common.bins)]++;
            counts->difference[bin_of((post + b - scaled) * difference_per +
                                          QC_COUNTS_DIFFERENCES / 2.0F,
                                      1, QC_COUNTS_DIFFERENCES - 1)]++;
            counts->pixels++;
        }
}

static int count_cb(void *worker, const struct tile_place *place, struct failure *failure) {
    struct counter *counter = worker;
    const struct tile_render_tile *tile;
    uint32_t x = counter->step / 2 + place->x * counter->step;
    uint32_t y = counter->step / 2 + place->y * counter->step;
    int r = tile_render_run(counter->render, x, y, &tile, failure);
    if (r == 0)
        count_tile(counter, tile, ((uint64_t)y << 32 | x) * TILE_RENDER_PX * TILE_RENDER_PX);
    return r;
}

static void merge(struct qc_counts *into, const struct qc_counts *from) {
    for (size_t i = 0; i < CELLS; i++) {
        into->density[i] += from->density[i];
        into->scaled[i] += from->scaled[i];
    }
    for (size_t i = 0; i < QC_COUNTS_DIFFERENCES; i++)
        into->difference[i] += from->difference[i];
    for (size_t i = 0; i < QC_COUNTS_SIDE; i++) {
        into->pre_bins[i] += from->pre_bins[i];
        into->post_bins[i] += from->post_bins[i];
    }
    into->pixels += from->pixels;
}

static uint32_t tiles_along(uint32_t pixels) {
    return (pixels + TILE_RENDER_PX - 1) / TILE_RENDER_PX;
}

/* Of the tiles step / 2, step / 2 + step, ... */
static uint32_t sampled(uint32_t tiles, uint32_t step) {
    return tiles > step / 2 ? (tiles - step / 2 + step - 1) / step : 0;
}

static uint32_t step_for(uint32_t columns, uint32_t rows) {
    double share = (double)columns * rows * TILE_RENDER_PX * TILE_RENDER_PX / SAMPLED_PIXELS;
    uint32_t step = share > 1 ? (uint32_t)ceil(sqrt(share)) : 1;
    while (step > 1 && (sampled(columns, step) == 0 || sampled(rows, step) == 0))
        step--; /* a ribbon narrower than half a step */
    return step > 0 ? step : 1;
}

static int counters_open(const struct qc_counts_request *request, uint64_t cache_bytes,
                         const struct tile_render_task *task, uint32_t step,
                         struct counter *counters, size_t n, struct failure *failure) {
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        counters[i].scale = (float)request->scale;
        counters[i].step = step;
        r = counts_open(request, &counters[i].counts, failure);
        if (r == 0)
            r = i == 0 ? tile_render_open(task, cache_bytes, &counters[i].render, failure)
                       : tile_render_open_beside(counters[0].render, &counters[i].render, failure);
    }
    return r;
}

int qc_counts_measure(const struct qc_counts_request *request, struct qc_counts *ret,
                      struct failure *failure) {
    const struct align_context *context = request->context;
    const struct tile_render_task task = {.pre = context->pre,
                                          .post = context->post,
                                          .post_to_pre = request->transform,
                                          .pre_signal = &request->pre->signal,
                                          .post_signal = &request->post->signal,
                                          .interpolation = context->params->interpolation};
    const uint64_t own_bytes = (2 * CELLS + QC_COUNTS_DIFFERENCES) * sizeof(uint32_t);
    struct tile_plan plan = tile_plan_make(&task, context->threads, own_bytes);
    uint64_t cache_bytes = plan.cache_bytes < CACHE_BYTES ? plan.cache_bytes : CACHE_BYTES;
    uint32_t columns = tiles_along(tile_render_canvas_width(&task));
    uint32_t rows = tiles_along(tile_render_canvas_height(&task));
    uint32_t step = step_for(columns, rows);
    size_t n = (size_t)plan.n_workers;
    CLEANUP_FREE struct counter *counters = calloc(n, sizeof(*counters));
    CLEANUP_FREE void **workers = calloc(n, sizeof(*workers));
    if (!counters || !workers)
        return failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    for (size_t i = 0; i < n; i++)
        workers[i] = &counters[i];
    struct tile_walk walk =
        tile_plan_walk(&task, sampled(columns, step), sampled(rows, step), step);
    int r = counters_open(request, cache_bytes, &task, step, counters, n, failure);
    if (r == 0)
        r = tile_queue_run(&walk, 0, workers, plan.n_workers, count_cb, NULL, failure);
    for (size_t i = 1; i < n && r == 0; i++)
        merge(&counters[0].counts, &counters[i].counts);
    if (r == 0) {
        *ret = counters[0].counts;
        counters[0].counts = (struct qc_counts){0};
    }
    for (size_t i = n; i-- > 0;) { /* the first one owns the caches */
        tile_render_close(counters[i].render);
        qc_counts_free(&counters[i].counts);
    }
    return r;
}
