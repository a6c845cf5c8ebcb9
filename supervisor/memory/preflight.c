/* See preflight.h. Reads the machine and the disk; what comes of that and of the tasks' needs is
 * preflight_choice's. */
#include "supervisor/memory/preflight.h"

#include "common/names.h"
#include "supervisor/memory/preflight_advice.h"
#include "supervisor/memory/preflight_choice.h"

#include <errno.h>
#include <string.h>

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "out of memory in the pre-flight");
}

/* ---- gathering ---- */

static int collect(const struct task_list *tasks, const bool *wanted,
                   const struct preflight_needs *needs, struct model *model,
                   struct preflight_choice *ret, struct preflight *preflight,
                   struct failure *failure) {
    ret->tasks = calloc(tasks->count + 1, sizeof(*ret->tasks));
    ret->places = calloc(tasks->count + 1, sizeof(*ret->places));
    if (!ret->tasks || !ret->places)
        return out_of_memory(failure);
    for (size_t i = 0; i < tasks->count; i++) {
        struct preflight_task *task = &preflight->tasks[i];
        if (!preflight_needs_is_wanted(tasks, wanted, i))
            continue;
        task->is_wanted = true;
        preflight->n_wanted++;
        if (needs->items[i].error) {
            task->error = strdup(needs->items[i].error);
            if (!task->error)
                return out_of_memory(failure);
            preflight->n_errors++;
            continue;
        }
        task->need = needs->items[i].need;
        task->need.kind = model_kind(model, tasks->items[i].kind_name, NULL, task->need.is_pair);
        if (task->need.kind == SIZE_MAX)
            return out_of_memory(failure);
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
                const struct preflight_needs *needs, struct model *model,
                struct preflight *preflight, struct failure *failure) {
    CLEANUP(preflight_choice_free) struct preflight_choice choice = {0};
    preflight->n_tasks = tasks->count;
    preflight->tasks = calloc(tasks->count + 1, sizeof(*preflight->tasks));
    if (!preflight->tasks)
        return out_of_memory(failure);
    int r = read_machine(options, &preflight->machine, failure);
    if (r == 0)
        r = space_read(options->out, &preflight->space, failure);
    if (r == 0)
        r = collect(tasks, wanted, needs, model, &choice, preflight, failure);
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

int preflight_judge(const struct options *options, const struct task_list *tasks,
                    const bool *wanted, const struct preflight_needs *needs, struct model *model,
                    struct preflight *ret, struct failure *failure) {
    CLEANUP(preflight_free) struct preflight preflight = {0};
    int r = fill(options, tasks, wanted, needs, model, &preflight, failure);
    if (r < 0)
        return r;
    *ret = preflight;
    preflight = (struct preflight){0};
    return 0;
}

int preflight_run(const struct options *options, const struct task_list *tasks, const bool *wanted,
                  const char *worker, struct model *model, struct preflight *ret,
                  struct failure *failure) {
    CLEANUP(preflight_needs_free) struct preflight_needs needs = {0};
    int r = preflight_needs_gather(tasks, wanted, worker, &needs, failure);
    return r < 0 ? r : preflight_judge(options, tasks, wanted, &needs, model, ret, failure);
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
