/* See qc_data.h. Both images' ranges come from the pixels that both show. */
#include "worker/qc/qc_data.h"

#include "worker/align/refine.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { LEAST_PIXELS = 100 };

static const double LOW_SHARE = 0.01, HIGH_SHARE = 0.997, TOP_SHARE = 0.9995, GAMMA = 0.7;
static const double MOST_CORRECTION = 3; /* of a range, to either side */
static const double HEADROOM = 1.25;     /* single pixels are brighter than reduced ones */

void qc_data_close(struct qc_data *data) {
    reduced_free(&data->pre);
    reduced_free(&data->post);
    tracked_free(data->aligned);
    free(data->tiles);
    qc_counts_free(&data->counts);
    data->aligned = NULL;
    data->tiles = NULL;
}

struct map_point qc_data_before(const struct qc_data *data, double x, double y) {
    return (struct map_point){
        x + ((double)data->pre_survey.layout.width - data->post_survey.layout.width) / 2,
        y + ((double)data->pre_survey.layout.height - data->post_survey.layout.height) / 2};
}

static double tone(const struct qc_data *data, const struct qc_range *range, double signal) {
    double share = (signal - range->low) / (range->high - range->low);
    if (!(share > 0)) /* a NAN too */
        return 0;
    return (double)data->tones[share < 1 ? (int)(share * QC_DATA_TONES) : QC_DATA_TONES];
}

double qc_data_tone_post(const struct qc_data *data, double signal) {
    return tone(data, &data->post_range, signal);
}

double qc_data_tone_pre(const struct qc_data *data, double signal) {
    double value = tone(data, &data->pre_range, signal);
    return data->is_inverted && !isnan(signal) ? 1 - value : value;
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static struct qc_range range_of(float *values, size_t n) {
    if (n == 0)
        return (struct qc_range){0, 1, 1};
    qsort(values, n, sizeof(*values), compare);
    struct qc_range range = {values[(size_t)(LOW_SHARE * (double)(n - 1))],
                             values[(size_t)(HIGH_SHARE * (double)(n - 1))],
                             values[(size_t)(TOP_SHARE * (double)(n - 1))]};
    if (!(range.high > range.low))
        range.high = range.low + 1;
    return range;
}

/* where: a value is taken only where this is a number; NULL: all are. */
static size_t collect(const float *pixels, const float *where, size_t count, float *ret) {
    size_t n = 0, step = count / (32 << 10) + 1; /* as many say no more */
    for (size_t i = 0; i < count; i += step)
        if (!isnan(pixels[i]) && (!where || !isnan(where[i])))
            ret[n++] = pixels[i];
    return n;
}

/* How much brighter post shows what is bright in pre: the median over its pixels above bright_pre.
 * What stands in one image alone pulls at neither. 0: not known. */
static double find_gain(const struct qc_data *data, double bright_pre, size_t count,
                        float *ratios) {
    size_t n = 0, step = count / (128 << 10) + 1;
    for (size_t i = 0; i < count; i += step)
        if ((double)data->aligned[i] > bright_pre) /* no NAN is */
            ratios[n++] = (float)(((double)data->post.pixels[i] - data->post_range.low) /
                                  ((double)data->aligned[i] - data->pre_range.low));
    if (n < LEAST_PIXELS)
        return 0;
    qsort(ratios, n, sizeof(*ratios), compare);
    return (double)ratios[n / 2];
}

/* False where the gain is too far from what the ranges have by themselves. */
static bool widen(double gain, struct qc_range *pre, struct qc_range *post) {
    double pre_span = pre->high - pre->low, post_span = post->high - post->low;
    double natural = post_span / pre_span, span = fmax(post_span, gain * pre_span);
    if (!(gain > natural / MOST_CORRECTION && gain < natural * MOST_CORRECTION))
        return false;
    post->high = post->low + span;
    pre->high = pre->low + span / gain;
    return true;
}

void qc_data_match(const struct qc_data *data, struct qc_range *pre, struct qc_range *post) {
    if (data->is_matched)
        (void)widen((data->post_range.high - data->post_range.low) /
                        (data->pre_range.high - data->pre_range.low),
                    pre, post);
}

static void match_ranges(struct qc_data *data, size_t count, float *ratios) {
    const double bright = 0.4; /* of the range */
    const struct qc_range *pre = &data->pre_range;
    double gain = find_gain(data, pre->low + bright * (pre->high - pre->low), count, ratios);
    data->is_matched = widen(gain, &data->pre_range, &data->post_range);
}

static int find_ranges(struct qc_data *data, struct failure *failure) {
    size_t n_post = (size_t)data->post.width * (size_t)data->post.height;
    size_t n_pre = (size_t)data->pre.width * (size_t)data->pre.height;
    CLEANUP_TRACKED float *values =
        tracked_alloc(n_post > n_pre ? n_post : n_pre, sizeof(*values), "tones");
    if (!values)
        return failure_set(failure, -ENOMEM, "no memory for the images' tones");
    size_t n = collect(data->post.pixels, data->aligned, n_post, values);
    bool is_common = data->aligned && n >= LEAST_PIXELS;
    if (!is_common)
        n = collect(data->post.pixels, NULL, n_post, values);
    data->post_range = range_of(values, n);
    n = is_common ? collect(data->aligned, NULL, n_post, values)
                  : collect(data->pre.pixels, NULL, n_pre, values);
    data->pre_range = range_of(values, n);
    if (is_common && !data->is_failed && !data->is_inverted)
        match_ranges(data, n_post, values);
    return 0;
}

static int align(struct qc_data *data, struct failure *failure) {
    size_t width = (size_t)data->post.width, height = (size_t)data->post.height;
    data->aligned = tracked_alloc(width * height, sizeof(*data->aligned), "reduced image");
    if (!data->aligned)
        return failure_set(failure, -ENOMEM, "no memory for the reduced aligned image");
    double pitch = ldexp(1, data->post.level), shift = pitch / 2 - 0.5;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            struct map_point p = transform_apply(&data->transform, pitch * (double)x + shift,
                                                 pitch * (double)y + shift);
            data->aligned[y * width + x] = (float)reduced_at(&data->pre, p.x, p.y);
        }
    return 0;
}

static int read_results(const struct qc_task *task, struct qc_data *data, struct failure *failure) {
    CLEANUP_FREE struct refine_result *refine = calloc(1, sizeof(*refine));
    data->tiles = calloc(1, sizeof(*data->tiles));
    if (!refine || !data->tiles)
        return failure_set(failure, -ENOMEM, "no memory for the map and its test tiles");
    int r = survey_read(task->pre_survey, "the pre survey", &data->pre_survey, failure);
    if (r == 0)
        r = survey_read(task->post_survey, "the post survey", &data->post_survey, failure);
    if (r == 0)
        r = refine_read(task->refine, refine, failure);
    if (r == 0)
        r = transform_read(task->verify, "the verification's result", &data->transform, failure);
    if (r < 0)
        return r;
    const char *status = json_string_value(json_object_get(task->verify, "status"));
    const char *reason = json_string_value(json_object_get(task->verify, "reason"));
    data->status = status ? status : "";
    data->reason = reason ? reason : "";
    data->has_map = !refine->reason[0];
    data->is_failed = strcmp(data->status, "failed") == 0;
    data->is_inverted = refine->inverted;
    verify_tiles_read(task->verify, data->tiles);
    data->scale = json_number_value(json_object_get(task->scale, "scale"));
    return 0;
}

static int count(struct qc_data *data, struct failure *failure) {
    const struct qc_counts_request request = {.context = data->task->context,
                                              .pre = &data->pre_survey,
                                              .post = &data->post_survey,
                                              .transform = &data->transform,
                                              .scale = data->scale,
                                              .pre_top = HEADROOM * data->pre_range.top,
                                              .post_top = HEADROOM * data->post_range.top};
    if (data->scale > 0)
        return qc_counts_measure(&request, &data->counts, failure);
    qc_counts_take(&request, data->pre.pixels, (size_t)data->pre.width * (size_t)data->pre.height,
                   data->post.pixels, (size_t)data->post.width * (size_t)data->post.height,
                   &data->counts);
    return 0;
}

int qc_data_open(const struct qc_task *task, struct qc_data *ret, struct failure *failure) {
    *ret = (struct qc_data){.task = task};
    for (int i = 0; i <= QC_DATA_TONES; i++) /* dim things are seen better so */
        ret->tones[i] = (float)pow((double)i / QC_DATA_TONES, GAMMA);
    int r = read_results(task, ret, failure);
    if (r == 0)
        r = reduced_load(task->context, "pre", &ret->pre_survey, &ret->pre, failure);
    if (r == 0)
        r = reduced_load(task->context, "post", &ret->post_survey, &ret->post, failure);
    if (r == 0 && ret->has_map)
        r = align(ret, failure);
    if (r == 0)
        r = find_ranges(ret, failure);
    if (r == 0)
        r = count(ret, failure);
    if (r < 0)
        qc_data_close(ret);
    return r;
}
