/* See sizing.h. Predictions change with the threads, and `auto` threads with the jobs, so each
 * candidate is counted anew; batches have at most thousands of tasks and machines hundreds of
 * cores. */
#include "supervisor/memory/sizing.h"

#include "common/checked.h"

enum { CAP_STEP_BYTES = 10 << 20 };

static int compare_descending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

struct forecast sizing_forecast(const struct sizing *sizing, size_t task, int threads) {
    return forecast_make(&sizing->tasks[task], sizing->model, threads, sizing->cap_bytes);
}

uint64_t sizing_counted(const struct sizing *sizing, const struct forecast *forecast) {
    if (forecast->basis != FORECAST_UNKNOWN)
        return forecast->reserved_bytes;
    const int jobs = sizing->jobs > 0 ? sizing->jobs : sizing->cores;
    const uint64_t share =
        sizing_comfortable(sizing->limit_bytes) / (uint64_t)(jobs > 0 ? jobs : 1);
    return share < FORECAST_COMMAND_BYTES ? share : FORECAST_COMMAND_BYTES;
}

uint64_t sizing_needed(const struct sizing *sizing, int jobs, int threads) {
    uint64_t needed = sizing->results_bytes;
    if (sizing->n_tasks == 0)
        return needed;
    CLEANUP_FREE uint64_t *memory = calloc(sizing->n_tasks, sizeof(*memory));
    if (!memory)
        return UINT64_MAX;
    for (size_t i = 0; i < sizing->n_tasks; i++) {
        const struct forecast forecast = sizing_forecast(sizing, i, threads);
        memory[i] = sizing_counted(sizing, &forecast);
    }
    qsort(memory, sizing->n_tasks, sizeof(*memory), compare_descending);
    for (size_t i = 0; i < sizing->n_tasks && i < (size_t)jobs; i++)
        if (!checked_add_u64(needed, memory[i], &needed))
            return UINT64_MAX;
    return needed;
}

/* How many of the jobs are busy from the start: a variant whose map another one makes waits for it.
 */
static int busy_jobs(const struct sizing *sizing, int jobs) {
    int busy = 0;
    for (size_t i = 0; i < sizing->n_tasks && busy < jobs; i++)
        busy += !(sizing->tasks[i].is_pair && sizing->tasks[i].pair.has_map);
    return busy > 0 ? busy : 1;
}

int sizing_threads(const struct sizing *sizing, int jobs) {
    if (sizing->threads > 0)
        return sizing->threads;
    const int share = sizing->cores / busy_jobs(sizing, jobs);
    return share > 0 ? share : 1;
}

static int at_most_tasks(const struct sizing *sizing, int jobs) {
    const size_t n = sizing->n_tasks > 0 ? sizing->n_tasks : 1;
    return (size_t)jobs < n ? jobs : (int)n;
}

int sizing_jobs_within(const struct sizing *sizing, int jobs, uint64_t bytes) {
    for (int j = jobs - 1; j > 0; j--)
        if (sizing_needed(sizing, j, sizing_threads(sizing, j)) <= bytes)
            return j;
    return 0;
}

int sizing_jobs(const struct sizing *sizing) {
    if (sizing->jobs > 0)
        return at_most_tasks(sizing, sizing->jobs);
    const int most = at_most_tasks(sizing, sizing->cores);
    const int fit = sizing_jobs_within(sizing, most + 1, sizing_comfortable(sizing->limit_bytes));
    return fit > 0 ? fit : 1;
}

uint64_t sizing_cap_within(const struct sizing *sizing, int jobs, uint64_t bytes) {
    struct sizing changed = *sizing;
    const int threads = sizing_threads(sizing, jobs);
    uint64_t low = (FOOTPRINT_LEAST_CAP_BYTES + CAP_STEP_BYTES - 1) / CAP_STEP_BYTES;
    uint64_t high = sizing->cap_bytes / CAP_STEP_BYTES; /* steps; the need grows with the cap */
    uint64_t best = 0;
    while (low <= high) {
        const uint64_t middle = low + (high - low) / 2;
        changed.cap_bytes = middle * CAP_STEP_BYTES;
        if (changed.cap_bytes < sizing->cap_bytes &&
            sizing_needed(&changed, jobs, threads) <= bytes) {
            best = changed.cap_bytes;
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    return best;
}

uint64_t sizing_comfortable(uint64_t limit_bytes) { return limit_bytes - limit_bytes / 5; }
