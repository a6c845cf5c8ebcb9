/* See forecast.h. */
#include "supervisor/memory/forecast.h"

#include <math.h>

struct forecast_task forecast_pair(const struct footprint_image *pre,
                                   const struct footprint_image *post,
                                   const struct params *params) {
    /* each scale that is known besides the fitted one has a difference image of its own */
    const uint32_t n_differences =
        1 + (isnan(params->scale_percentile) ? 0U : 1U) + (isnan(params->manual_scale) ? 0U : 1U);
    return (struct forecast_task){
        .is_pair = true,
        .pair = {.pre = *pre,
                 .post = *post,
                 .pad = (uint32_t)params->pad,
                 .n_differences = n_differences,
                 .compressed = params->compression != PARAMS_COMPRESSION_NONE},
    };
}

uint64_t forecast_memory(const struct forecast_task *task, int threads, uint64_t cap_bytes) {
    if (!task->is_pair)
        return task->declared_bytes ? task->declared_bytes : FORECAST_COMMAND_BYTES;
    struct footprint_pair pair = task->pair;
    pair.threads = (uint32_t)threads;
    pair.cap_bytes = cap_bytes;
    return footprint_align_memory(&pair);
}

uint64_t forecast_disk(const struct forecast_task *task) {
    return task->is_pair ? footprint_align_disk(&task->pair) : 0;
}

int64_t forecast_time_ms(const struct forecast_task *task, int threads) {
    if (!task->is_pair)
        return 0;
    struct footprint_pair pair = task->pair;
    pair.threads = (uint32_t)threads;
    return footprint_align_time_ms(&pair);
}
