/* See preflight.h. Asks the probe about every image and reads the machine and the disk; what comes
 * of it is preflight_choice's. */
#include "supervisor/memory/preflight.h"

#include "common/names.h"
#include "supervisor/memory/preflight_advice.h"
#include "supervisor/memory/preflight_choice.h"
#include "supervisor/memory/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PROBE_TIMEOUT_MS = 10000 /* headers of one file; a sleeping drive may need some seconds */ };

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

/* The bytes of what the manifest calls inputs; one that is not there counts as nothing. */
static double input_size(const struct task *task) {
    double bytes = 0;
    for (size_t i = 0; i < task->n_inputs; i++) {
        struct stat status;
        if (stat(task->inputs[i], &status) == 0)
            bytes += (double)status.st_size;
    }
    return bytes;
}

/* The task as the forecast wants it. *pair moves on behind a pair's images. */
static int describe(const struct task *task, struct probe_result **pair, struct model *model,
                    struct preflight *preflight, struct preflight_task *ret,
                    struct failure *failure) {
    ret->need = (struct forecast_task){.declared_bytes = task->memory_bytes};
    if (task->kind == TASK_ALIGN) {
        struct params params;
        struct probe_result *images = *pair;
        *pair += 2;
        if (take_error(images, ret)) {
            preflight->n_errors++;
            return 0;
        }
        int r = params_parse(task->params, &params, failure);
        if (r < 0)
            return r;
        ret->need = forecast_pair(&images[0].image, &images[1].image, &params);
    } else {
        ret->need.size = input_size(task);
    }
    ret->need.kind = model_kind(model, task->kind_name, task->kind == TASK_ALIGN);
    return ret->need.kind == SIZE_MAX ? out_of_memory(failure) : 0;
}

static int collect(const struct task_list *tasks, const bool *wanted, struct probes *probes,
                   struct model *model, struct preflight_choice *ret, struct preflight *preflight,
                   struct failure *failure) {
    struct probe_result *pair = probes->results;
    ret->tasks = calloc(tasks->count + 1, sizeof(*ret->tasks));
    ret->places = calloc(tasks->count + 1, sizeof(*ret->places));
    if (!ret->tasks || !ret->places)
        return out_of_memory(failure);
    for (size_t i = 0; i < tasks->count; i++) {
        struct preflight_task *task = &preflight->tasks[i];
        if (!is_started(tasks, wanted, i))
            continue;
        task->is_wanted = true;
        preflight->n_wanted++;
        int r = describe(&tasks->items[i], &pair, model, preflight, task, failure);
        if (r < 0)
            return r;
        if (task->error)
            continue;
        ret->tasks[ret->count] = task->need;
        ret->places[ret->count++] = i;
    }
    return 0;
}

/* ---- the whole ---- */

static int read_machine(const struct options *options, struct machine *ret,
                        struct failure *failure) {
    int r = machine_read(MACHINE_PROC_ROOT, MACHINE_CGROUP_ROOT, ret, failure);
    if (r < 0)
        return r;
    if (options->assume_memory_bytes > 0) { /* another machine: all of it is there for us */
        ret->available_bytes = ret->total_bytes = options->assume_memory_bytes;
        ret->is_cgroup_bound = false;
        ret->cgroup = (struct cgroup_limits){0};
    }
    if (options->assume_cpus > 0)
        ret->cores = options->assume_cpus;
    return 0;
}

/* Each kind once. */
static int note_faster(const struct task *task, struct preflight *preflight,
                       struct failure *failure) {
    for (char *const *name = preflight->faster; name && *name; name++)
        if (strcmp(*name, task->kind_name) == 0)
            return 0;
    return names_append(&preflight->faster, task->kind_name) < 0 ? out_of_memory(failure) : 0;
}

/* A sample's folder may be a link, or the checkpoints a mount of their own. */
static int find_ram(const struct options *options, const struct task_list *tasks,
                    struct preflight *preflight, struct failure *failure) {
    for (size_t i = 0; i < tasks->count; i++) {
        struct preflight_task *task = &preflight->tasks[i];
        if (!task->is_wanted || task->error || !task->need.is_pair)
            continue;
        struct space space;
        CLEANUP_FREE char *folder =
            names_format("%s/%s/checkpoints", options->out, tasks->items[i].id);
        if (!folder)
            return out_of_memory(failure);
        task->is_in_ram =
            preflight->space.is_ram || (space_read(folder, &space, failure) == 0 && space.is_ram);
    }
    return 0;
}

static int fill(const struct options *options, const struct task_list *tasks, const bool *wanted,
                const char *worker, struct model *model, struct preflight *preflight,
                struct failure *failure) {
    CLEANUP(probes_free) struct probes probes = {0};
    CLEANUP(preflight_choice_free) struct preflight_choice choice = {0};
    preflight->n_tasks = tasks->count;
    preflight->tasks = calloc(tasks->count + 1, sizeof(*preflight->tasks));
    if (!preflight->tasks)
        return out_of_memory(failure);
    int r = read_machine(options, &preflight->machine, failure);
    if (r == 0)
        r = space_read(options->out, &preflight->space, failure);
    if (r == 0)
        r = probe_pairs(tasks, wanted, worker, &probes, failure);
    if (r == 0)
        r = collect(tasks, wanted, &probes, model, &choice, preflight, failure);
    if (r < 0)
        return r;
    r = find_ram(options, tasks, preflight, failure);
    if (r < 0)
        return r;
    (void)model_refresh(model);
    r = preflight_choice_make(options, model, &choice, preflight, failure);
    for (size_t i = 0; r == 0 && i < choice.count; i++)
        if (preflight->tasks[choice.places[i]].forecast.is_faster)
            r = note_faster(&tasks->items[choice.places[i]], preflight, failure);
    return r < 0 ? r : preflight_advice_fill(options, &choice.sizing, preflight, failure);
}

int preflight_run(const struct options *options, const struct task_list *tasks, const bool *wanted,
                  const char *worker, struct model *model, struct preflight *ret,
                  struct failure *failure) {
    CLEANUP(preflight_free) struct preflight preflight = {0};
    int r = fill(options, tasks, wanted, worker, model, &preflight, failure);
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
    names_free(preflight->faster);
    *preflight = (struct preflight){0};
}
