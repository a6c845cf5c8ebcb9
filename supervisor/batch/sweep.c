/* See sweep.h. Combinations are counted like an odometer, the last parameter fastest. */
#include "supervisor/batch/sweep.h"

#include "common/names.h"
#include "common/params.h"

#include <errno.h>
#include <string.h>

#define OPTION "--sweep"

enum { MAX_NAME_BYTES = 1000 };

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "out of memory for the variants of " OPTION);
}

void sweep_free(struct sweep *sweep) {
    for (size_t i = 0; i < sweep->n_axes; i++) {
        free(sweep->axes[i].name);
        json_decref(sweep->axes[i].values);
    }
    free(sweep->axes);
    *sweep = (struct sweep){0};
}

/* ---- reading ---- */

/* Commas within brackets belong to the value. */
static size_t value_length(const char *text) {
    size_t length = 0;
    for (int depth = 0; text[length] && (text[length] != ',' || depth > 0); length++)
        depth += (text[length] == '[') - (text[length] == ']');
    return length;
}

static bool holds(const json_t *values, const json_t *value) {
    for (size_t i = 0; i < json_array_size(values); i++)
        if (json_equal(json_array_get(values, i), value))
            return true;
    return false;
}

/* The same check, and the same sentence, as for --set. */
static int add_value(struct sweep_axis *axis, const char *text, size_t length,
                     struct failure *failure) {
    CLEANUP_JSON json_t *params = params_defaults();
    CLEANUP_FREE char *value = strndup(text, length);
    CLEANUP_FREE char *assignment = value ? names_format("%s=%s", axis->name, value) : NULL;
    if (!params || !assignment)
        return out_of_memory(failure);
    int r = params_set_text(params, assignment, OPTION, failure);
    if (r < 0)
        return r;
    json_t *checked = json_object_get(params, axis->name);
    if (holds(axis->values, checked))
        return failure_set(failure, -EINVAL,
                           OPTION ": %s has the value %.100s twice; leave one out", axis->name,
                           value);
    return json_array_append(axis->values, checked) < 0 ? out_of_memory(failure) : 0;
}

static size_t count_variants(const struct sweep *sweep) {
    size_t n = 1;
    for (size_t i = 0; i < sweep->n_axes && n <= SWEEP_MOST_VARIANTS; i++)
        n *= json_array_size(sweep->axes[i].values);
    return n;
}

static int check_name(const struct sweep *sweep, const char *name, struct failure *failure) {
    for (size_t i = 0; i + 1 < sweep->n_axes; i++)
        if (strcmp(sweep->axes[i].name, name) == 0)
            return failure_set(failure, -EINVAL,
                               OPTION
                               ": %s is given twice; write all its values in one list, like " OPTION
                               " %s=A,B,C",
                               name, name);
    return 0;
}

int sweep_add(struct sweep *sweep, const char *text, struct failure *failure) {
    const char *equals = strchr(text, '=');
    CLEANUP_FREE char *shown = names_escape(text);
    if (!shown)
        return out_of_memory(failure);
    if (!equals || equals == text)
        return failure_set(failure, -EINVAL,
                           OPTION ": \"%.100s\" has no values; write it as NAME=A,B,C", shown);
    struct sweep_axis *axes = reallocarray(sweep->axes, sweep->n_axes + 1, sizeof(*axes));
    if (!axes)
        return out_of_memory(failure);
    sweep->axes = axes;
    struct sweep_axis *axis = &axes[sweep->n_axes++];
    *axis = (struct sweep_axis){strndup(text, (size_t)(equals - text)), json_array()};
    if (!axis->name || !axis->values)
        return out_of_memory(failure);
    int r = check_name(sweep, axis->name, failure);
    for (const char *at = equals + 1; r == 0; at++) {
        const size_t length = value_length(at);
        r = add_value(axis, at, length, failure);
        at += length;
        if (*at == '\0')
            break;
    }
    if (r == 0 && count_variants(sweep) > SWEEP_MOST_VARIANTS)
        r = failure_set(failure, -EINVAL,
                        OPTION ": more than %d variants of each pair; sweep fewer values at a time",
                        SWEEP_MOST_VARIANTS);
    return r;
}

/* ---- variants ---- */

/* The value of each axis in the n-th combination. */
static json_t *value_of(const struct sweep *sweep, size_t n, size_t axis) {
    for (size_t i = sweep->n_axes; --i > axis;)
        n /= json_array_size(sweep->axes[i].values);
    const json_t *values = sweep->axes[axis].values;
    return json_array_get(values, n % json_array_size(values));
}

/* As people write it: 1.1, affine, 0+2. */
static int print_value(FILE *stream, const json_t *value) {
    if (json_is_string(value))
        return fputs(json_string_value(value), stream);
    if (!json_is_array(value))
        return fprintf(stream, "%.15g", json_number_value(value));
    int r = 0;
    for (size_t i = 0; i < json_array_size(value); i++)
        r |= fprintf(stream, "%s%lld", i > 0 ? "+" : "",
                     (long long)json_integer_value(json_array_get(value, i)));
    return r;
}

/* "scale_max=1.1,model=affine". The caller owns it; NULL: out of memory. */
static char *variant_name(const struct sweep *sweep, size_t n) {
    char name[MAX_NAME_BYTES] = "";
    FILE *stream = fmemopen(name, sizeof(name), "w");
    if (!stream)
        return NULL;
    for (size_t i = 0; i < sweep->n_axes; i++) {
        (void)fprintf(stream, "%s%s=", i > 0 ? "," : "", sweep->axes[i].name);
        (void)print_value(stream, value_of(sweep, n, i));
    }
    return fclose(stream) == 0 ? strdup(name) : NULL;
}

/* The parameters with those of the n-th combination set. NULL: out of memory. */
static json_t *variant_params(const struct sweep *sweep, size_t n, const json_t *params) {
    CLEANUP_JSON json_t *set = json_deep_copy(params);
    for (size_t i = 0; set && i < sweep->n_axes; i++)
        if (json_object_set(set, sweep->axes[i].name, value_of(sweep, n, i)) < 0)
            return NULL;
    return STEAL_PTR(set);
}

static int check_variant(const struct sweep *sweep, size_t n, const json_t *params,
                         struct failure *failure) {
    CLEANUP_JSON json_t *set = variant_params(sweep, n, params);
    CLEANUP_FREE char *name = variant_name(sweep, n);
    struct params unused;
    struct failure reason;
    if (!set || !name)
        return out_of_memory(failure);
    int r = params_parse(set, &unused, &reason);
    return r < 0 ? failure_set(failure, r, OPTION ": %s: %s", name, reason.text) : 0;
}

int sweep_check(const struct sweep *sweep, const json_t *params, struct failure *failure) {
    CLEANUP_JSON json_t *defaults = params_defaults();
    if (!defaults)
        return out_of_memory(failure);
    for (size_t i = 0; i < sweep->n_axes; i++) {
        const char *name = sweep->axes[i].name;
        if (!json_equal(json_object_get(params, name), json_object_get(defaults, name)))
            return failure_set(failure, -EINVAL,
                               "--set and " OPTION " both give %s; leave one of them out", name);
    }
    int r = 0;
    for (size_t n = 0; sweep->n_axes > 0 && n < count_variants(sweep) && r == 0; n++)
        r = check_variant(sweep, n, params, failure);
    return r;
}

/* ---- tasks ---- */

static char **copy_names(char *const *names) {
    char **copy = NULL;
    for (; names && *names; names++)
        if (names_append(&copy, *names) < 0) {
            names_free(copy);
            return NULL;
        }
    return copy;
}

static int add_variant(const struct sweep *sweep, size_t n, const struct task *pair,
                       struct task_list *ret, struct failure *failure) {
    CLEANUP_FREE char *name = variant_name(sweep, n);
    struct task *task = task_list_append(ret);
    if (!task || !name)
        return out_of_memory(failure);
    *task = (struct task){
        .id = names_format("%s@%s", pair->id, name),
        .kind = pair->kind,
        .kind_name = strdup(pair->kind_name),
        .inputs = copy_names(pair->inputs),
        .n_inputs = pair->n_inputs,
        .params = variant_params(sweep, n, pair->params),
        .shared = names_format("%s" TASK_SHARED_END, pair->id),
        .timeout_ms = pair->timeout_ms,
    };
    if (!task->id || !task->kind_name || !task->inputs || !task->params || !task->shared)
        return out_of_memory(failure);
    struct params unused;
    struct failure reason;
    int r = task_check_id(task->id, OPTION, failure);
    if (r == 0 && params_parse(task->params, &unused, &reason) < 0)
        r = failure_set(failure, -EINVAL, OPTION ": %s: %s", task->id, reason.text);
    return r;
}

/* Takes the pair, or puts its variants in its place. */
static int add(const struct sweep *sweep, struct task *pair, struct task_list *ret,
               struct failure *failure) {
    if (pair->kind != TASK_ALIGN || pair->broken) {
        struct task *task = task_list_append(ret);
        if (!task)
            return out_of_memory(failure);
        *task = *pair;
        *pair = (struct task){0};
        return 0;
    }
    int r = 0;
    for (size_t n = 0; n < count_variants(sweep) && r == 0; n++)
        r = add_variant(sweep, n, pair, ret, failure);
    return r;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A dye may be called as a variant, or as the folder that they share. */
static int check_ids(const struct task_list *tasks, struct failure *failure) {
    CLEANUP_FREE const char **ids = calloc(2 * tasks->count + 1, sizeof(*ids));
    size_t n = 0;
    if (!ids)
        return out_of_memory(failure);
    for (size_t i = 0; i < tasks->count; i++) {
        const struct task *task = &tasks->items[i];
        ids[n++] = task->id;
        if (task->shared && (i == 0 || !tasks->items[i - 1].shared ||
                             strcmp(task->shared, tasks->items[i - 1].shared) != 0))
            ids[n++] = task->shared;
    }
    qsort(ids, n, sizeof(*ids), compare_texts);
    for (size_t i = 1; i < n; i++)
        if (strcmp(ids[i - 1], ids[i]) == 0)
            return failure_set(failure, -EEXIST,
                               OPTION ": two folders would be called %s; rename that dye, or leave "
                                      "it out",
                               ids[i]);
    return 0;
}

int sweep_apply(const struct sweep *sweep, struct task_list *tasks, struct failure *failure) {
    CLEANUP(task_list_free) struct task_list variants = {0};
    int r = 0;
    if (sweep->n_axes == 0)
        return 0;
    for (size_t i = 0; i < tasks->count && r == 0; i++)
        r = add(sweep, &tasks->items[i], &variants, failure);
    if (r == 0)
        r = check_ids(&variants, failure);
    if (r < 0)
        return r;
    const struct task_list pairs = *tasks;
    *tasks = variants;
    variants = pairs;
    return 0;
}
