/* See preflight_needs.h. All images are asked of one round of probes; a pair of which one image
 * cannot be read keeps the first complaint. */
#include "supervisor/memory/preflight_needs.h"

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

bool preflight_needs_is_wanted(const struct task_list *tasks, const bool *wanted, size_t i) {
    return !tasks->items[i].broken && (!wanted || wanted[i]);
}

static int probe_pairs(const struct task_list *tasks, const bool *wanted, const char *worker,
                       struct probes *probes, struct failure *failure) {
    probes->paths = calloc(2 * tasks->count + 1, sizeof(*probes->paths));
    probes->results = calloc(2 * tasks->count + 1, sizeof(*probes->results));
    if (!probes->paths || !probes->results)
        return out_of_memory(failure);
    for (size_t i = 0; i < tasks->count; i++) {
        const struct task *task = &tasks->items[i];
        if (task->kind != TASK_ALIGN || !preflight_needs_is_wanted(tasks, wanted, i))
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
static bool take_error(struct probe_result *pair, struct preflight_need *ret) {
    for (size_t i = 0; i < 2 && !ret->error; i++)
        ret->error = STEAL_PTR(pair[i].error);
    return ret->error != NULL;
}

/* The bytes of what the manifest calls inputs; one that is not there counts as nothing. */
double preflight_needs_input_size(const struct task *task) {
    double bytes = 0;
    for (size_t i = 0; i < task->n_inputs; i++) {
        struct stat status;
        if (stat(task->inputs[i], &status) == 0)
            bytes += (double)status.st_size;
    }
    return bytes;
}

/* The task as the forecast wants it. *pair moves on behind a pair's images. */
static int describe(const struct task *task, struct probe_result **pair, struct preflight_need *ret,
                    struct failure *failure) {
    struct params params;
    struct probe_result *images = *pair;
    ret->need = (struct forecast_task){.declared_bytes = task->memory_bytes};
    if (task->kind != TASK_ALIGN) {
        ret->need.size = preflight_needs_input_size(task);
        return 0;
    }
    *pair += 2;
    if (take_error(images, ret))
        return 0;
    int r = params_parse(task->params, &params, failure);
    if (r == 0)
        ret->need = forecast_pair(&images[0].image, &images[1].image, &params);
    return r;
}

/* What variants before it in the list, which are wanted too, make for all or for it. */
static void find_shared(const struct task_list *tasks, const bool *wanted, size_t i,
                        struct preflight_needs *needs) {
    const struct task *task = &tasks->items[i];
    struct footprint_pair *pair = &needs->items[i].need.pair;
    for (size_t k = i; task->shared && k-- > 0;) {
        const struct task *other = &tasks->items[k];
        if (!other->shared || strcmp(other->shared, task->shared) != 0)
            break;
        if (!preflight_needs_is_wanted(tasks, wanted, k) || needs->items[k].error)
            continue;
        pair->has_signal |= params_agree(task->params, other->params, PARAMS_EFFECT_SIGNAL);
        pair->has_map |= params_agree(task->params, other->params, PARAMS_EFFECT_MAP);
        /* a file with several parts in it is written anew for each variant */
        if (!params_agree(task->params, other->params, PARAMS_EFFECT_PICTURE) ||
            pair->format != PARAMS_FORMAT_TIFF)
            continue;
        pair->has_picture = true;
        if (pair->n_differences > 1) /* but the one by the fitted scale, which both have */
            needs->items[k].need.pair.n_ahead += pair->n_differences - 1;
    }
}

int preflight_needs_gather(const struct task_list *tasks, const bool *wanted, const char *worker,
                           struct preflight_needs *ret, struct failure *failure) {
    CLEANUP(probes_free) struct probes probes = {0};
    CLEANUP(preflight_needs_free) struct preflight_needs needs = {.count = tasks->count};
    needs.items = calloc(tasks->count + 1, sizeof(*needs.items));
    if (!needs.items)
        return out_of_memory(failure);
    int r = probe_pairs(tasks, wanted, worker, &probes, failure);
    struct probe_result *pair = probes.results;
    for (size_t i = 0; r == 0 && i < tasks->count; i++)
        if (preflight_needs_is_wanted(tasks, wanted, i))
            r = describe(&tasks->items[i], &pair, &needs.items[i], failure);
    for (size_t i = 0; r == 0 && i < tasks->count; i++)
        find_shared(tasks, wanted, i, &needs);
    if (r < 0)
        return r;
    ret->count = needs.count;
    ret->items = STEAL_PTR(needs.items);
    return 0;
}

void preflight_needs_free(struct preflight_needs *needs) {
    for (size_t i = 0; needs->items && i < needs->count; i++)
        free(needs->items[i].error);
    free(needs->items);
    *needs = (struct preflight_needs){0};
}
