/* What one task is predicted to need, before there is any history. Pure.
 *
 * Pairs: by common/footprint.h, from their headers. Commands: what the manifest declares, else a
 * careful figure; what they write and how long they take is not known.
 */
#ifndef SUPERVISOR_MEMORY_FORECAST_H
#define SUPERVISOR_MEMORY_FORECAST_H

#include "common/footprint.h"
#include "common/params.h"

enum { FORECAST_COMMAND_BYTES = 256 << 20 };

struct forecast_task {
    bool is_pair;
    struct footprint_pair pair; /* threads and cap are filled in by the functions below */
    uint64_t declared_bytes;    /* commands: 0 is not declared */
};

/* The pair as the footprint wants it. */
struct forecast_task forecast_pair(const struct footprint_image *pre,
                                   const struct footprint_image *post, const struct params *params);

uint64_t forecast_memory(const struct forecast_task *task, int threads, uint64_t cap_bytes);
uint64_t forecast_disk(const struct forecast_task *task);
int64_t forecast_time_ms(const struct forecast_task *task, int threads); /* 0: unknown */

#endif
