/* See preflight_choice.h. Pairs alone: every worker needs its share for as long as it runs, so the
 * number of workers is the question. With commands the reservations decide from task to task, and
 * the number of jobs is only the most there may be. */
#include "supervisor/memory/preflight_choice.h"

#include "common/checked.h"
#include "supervisor/memory/schedule.h"

enum { RESERVE_SHARE = 16 /* of what is available stays free whatever --memory says */ };

void preflight_choice_free(struct preflight_choice *choice) {
    free(choice->tasks);
    free(choice->places);
}

static enum preflight_level level_of(uint64_t needed, uint64_t limit) {
    if (needed <= sizing_comfortable(limit))
        return PREFLIGHT_OK;
    return needed <= limit ? PREFLIGHT_WARNING : PREFLIGHT_REFUSED;
}

/* What the need is held against: what is available, or less where the user says so. */
static uint64_t memory_limit(const struct options *options, uint64_t available) {
    if (options->memory_share > 0)
        return (uint64_t)((double)available * options->memory_share);
    if (options->memory_bytes > 0 && options->memory_bytes < available)
        return options->memory_bytes;
    return available;
}

/* What reservations may add up to: a limit that the user has set may be used up, but something of
 * what is available is always left. */
static uint64_t usable(const struct options *options, const struct preflight *preflight) {
    const uint64_t available = preflight->machine.available_bytes;
    const uint64_t limit = memory_limit(options, available);
    const uint64_t most = available - available / RESERVE_SHARE;
    if (options->memory_bytes == 0 && !(options->memory_share > 0))
        return sizing_comfortable(available);
    return limit < most ? limit : most;
}

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* The disk is summed first: on tmpfs it is a part of what memory is needed. */
static void predict_disk(const struct preflight_choice *choice, struct preflight *preflight) {
    uint64_t sum = 0, in_ram = 0;
    for (size_t i = 0; i < choice->count; i++) {
        const uint64_t disk = forecast_disk(&choice->tasks[i]);
        preflight->tasks[choice->places[i]].disk_bytes = disk;
        if (!checked_add_u64(sum, disk, &sum))
            sum = UINT64_MAX;
        if (preflight->tasks[choice->places[i]].is_in_ram &&
            !checked_add_u64(in_ram, disk, &in_ram))
            in_ram = UINT64_MAX;
    }
    preflight->results_in_ram_bytes = in_ram;
    preflight->disk_needed_bytes = sum;
    preflight->disk_free_bytes = preflight->space.free_bytes;
    preflight->disk_level = level_of(sum, preflight->disk_free_bytes);
}

/* ---- jobs, threads and the cap ---- */

static bool has_commands(const struct preflight_choice *choice) {
    for (size_t i = 0; i < choice->count; i++)
        if (!choice->tasks[i].is_pair)
            return true;
    return false;
}

/* The batch's length with so many jobs. -ENOMEM. */
static int play(const struct preflight_choice *choice, int jobs, int threads, uint64_t budget,
                int64_t *ret_ms, int *ret_at_once) {
    CLEANUP_FREE struct schedule_task *tasks = calloc(choice->count + 1, sizeof(*tasks));
    if (!tasks)
        return -ENOMEM;
    for (size_t i = 0; i < choice->count; i++) {
        const struct forecast forecast = sizing_forecast(&choice->sizing, i, threads);
        tasks[i].memory_bytes = sizing_counted(&choice->sizing, &forecast);
        tasks[i].time_ms = forecast.time_ms;
    }
    return schedule_play(tasks, choice->count, jobs, budget, ret_ms, ret_at_once);
}

/* Many workers with one thread, or fewer with several: whichever is done first. Only pairs have
 * threads. Fewer jobs must be worth it: forecasts of time are rough. */
static int jobs_by_time(const struct preflight_choice *choice, int most) {
    int best = most;
    int64_t best_ms = INT64_MAX;
    for (int jobs = most; jobs > 0; jobs = jobs > 16 ? jobs / 2 : jobs - 1) {
        int64_t ms = 0;
        int at_once = 0;
        if (play(choice, jobs, sizing_threads(&choice->sizing, jobs), 0, &ms, &at_once) < 0)
            return most;
        if (best_ms == INT64_MAX || ms < best_ms - best_ms / 10) {
            best = jobs;
            best_ms = ms;
        }
    }
    return best;
}

/* A smaller cap before anything is refused, unless the user has set it. */
static void shrink_cap(const struct options *options, struct preflight_choice *choice, int jobs,
                       uint64_t limit, struct preflight *preflight) {
    struct sizing *sizing = &choice->sizing;
    if (options->is_worker_memory_given ||
        sizing_needed(sizing, jobs, sizing_threads(sizing, jobs)) <= limit)
        return;
    const uint64_t cap = sizing_cap_within(sizing, jobs, limit);
    if (cap == 0)
        return;
    sizing->cap_bytes = cap;
    preflight->is_cap_shrunk = true;
}

static void choose_jobs(const struct options *options, struct preflight_choice *choice,
                        struct preflight *preflight) {
    struct sizing *sizing = &choice->sizing;
    const uint64_t comfortable = sizing_comfortable(sizing->limit_bytes);
    const uint64_t limit = sizing->jobs > 0 ? sizing->limit_bytes : comfortable;
    const bool is_elastic = has_commands(choice);
    shrink_cap(options, choice, is_elastic ? 1 : sizing_jobs(sizing), limit, preflight);
    preflight->at_once = sizing_jobs(sizing);
    if (sizing->jobs == 0 && sizing->threads == 0 && !is_elastic && preflight->at_once > 1)
        preflight->at_once = jobs_by_time(choice, preflight->at_once);
    preflight->jobs = preflight->at_once;
    if (!is_elastic) {
        preflight->threads = sizing_threads(sizing, preflight->jobs);
        return;
    }
    const int wanted = sizing->jobs > 0 ? sizing->jobs : sizing->cores;
    preflight->jobs = choice->count < (size_t)wanted ? (int)choice->count : wanted;
    preflight->threads = sizing_threads(sizing, preflight->jobs);
    /* where not all fit, the rest waits: what is told is what is comfortable */
    const bool do_all_fit =
        sizing_needed(sizing, preflight->jobs, preflight->threads) <= sizing->limit_bytes;
    const int fit =
        sizing_jobs_within(sizing, preflight->jobs + 1, do_all_fit ? limit : comfortable);
    preflight->at_once = fit > 0 ? fit : 1;
}

/* ---- what it needs ---- */

static void predict_task(const struct preflight_choice *choice, size_t i,
                         struct preflight *preflight) {
    struct preflight_task *task = &preflight->tasks[choice->places[i]];
    task->forecast = sizing_forecast(&choice->sizing, i, preflight->threads);
    task->memory_bytes = sizing_counted(&choice->sizing, &task->forecast);
    task->time_ms = task->forecast.time_ms;
    preflight->n_untimed += task->time_ms == 0;
    preflight->n_beyond += task->forecast.is_beyond;
    preflight->n_assumed += task->forecast.basis == FORECAST_UNKNOWN;
    if (task->memory_bytes > preflight->largest_bytes)
        preflight->largest_bytes = task->memory_bytes;
    if (task->memory_bytes <= less(choice->sizing.limit_bytes, choice->sizing.results_bytes))
        return;
    if (preflight->n_too_large++ == 0)
        preflight->too_large = choice->places[i];
}

static void weigh(const struct options *options, const struct preflight_choice *choice,
                  struct preflight *preflight) {
    const struct sizing *sizing = &choice->sizing;
    const int at_once =
        choice->count < (size_t)preflight->at_once ? (int)choice->count : preflight->at_once;
    preflight->memory_limit_bytes = sizing->limit_bytes;
    preflight->memory_needed_bytes = sizing_needed(sizing, preflight->at_once, preflight->threads);
    preflight->memory_level = level_of(preflight->memory_needed_bytes, sizing->limit_bytes);
    const uint64_t workers = preflight->memory_needed_bytes - sizing->results_bytes;
    const uint64_t if_uniform = (uint64_t)at_once * preflight->largest_bytes;
    preflight->is_uniform = if_uniform - workers <= if_uniform / 100;
    /* whoever asked for these jobs, knowing the warning or by force, gets them */
    const uint64_t rest = less(usable(options, preflight), sizing->results_bytes);
    preflight->memory_budget_bytes = workers > rest ? workers : rest;
}

int preflight_choice_make(const struct options *options, const struct model *model,
                          struct preflight_choice *choice, struct preflight *preflight,
                          struct failure *failure) {
    predict_disk(choice, preflight);
    choice->sizing = (struct sizing){
        .tasks = choice->tasks,
        .n_tasks = choice->count,
        .model = model,
        .cores = preflight->machine.cores,
        .jobs = options->jobs,
        .threads = options->threads,
        .cap_bytes = options->worker_memory_bytes,
        .limit_bytes = memory_limit(options, preflight->machine.available_bytes),
        .results_bytes = preflight->results_in_ram_bytes,
    };
    choose_jobs(options, choice, preflight);
    preflight->cap_bytes = choice->sizing.cap_bytes;
    for (size_t i = 0; i < choice->count; i++)
        predict_task(choice, i, preflight);
    weigh(options, choice, preflight);
    if (play(choice, preflight->jobs, preflight->threads, preflight->memory_budget_bytes,
             &preflight->time_ms, &preflight->most_at_once) < 0)
        return failure_set(failure, -ENOMEM, "out of memory in the pre-flight");
    return 0;
}
