/* The list of tasks and the rule for their ids; see task.h. An id becomes a folder below OUT, a
 * word in messages and a key in the ledger, so it must be harmless as each of them. */
#include "supervisor/batch/task.h"

#include "common/names.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
    MAX_ID_BYTES = 1000,
    MAX_COMPONENT_BYTES = NAME_MAX,
};

struct task *task_list_append(struct task_list *list) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 16;
        struct task *grown = reallocarray(list->items, capacity, sizeof(*grown));
        if (!grown)
            return NULL;
        list->items = grown;
        list->capacity = capacity;
    }
    struct task *task = &list->items[list->count++];
    *task = (struct task){0};
    return task;
}

const struct task *task_list_find(const struct task_list *list, const char *id) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].id && strcmp(list->items[i].id, id) == 0)
            return &list->items[i];
    return NULL;
}

static int compare_ids(const void *a, const void *b) {
    return strcmp(((const struct task *)a)->id, ((const struct task *)b)->id);
}

void task_list_sort(struct task_list *list) {
    if (list->count > 1)
        qsort(list->items, list->count, sizeof(*list->items), compare_ids);
}

void task_free(struct task *task) {
    free(task->id);
    free(task->kind_name);
    names_free(task->command);
    free(task->cwd);
    names_free(task->env);
    names_free(task->inputs);
    json_decref(task->params);
    free(task->shared);
    free(task->broken);
    *task = (struct task){0};
}

void task_list_free(struct task_list *list) {
    for (size_t i = 0; i < list->count; i++)
        task_free(&list->items[i]);
    free(list->items);
    *list = (struct task_list){0};
}

/* What is wrong with one component, or NULL. */
static const char *component_problem(const char *component, size_t length) {
    if (length == 0)
        return "must not begin or end with \"/\" or hold \"//\"";
    if (length > MAX_COMPONENT_BYTES)
        return "has a part of more than 255 bytes, which no folder can be called";
    if ((length == 1 && component[0] == '.') || (length == 2 && strncmp(component, "..", 2) == 0))
        return "must not hold \".\" or \"..\" as a part";
    if (component[0] == '-')
        return "must not have a part that begins with \"-\", which programs take for an option";
    return NULL;
}

/* OUT/ledger.jsonl, OUT/summary.json and what is set aside beside them. */
static bool is_own_file(const char *id) {
    static const char *const own[] = {"ledger.jsonl", "summary.json"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strncmp(id, own[i], strlen(own[i])) == 0)
            return true;
    return false;
}

static const char *id_problem(const char *id) {
    if (*id == '\0')
        return "must not be empty";
    if (strlen(id) > MAX_ID_BYTES)
        return "is longer than 1000 bytes";
    if (!names_is_clean(id))
        return "must be UTF-8 without control characters";
    for (const char *at = id;; at++) {
        const size_t length = strcspn(at, "/");
        const char *problem = component_problem(at, length);
        if (problem)
            return problem;
        at += length;
        if (*at == '\0')
            break;
    }
    if (is_own_file(id))
        return "is the name of a file that registrar itself keeps in the output folder";
    return NULL;
}

int task_check_id(const char *id, const char *where, struct failure *failure) {
    const char *problem = id_problem(id);
    if (!problem)
        return 0;
    CLEANUP_FREE char *shown = names_escape(id);
    return failure_set(failure, -EINVAL, "%s: the id \"%.200s\" %s", where, shown ? shown : "?",
                       problem);
}
