/* See preflight.h. Asks the probe about every image, predicts each task, reads the machine and the
 * disk, and holds one against the other. */
#include "supervisor/memory/preflight.h"

#include "common/checked.h"
#include "common/names.h"
#include "supervisor/memory/preflight_advice.h"
#include "supervisor/memory/probe.h"
#include "supervisor/memory/sizing.h"

#include <errno.h>

enum { PROBE_TIMEOUT_MS = 10000 /* headers of one file; a sleeping drive may need some seconds */ };

/* Tasks that will be started and can be predicted, with their place in the list. */
struct predictable {
    struct forecast_task *tasks;
    size_t *places;
    size_t count;
};

static void predictable_free(struct predictable *predictable) {
    free(predictable->tasks);
    free(predictable->places);
}

struct probes {
    const char **paths; /* borrowed strings */
    struct probe_result *results;
    size_t count;
};

static void probes_free(struct probes *probes) {
    if (probes->results)
        probe_results_free(probes->results, probes->count);
    free(probes->results);
    free(probes->paths);
}

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "out of memory in the pre-flight");
}

static bool is_started(const struct task_list *tasks, const bool *wanted, size_t i) {
    return !tasks->items[i].broken && (!wanted || wanted[i]);
}

/* ---- gathering ---- */

static int probe_pairs(const struct task_list *tasks, const bool *wanted, const char *worker,
                       struct probes *probes, struct failure *failure) {
    probes->paths = calloc(2 * tasks->count + 1, sizeof(*probes->paths));
    probes->results = calloc(2 * tasks->count + 1, sizeof(*probes->results));
    if (!probes->paths || !probes->results)
        return out_of_memory(failure);
    for (size_t i = 0; i < tasks->count; i++) {
        const struct task *task = &tasks->items[i];
        if (task->kind != TASK_ALIGN || !is_started(tasks, wanted, i))
            continue;
        probes->paths[probes->count++] = task->inputs[0];
        probes->paths[probes->count++] = task->inputs[1];
    }
    if (probes->count == 0)
        return 0;
    return probe_headers(worker, probes->paths, probes->count, PROBE_TIMEOUT_MS, probes->results,
                         failure);
}

/* Moves the pair's error, if either image has one, to the task. */
static bool take_error(struct probe_result *pair, struct preflight_task *task) {
    for (size_t i = 0; i < 2 && !task->error; i++)
        task->error = STEAL_PTR(pair[i].error);
    return task->error != NULL;
}

static int collect(const struct task_list *tasks, const bool *wanted, struct probes *probes,
                   struct predictable *ret, struct preflight *preflight, struct failure *failure) {
    struct probe_result *pair = probes->results;
    ret->tasks = calloc(tasks->count + 1, sizeof(*ret->tasks));
    ret->places = calloc(tasks->count + 1, sizeof(*ret->places));
    if (!ret->tasks || !ret->places)
        return out_of_memory(failure);
    for (size_t i = 0; i < tasks->count; i++) {
        const struct task *task = &tasks->items[i];
        if (!is_started(tasks, wanted, i))
            continue;
        preflight->tasks[i].is_wanted = true;
        preflight->n_wanted++;
        struct forecast_task forecast = {.declared_bytes = task->memory_bytes};
        if (task->kind == TASK_ALIGN) {
            struct params params;
            struct probe_result *images = pair;
            pair += 2;
            if (take_error(images, &preflight->tasks[i])) {
                preflight->n_errors++;
                continue;
            }
            int r = params_parse(task->params, &params, failure);
            if (r < 0)
                return r;
            forecast = forecast_pair(&images[0].image, &images[1].image, &params);
        } else if (task->memory_bytes == 0) {
            preflight->n_assumed++;
        }
        ret->tasks[ret->count] = forecast;
        ret->places[ret->count++] = i;
    }
    return 0;
}

/* ---- holding one against the other ---- */

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

/* The disk is summed first: on tmpfs it is a part of what memory is needed. */
static void predict_disk(const struct predictable *predictable, struct preflight *preflight) {
    uint64_t sum = 0;
    for (size_t i = 0; i < predictable->count; i++) {
        const uint64_t disk = forecast_disk(&predictable->tasks[i]);
        preflight->tasks[predictable->places[i]].disk_bytes = disk;
        if (!checked_add_u64(sum, disk, &sum))
            sum = UINT64_MAX;
    }
    preflight->disk_needed_bytes = sum;
    preflight->disk_free_bytes = preflight->space.free_bytes;
    preflight->disk_level = level_of(sum, preflight->disk_free_bytes);
}

static void predict_tasks(const struct predictable *predictable, uint64_t cap_bytes,
                          struct preflight *preflight) {
    int64_t time_ms = 0;
    for (size_t i = 0; i < predictable->count; i++) {
        struct preflight_task *task = &preflight->tasks[predictable->places[i]];
        const struct forecast_task *forecast = &predictable->tasks[i];
        task->memory_bytes = forecast_memory(forecast, preflight->threads, cap_bytes);
        task->time_ms = forecast_time_ms(forecast, preflight->threads);
        time_ms += task->time_ms;
        if (task->memory_bytes > preflight->largest_bytes)
            preflight->largest_bytes = task->memory_bytes;
    }
    preflight->time_ms = time_ms / preflight->jobs;
}

static void choose(const struct sizing *sizing, const struct predictable *predictable,
                   struct preflight *preflight) {
    preflight->jobs = sizing_jobs(sizing);
    preflight->threads = sizing_threads(sizing, preflight->jobs);
    predict_tasks(predictable, sizing->cap_bytes, preflight);
    preflight->memory_needed_bytes = sizing_needed(sizing, preflight->jobs, preflight->threads);
    preflight->memory_limit_bytes = sizing->limit_bytes;
    preflight->memory_level = level_of(preflight->memory_needed_bytes, sizing->limit_bytes);
    const uint64_t workers = preflight->memory_needed_bytes - sizing->results_bytes;
    const uint64_t at_once = predictable->count < (size_t)preflight->jobs
                                 ? predictable->count
                                 : (uint64_t)preflight->jobs;
    const uint64_t if_uniform = at_once * preflight->largest_bytes;
    preflight->is_uniform = if_uniform - workers <= if_uniform / 100;
    /* whoever asked for these jobs, knowing the warning or by force, gets them */
    const uint64_t comfortable = sizing_comfortable(sizing->limit_bytes);
    const uint64_t rest =
        comfortable > sizing->results_bytes ? comfortable - sizing->results_bytes : 0;
    preflight->memory_budget_bytes = workers > rest ? workers : rest;
}

static int fill(const struct options *options, const struct task_list *tasks, const bool *wanted,
                const char *worker, struct preflight *preflight, struct failure *failure) {
    CLEANUP(probes_free) struct probes probes = {0};
    CLEANUP(predictable_free) struct predictable predictable = {0};
    preflight->n_tasks = tasks->count;
    preflight->tasks = calloc(tasks->count + 1, sizeof(*preflight->tasks));
    if (!preflight->tasks)
        return out_of_memory(failure);
    int r = machine_read(MACHINE_PROC_ROOT, MACHINE_CGROUP_ROOT, &preflight->machine, failure);
    if (r == 0)
        r = space_read(options->out, &preflight->space, failure);
    if (r == 0)
        r = probe_pairs(tasks, wanted, worker, &probes, failure);
    if (r == 0)
        r = collect(tasks, wanted, &probes, &predictable, preflight, failure);
    if (r < 0)
        return r;
    predict_disk(&predictable, preflight);
    const struct sizing sizing = {
        .tasks = predictable.tasks,
        .n_tasks = predictable.count,
        .cores = preflight->machine.cores,
        .jobs = options->jobs,
        .threads = options->threads,
        .cap_bytes = options->worker_memory_bytes,
        .limit_bytes = memory_limit(options, preflight->machine.available_bytes),
        .results_bytes = preflight->space.is_ram ? preflight->disk_needed_bytes : 0,
    };
    choose(&sizing, &predictable, preflight);
    return preflight_advice_fill(options, &sizing, preflight, failure);
}

int preflight_run(const struct options *options, const struct task_list *tasks, const bool *wanted,
                  const char *worker, struct preflight *ret, struct failure *failure) {
    CLEANUP(preflight_free) struct preflight preflight = {0};
    int r = fill(options, tasks, wanted, worker, &preflight, failure);
    if (r < 0)
        return r;
    *ret = preflight;
    preflight = (struct preflight){0};
    return 0;
}

enum preflight_level preflight_level(const struct preflight *preflight) {
    return preflight->memory_level > preflight->disk_level ? preflight->memory_level
                                                           : preflight->disk_level;
}

void preflight_free(struct preflight *preflight) {
    for (size_t i = 0; preflight->tasks && i < preflight->n_tasks; i++)
        free(preflight->tasks[i].error);
    free(preflight->tasks);
    names_free(preflight->memory_advice);
    names_free(preflight->disk_advice);
    *preflight = (struct preflight){0};
}
