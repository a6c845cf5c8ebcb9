/* See forecast.h. A reservation is the forecast and the margin, or the interval's end where that is
 * more; of what is small, pages that the kernel counts late are a large part, so it gets more. */
#include "supervisor/memory/forecast.h"

#include <math.h>

enum {
    SLACK_BYTES = 4 << 20,
    PROVEN_ATTEMPTS = 6,    /* from here on the margin is kept in part, by this share of them */
    LEAST_MARGIN_SHARE = 4, /* but never less of it than this part */
};

/* A correction of the headers' forecast stays within these: it was measured on other images. */
static const double least_correction = 0.9, most_correction = 3;

/* A guess, which what was seen corrects: what one thread does alone of an align task's time, as a
 * share of that time with one thread. And the threads that the footprint's figure is for. */
static const double serial_share = 0.25, reference_threads = 2;

struct forecast_task forecast_pair(const struct footprint_image *pre,
                                   const struct footprint_image *post,
                                   const struct params *params) {
    /* each scale that is known besides the fitted one has a difference image of its own */
    const uint32_t n_differences = !params->has_difference
                                       ? 0U
                                       : 1 + (isnan(params->scale_percentile) ? 0U : 1U) +
                                             (isnan(params->manual_scale) ? 0U : 1U);
    return (struct forecast_task){
        .is_pair = true,
        .pair = {.pre = *pre,
                 .post = *post,
                 .pad = (uint32_t)params->pad,
                 .n_differences = n_differences,
                 .compressed = params->compression != PARAMS_COMPRESSION_NONE,
                 .format = params->format},
        .size =
            (double)pre->width * (double)pre->height + (double)post->width * (double)post->height,
    };
}

static uint64_t to_bytes(double value) {
    if (!(value > 0))
        return 0;
    return value < 0x1p62 ? (uint64_t)value : (uint64_t)1 << 62;
}

static int64_t to_ms(double value) {
    return value > 0 && value < 0x1p53 ? (int64_t)ceil(value) : 0;
}

static double limit_to(double value, double low, double high) {
    return fmin(fmax(value, low), high);
}

/* Amdahl's law, relative to the threads that the footprint's figure is for. */
static double time_share(int threads) {
    return (serial_share + (1 - serial_share) / threads) /
           (serial_share + (1 - serial_share) / reference_threads);
}

static void reserve(double estimate, double upper, struct forecast *ret) {
    const double sure = fmax(upper, estimate);
    const double reserved =
        fmax(fmax(sure, estimate * (1 + FORECAST_MARGIN)), estimate + SLACK_BYTES);
    ret->predicted_bytes = to_bytes(estimate);
    ret->reserved_bytes = to_bytes(reserved);
    ret->margin_bytes = to_bytes(reserved - sure);
}

/* Whatever is above most is given up, the margin first. */
static void cut(uint64_t most, struct forecast *ret) {
    if (ret->reserved_bytes <= most)
        return;
    const uint64_t above = ret->reserved_bytes - most;
    ret->reserved_bytes = most;
    ret->margin_bytes -= above < ret->margin_bytes ? above : ret->margin_bytes;
}

static void forecast_of_pair(const struct forecast_task *task, const struct model *model,
                             int threads, uint64_t cap_bytes, struct forecast *ret) {
    struct footprint_pair pair = task->pair;
    pair.threads = (uint32_t)threads;
    pair.cap_bytes = cap_bytes;
    ret->basis = FORECAST_HEADERS;
    ret->prior_bytes = footprint_align_memory(&pair);
    ret->prior_ms = to_ms((double)footprint_align_time_ms(&pair) * time_share(threads));
    double expected = 1, upper = 1, slower = 1;
    if (model) {
        const struct model_forecast memory = model_memory(model, task->kind, task->size);
        const struct model_forecast time = model_time(model, task->kind, task->size);
        if (memory.shape != REGRESSION_NONE) {
            expected = limit_to(memory.estimate, least_correction, most_correction);
            upper = limit_to(memory.upper, least_correction, most_correction);
            ret->n_attempts = memory.n;
        }
        if (time.shape != REGRESSION_NONE)
            slower = time.estimate;
    }
    const double prior = (double)ret->prior_bytes;
    reserve(prior * expected, prior * upper, ret);
    /* a worker obeys its cap; what it was seen to need above it counts */
    if (ret->prior_bytes <= cap_bytes)
        cut(to_bytes((double)cap_bytes * fmax(1, upper)), ret);
    ret->time_ms = to_ms((double)ret->prior_ms * slower);
    if (ret->n_attempts == 0) /* if the headers' forecast is too low, it is for all alike */
        ret->margin_bytes = 0;
}

static void forecast_of_command(const struct forecast_task *task, const struct model *model,
                                struct forecast *ret) {
    if (model) {
        const struct model_forecast memory = model_memory(model, task->kind, task->size);
        const struct model_forecast time = model_time(model, task->kind, task->size);
        if (memory.shape != REGRESSION_NONE && isfinite(memory.upper)) {
            ret->basis = memory.shape == REGRESSION_ONE_SIZE ? FORECAST_ONE_SIZE : FORECAST_HISTORY;
            reserve(memory.estimate, memory.upper, ret);
            ret->n_attempts = memory.n;
            ret->is_beyond = memory.is_beyond;
            ret->is_guess = memory.is_far || memory.shape == REGRESSION_ONE_SIZE;
            ret->is_faster = memory.shape == REGRESSION_FASTER;
        }
        if (time.shape != REGRESSION_NONE)
            ret->time_ms = to_ms(time.estimate);
    }
    if (ret->basis == FORECAST_UNKNOWN) {
        ret->reserved_bytes = UINT64_MAX;
        ret->is_guess = true;
    }
    if (task->declared_bytes == 0)
        return;
    ret->basis = FORECAST_DECLARED;
    ret->is_guess = false;
    ret->reserved_bytes = task->declared_bytes;
    ret->margin_bytes = 0;
    if (ret->predicted_bytes == 0)
        ret->predicted_bytes = task->declared_bytes;
}

/* The margin is there for a history that does not hold; the more attempts there are, the less of it
 * needs to stay free. */
static void count(struct forecast *ret) {
    const size_t n = ret->n_attempts;
    const uint64_t least = ret->margin_bytes / LEAST_MARGIN_SHARE;
    uint64_t kept =
        n > PROVEN_ATTEMPTS ? ret->margin_bytes / n * PROVEN_ATTEMPTS : ret->margin_bytes;
    if (kept < least)
        kept = least;
    ret->counted_bytes = ret->reserved_bytes - ret->margin_bytes + kept;
    ret->margin_bytes = kept;
}

struct forecast forecast_make(const struct forecast_task *task, const struct model *model,
                              int threads, uint64_t cap_bytes) {
    struct forecast forecast = {0};
    if (task->is_pair)
        forecast_of_pair(task, model, threads, cap_bytes, &forecast);
    else
        forecast_of_command(task, model, &forecast);
    if (forecast.reserved_bytes < task->floor_bytes) {
        forecast.reserved_bytes = task->floor_bytes;
        forecast.margin_bytes = 0;
    }
    count(&forecast);
    return forecast;
}

uint64_t forecast_disk(const struct forecast_task *task) {
    return task->is_pair ? footprint_align_disk(&task->pair) : 0;
}

uint64_t forecast_file_bytes(const struct forecast_task *task) {
    return task->is_pair ? footprint_align_inputs(&task->pair) + footprint_align_disk(&task->pair)
                         : (uint64_t)fmin(task->size, 0x1p62);
}

const char *forecast_basis_name(enum forecast_basis basis) {
    static const char *const names[FORECAST_BASIS_COUNT] = {
        [FORECAST_UNKNOWN] = "unknown",   [FORECAST_ONE_SIZE] = "one-size",
        [FORECAST_HISTORY] = "history",   [FORECAST_HEADERS] = "headers",
        [FORECAST_DECLARED] = "declared",
    };
    return names[basis];
}
