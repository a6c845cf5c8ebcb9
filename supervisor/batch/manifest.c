/* See manifest.h. Tasks are read one by one as the file is, each complaint begins with the task's
 * number and id; then the ids are held against each other. Nothing starts before all of it was
 * found right. */
#include "supervisor/batch/manifest.h"

#include "common/json_list.h"
#include "common/json_read.h"
#include "common/names.h"
#include "common/params.h"
#include "common/units.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAX_MANIFEST_BYTES = 1 << 30,
    MAX_TASK_BYTES = 16 << 20,
    MAX_KIND_BYTES = 64,
    WHERE_BYTES = 512,
};

static const char *const pair_keys[] = {"id", "pre", "post", "params", "timeout", NULL};
static const char *const command_keys[] = {"id",      "command", "kind", "inputs", "memory",
                                           "timeout", "cwd",     "env",  NULL};
static const char *const all_keys[] = {"id",   "pre",    "post",   "params", "timeout", "command",
                                       "kind", "inputs", "memory", "cwd",    "env",     NULL};

struct reader {
    const struct options *options;
    const json_t *json; /* the task */
    char *folder;       /* the manifest's: what its paths are relative to */
    char *last_cwd;     /* the one found to be there last: mostly they are all the same */
    struct task *task;  /* being filled */
    struct failure *failure;
    char where[WHERE_BYTES]; /* "manifest.json: task 3 (CD070/DAPI)" */
};

static void reader_free(struct reader *reader) {
    free(reader->folder);
    free(reader->last_cwd);
}

static int out_of_memory(const struct reader *reader) {
    return failure_set(reader->failure, -ENOMEM, "%s: out of memory", reader->where);
}

/* ---- paths ---- */

/* Makes a path of the manifest absolute. */
static int resolve(struct reader *reader, const char *what, const char *text, char **ret) {
    if (*text == '\0')
        return failure_set(reader->failure, -EINVAL, "%s: %s is an empty path", reader->where,
                           what);
    if (!names_is_clean(text))
        return failure_set(reader->failure, -EINVAL, "%s: the path in %s holds a control character",
                           reader->where, what);
    while (strncmp(text, "./", 2) == 0)
        text += 2 + strspn(text + 2, "/");
    if (*text == '/')
        *ret = strdup(text);
    else if (*text == '\0' || strcmp(text, ".") == 0)
        *ret = strdup(reader->folder);
    else
        *ret = names_format("%s/%s", strcmp(reader->folder, "/") == 0 ? "" : reader->folder, text);
    return *ret ? 0 : out_of_memory(reader);
}

static int check_exists(struct reader *reader, const char *what, const char *path, bool folder) {
    struct stat status;
    if (stat(path, &status) < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? failure_set(reader->failure, -errno,
                                 "%s: %s does not exist: %s (paths are relative to the manifest)",
                                 reader->where, what, path)
                   : failure_set_errno(reader->failure, -errno, "%s: %s, %s, cannot be read",
                                       reader->where, what, path);
    if (folder ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
        return failure_set(reader->failure, -EINVAL, "%s: %s is not a %s: %s", reader->where, what,
                           folder ? "folder" : "file", path);
    return 0;
}

static int add_input(struct reader *reader, const char *what, const char *text) {
    CLEANUP_FREE char *path = NULL;
    int r = resolve(reader, what, text, &path);
    if (r == 0)
        r = check_exists(reader, what, path, false);
    if (r < 0)
        return r;
    if (names_append(&reader->task->inputs, path) < 0)
        return out_of_memory(reader);
    reader->task->n_inputs++;
    return 0;
}

/* ---- members ---- */

static int read_timeout(struct reader *reader) {
    const char *text = NULL;
    int r =
        json_read_optional_string(reader->json, "timeout", reader->where, &text, reader->failure);
    if (r < 0 || !text)
        return r;
    int64_t ms = 0;
    if (units_parse_duration(text, &ms) < 0 || ms <= 0)
        return failure_set(reader->failure, -EINVAL,
                           "%s: \"timeout\" is \"%.60s\"; give a duration above 0 and below ten "
                           "years, like 90s, 30m or 2h",
                           reader->where, text);
    reader->task->timeout_ms = ms;
    return 0;
}

static int read_memory(struct reader *reader) {
    const char *text = NULL;
    int r =
        json_read_optional_string(reader->json, "memory", reader->where, &text, reader->failure);
    if (r < 0 || !text)
        return r;
    uint64_t bytes = 0;
    if (units_parse_size(text, &bytes) < 0 || bytes == 0)
        return failure_set(reader->failure, -EINVAL,
                           "%s: \"memory\" is \"%.60s\"; give a size, like 512M or 2G",
                           reader->where, text);
    reader->task->memory_bytes = bytes;
    return 0;
}

static int read_inputs(struct reader *reader) {
    const json_t *inputs = json_object_get(reader->json, "inputs");
    if (!inputs)
        return 0;
    if (!json_is_array(inputs))
        return failure_set(reader->failure, -EINVAL, "%s: \"inputs\" must be a list of paths",
                           reader->where);
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        const char *text = json_string_value(json_array_get(inputs, i));
        if (!text)
            return failure_set(reader->failure, -EINVAL, "%s: \"inputs\" must hold only strings",
                               reader->where);
        int r = add_input(reader, "a file of \"inputs\"", text);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_cwd(struct reader *reader) {
    const char *text = ".";
    char **cwd = &reader->task->cwd;
    int r = json_read_optional_string(reader->json, "cwd", reader->where, &text, reader->failure);
    if (r == 0)
        r = resolve(reader, "\"cwd\"", text, cwd);
    if (r < 0 || (reader->last_cwd && strcmp(*cwd, reader->last_cwd) == 0))
        return r;
    r = check_exists(reader, "\"cwd\"", *cwd, true);
    if (r < 0)
        return r;
    free(reader->last_cwd);
    reader->last_cwd = strdup(*cwd);
    return reader->last_cwd ? 0 : out_of_memory(reader);
}

static int read_env(struct reader *reader) {
    json_t *env = json_object_get(reader->json, "env");
    if (!env)
        return 0;
    if (!json_is_object(env))
        return failure_set(reader->failure, -EINVAL,
                           "%s: \"env\" must be an object, like {\"OMP_NUM_THREADS\":\"1\"}",
                           reader->where);
    const char *name;
    json_t *value;
    json_object_foreach(env, name, value) {
        if (*name == '\0' || strchr(name, '=') || strncmp(name, "REGISTRAR_", 10) == 0)
            return failure_set(reader->failure, -EINVAL,
                               "%s: \"env\" cannot set \"%.100s\": a name must not be empty, hold "
                               "\"=\", or begin with REGISTRAR_, which is registrar's own",
                               reader->where, name);
        if (!json_is_string(value))
            return failure_set(reader->failure, -EINVAL,
                               "%s: \"env\": the value of %.100s must be a string, like \"1\"",
                               reader->where, name);
        CLEANUP_FREE char *text = names_format("%s=%s", name, json_string_value(value));
        if (!text || names_append(&reader->task->env, text) < 0)
            return out_of_memory(reader);
    }
    return 0;
}

static int read_command_words(struct reader *reader) {
    const json_t *words = json_object_get(reader->json, "command");
    const char *program = json_string_value(json_array_get(words, 0));
    if (!program || *program == '\0')
        return failure_set(reader->failure, -EINVAL,
                           "%s: \"command\" must be a list of words with a program first, like "
                           "[\"python3\",\"align.py\"]",
                           reader->where);
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        if (!word)
            return failure_set(reader->failure, -EINVAL,
                               "%s: \"command\" must hold only strings; write numbers in quotes",
                               reader->where);
        CLEANUP_FREE char *path = NULL;
        if (i == 0 && strchr(word, '/')) { /* a path: the manifest's; a bare name: in PATH */
            int r = resolve(reader, "the program of \"command\"", word, &path);
            if (r == 0)
                r = check_exists(reader, "the program of \"command\"", path, false);
            if (r < 0)
                return r;
        }
        if (names_append(&reader->task->command, path ? path : word) < 0)
            return out_of_memory(reader);
    }
    return 0;
}

static int read_kind(struct reader *reader) {
    const char *program = reader->task->command[0];
    const char *slash = strrchr(program, '/');
    const char *kind = NULL;
    int r = json_read_optional_string(reader->json, "kind", reader->where, &kind, reader->failure);
    if (r < 0)
        return r;
    if (kind && (*kind == '\0' || strlen(kind) > MAX_KIND_BYTES || !names_is_clean(kind) ||
                 strcmp(kind, "align") == 0))
        return failure_set(reader->failure, -EINVAL,
                           "%s: \"kind\" must be a name of 1 to %d bytes without control "
                           "characters, and not \"align\", which is registrar's own",
                           reader->where, MAX_KIND_BYTES);
    reader->task->kind_name = kind ? strdup(kind) : names_escape(slash ? slash + 1 : program);
    return reader->task->kind_name ? 0 : out_of_memory(reader);
}

/* ---- the two kinds ---- */

static int read_command(struct reader *reader) {
    reader->task->kind = TASK_COMMAND;
    int r = read_command_words(reader);
    if (r == 0)
        r = read_kind(reader);
    if (r == 0)
        r = read_inputs(reader);
    if (r == 0)
        r = read_memory(reader);
    if (r == 0)
        r = read_timeout(reader);
    if (r == 0)
        r = read_cwd(reader);
    return r < 0 ? r : read_env(reader);
}

static int read_pair_params(struct reader *reader) {
    struct task *task = reader->task;
    const json_t *changes = json_object_get(reader->json, "params");
    task->params = json_deep_copy(reader->options->params);
    if (!task->params)
        return out_of_memory(reader);
    int r = changes ? params_merge(task->params, changes, reader->where, reader->failure) : 0;
    if (r < 0)
        return r;
    struct params unused;
    struct failure reason;
    r = params_parse(task->params, &unused, &reason);
    return r < 0 ? failure_set(reader->failure, r, "%s: %s", reader->where, reason.text) : 0;
}

static int read_pair(struct reader *reader) {
    const char *pre = NULL, *post = NULL;
    reader->task->kind = TASK_ALIGN;
    reader->task->kind_name = strdup("align");
    if (!reader->task->kind_name)
        return out_of_memory(reader);
    int r = json_read_string(reader->json, "pre", reader->where, &pre, reader->failure);
    if (r == 0)
        r = json_read_string(reader->json, "post", reader->where, &post, reader->failure);
    if (r == 0)
        r = add_input(reader, "\"pre\"", pre);
    if (r == 0)
        r = add_input(reader, "\"post\"", post);
    if (r == 0)
        r = read_timeout(reader);
    return r < 0 ? r : read_pair_params(reader);
}

static bool holds_key(const char *const *keys, const char *key) {
    for (; *keys; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

/* A key that belongs to the other kind of task deserves another sentence than an unknown one. */
static int check_keys(struct reader *reader, bool is_command) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)reader->json, key, value) {
        if (holds_key(is_command ? command_keys : pair_keys, key))
            continue;
        return failure_set(
            reader->failure, -EINVAL, "%s: \"%s\" belongs to %s%s", reader->where, key,
            is_command ? "a pair of images, not to a command"
                       : "a command, not to a pair of images",
            !is_command && strcmp(key, "memory") == 0 ? "; --worker-memory caps the pairs" : "");
    }
    return 0;
}

static int read_task(struct reader *reader) {
    const char *id = NULL;
    const bool has_pair =
        json_object_get(reader->json, "pre") || json_object_get(reader->json, "post");
    const bool is_command = json_object_get(reader->json, "command") != NULL;
    if (!json_is_object(reader->json))
        return failure_set(reader->failure, -EINVAL, "%s: a task must be an object {...}",
                           reader->where);
    int r = json_read_string(reader->json, "id", reader->where, &id, reader->failure);
    if (r == 0)
        r = task_check_id(id, reader->where, reader->failure);
    if (r < 0)
        return r;
    const size_t used = strlen(reader->where);
    (void)snprintf(reader->where + used, sizeof(reader->where) - used, " (%.200s)", id);
    reader->task->id = strdup(id);
    if (!reader->task->id)
        return out_of_memory(reader);
    r = json_read_known_keys(reader->json, all_keys, reader->where, reader->failure);
    if (r < 0)
        return r;
    if (is_command == has_pair)
        return failure_set(reader->failure, -EINVAL,
                           is_command ? "%s: has both a pair (\"pre\", \"post\") and a "
                                        "\"command\"; make two tasks of it"
                                      : "%s: has neither a pair (\"pre\" and \"post\") nor a "
                                        "\"command\"; give one of them",
                           reader->where);
    r = check_keys(reader, is_command);
    if (r < 0)
        return r;
    return is_command ? read_command(reader) : read_pair(reader);
}

/* ---- the list ---- */

/* Byte order with "/" first, so that what lies below an id follows it directly. */
static int compare_as_folders(const void *a, const void *b) {
    const unsigned char *x = (const unsigned char *)(*(const struct task *const *)a)->id;
    const unsigned char *y = (const unsigned char *)(*(const struct task *const *)b)->id;
    while (*x && *x == *y)
        x++, y++;
    const int p = *x == '/' ? 1 : *x, q = *y == '/' ? 1 : *y; /* ids have no byte below 0x20 */
    return p - q;
}

static int check_ids(const char *path, const struct task_list *tasks, struct failure *failure) {
    CLEANUP_FREE const struct task **sorted = calloc(tasks->count, sizeof(struct task *));
    if (!sorted)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    bool is_sorted = true; /* most are, as whatever wrote them counted */
    for (size_t i = 0; i < tasks->count; i++) {
        sorted[i] = &tasks->items[i];
        is_sorted = is_sorted && (i == 0 || compare_as_folders(&sorted[i - 1], &sorted[i]) <= 0);
    }
    if (!is_sorted)
        qsort(sorted, tasks->count, sizeof(struct task *), compare_as_folders);
    for (size_t i = 1; i < tasks->count; i++) {
        const struct task *first = sorted[i - 1], *second = sorted[i];
        const size_t length = strlen(first->id);
        if (strncmp(first->id, second->id, length) != 0)
            continue;
        const size_t a = (size_t)(first - tasks->items) + 1,
                     b = (size_t)(second - tasks->items) + 1;
        if (second->id[length] == '\0')
            return failure_set(failure, -EEXIST,
                               "%s: tasks %zu and %zu have the same id \"%s\"; each needs its own",
                               path, a < b ? a : b, a < b ? b : a, first->id);
        if (second->id[length] == '/')
            return failure_set(failure, -EEXIST,
                               "%s: the results of task %zu (%s) would lie inside those of task "
                               "%zu (%s); change one id",
                               path, b, second->id, a, first->id);
    }
    return 0;
}

static int prepare(struct reader *reader, const char *path) {
    const char *slash = strrchr(path, '/'); /* the path is absolute */
    reader->folder = strndup(path, slash > path ? (size_t)(slash - path) : 1);
    return reader->folder ? 0 : failure_set(reader->failure, -ENOMEM, "%s: out of memory", path);
}

static int read_all(struct reader *reader, struct json_list *list, struct task_list *tasks) {
    const char *path = reader->options->manifest;
    for (;;) {
        CLEANUP_JSON json_t *json = NULL;
        int r = json_list_next(list, &json, reader->failure);
        if (r < 0 || !json)
            return r;
        (void)snprintf(reader->where, sizeof(reader->where), "%.250s: task %zu", path,
                       tasks->count + 1);
        reader->json = json;
        reader->task = task_list_append(tasks);
        r = reader->task ? read_task(reader) : out_of_memory(reader);
        if (r < 0)
            return r;
    }
}

int manifest_read(const struct options *options, struct task_list *ret, struct failure *failure) {
    const char *path = options->manifest;
    CLEANUP_JSON_LIST struct json_list *list = NULL;
    CLEANUP(task_list_free) struct task_list tasks = {0};
    CLEANUP(reader_free) struct reader reader = {.options = options, .failure = failure};
    int r = json_list_open(path, "tasks", MAX_MANIFEST_BYTES, MAX_TASK_BYTES, &list, failure);
    if (r == 0)
        r = prepare(&reader, path);
    if (r == 0)
        r = read_all(&reader, list, &tasks);
    if (r == 0 && tasks.count == 0)
        r = failure_set(
            failure, -EINVAL,
            "%s: \"tasks\" must be a list of at least one task, like "
            "{\"tasks\":[{\"id\":\"CD070/DAPI\",\"pre\":\"a.tif\",\"post\":\"b.tif\"}]}",
            path);
    if (r == 0)
        r = check_ids(path, &tasks, failure);
    if (r == 0)
        r = sweep_apply(&options->sweep, &tasks, failure);
    if (r < 0)
        return r;
    *ret = tasks;
    tasks = (struct task_list){0};
    return 0;
}
