/* How long a batch takes: played in the order of the admission, with the forecasts. Pure. */
#ifndef SUPERVISOR_MEMORY_SCHEDULE_H
#define SUPERVISOR_MEMORY_SCHEDULE_H

#include "common/cleanup.h"

#include <stdint.h>

struct schedule_task {
    uint64_t memory_bytes;
    int64_t time_ms; /* 0: unknown, counts as nothing */
};

/* Sorts the tasks, large first. budget_bytes 0: no limit; a task above it runs alone. -ENOMEM. */
MUST_USE int schedule_play(struct schedule_task *tasks, size_t count, int jobs,
                           uint64_t budget_bytes, int64_t *ret_ms, int *ret_at_once);

#endif
