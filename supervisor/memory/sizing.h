/* How many workers at once, with how many threads each, so that they fit. Pure.
 *
 * What j workers need at once is the sum of the j largest reservations: no order of the tasks can
 * need more.
 */
#ifndef SUPERVISOR_MEMORY_SIZING_H
#define SUPERVISOR_MEMORY_SIZING_H

#include "common/failure.h"
#include "supervisor/memory/forecast.h"

#include <stddef.h>

struct sizing {
    const struct forecast_task *tasks; /* borrowed */
    size_t n_tasks;
    const struct model *model; /* borrowed; NULL: no history */
    int cores;
    int jobs, threads;      /* as asked; 0: auto */
    uint64_t cap_bytes;     /* of each pair's worker */
    uint64_t limit_bytes;   /* of all together */
    uint64_t results_bytes; /* results that are written to RAM: part of the need */
};

/* What one task is predicted to need. What nothing is known of is counted with a share of the limit
 * that all jobs have, and at most FORECAST_COMMAND_BYTES: it will be learned, and refuses nothing.
 */
struct forecast sizing_forecast(const struct sizing *sizing, size_t task, int threads);
uint64_t sizing_counted(const struct sizing *sizing, const struct forecast *forecast);
/* What jobs workers with so many threads need, results included. UINT64_MAX: more than fits into a
 * number, or no memory left to count it. */
uint64_t sizing_needed(const struct sizing *sizing, int jobs, int threads);
/* Threads of each of so many workers: as asked, or the cores shared out among those that do not
 * wait for another one's map; at least 1. */
int sizing_threads(const struct sizing *sizing, int jobs);
/* Jobs: as asked, at most one per task; auto: the most that the cores allow and that need no more
 * than the comfortable part of the limit. At least 1. */
int sizing_jobs(const struct sizing *sizing);
/* The most jobs, below `jobs`, that need at most bytes; 0: none. */
int sizing_jobs_within(const struct sizing *sizing, int jobs, uint64_t bytes);
/* The largest cap (whole 10 MiB) below the one in use with which jobs workers need at most bytes;
 * 0: none that align accepts. */
uint64_t sizing_cap_within(const struct sizing *sizing, int jobs, uint64_t bytes);

/* 80 % of a limit: up to there all is well. */
uint64_t sizing_comfortable(uint64_t limit_bytes);

#endif
