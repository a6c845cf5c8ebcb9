/* See task_json.h. The reader trusts nothing: what it lets through goes to execve, into paths below
 * OUT and into sums of bytes. */
#include "supervisor/batch/task_json.h"

#include "common/json_read.h"
#include "common/names.h"
#include "common/units.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    MAX_SIDE = INT32_MAX, /* px, of an image that could ever be probed */
    MAX_SAMPLES = 65535,
    MAX_KIND_BYTES = 1024, /* a file's name, escaped */
};

static const char *const keys[] = {"id",     "kind",         "pre",  "post",   "params",
                                   "inputs", "command",      "cwd",  "env",    "timeout_ms",
                                   "broken", "memory_bytes", "need", "shared", NULL};

/* ---- writing ---- */

/* A sentence may quote a file's name that is no UTF-8, which JSON cannot hold. */
static json_t *sentence_to_json(const char *sentence) {
    CLEANUP_FREE char *clean = names_is_clean(sentence) ? strdup(sentence) : names_escape(sentence);
    return clean ? json_string(clean) : NULL;
}

/* Drops the object when the member cannot be set. Takes value; NULL is an error. */
static void add(json_t **object, const char *key, json_t *value) {
    if (*object && json_object_set_new(*object, key, value) == 0)
        return;
    json_decref(*object);
    *object = NULL;
}

static json_t *list_to_json(char *const *list) {
    CLEANUP_JSON json_t *array = json_array();
    for (; list && *list; list++)
        if (json_array_append_new(array, json_string(*list)) < 0)
            return NULL;
    return STEAL_PTR(array);
}

static json_t *image_to_json(const struct footprint_image *image) {
    return json_pack("{s:I, s:I, s:i, s:i, s:I, s:I, s:b}", "width", (json_int_t)image->width,
                     "height", (json_int_t)image->height, "samples", (int)image->samples, "bits",
                     (int)image->bits, "block", (json_int_t)image->block_bytes, "stream",
                     (json_int_t)image->stream_bytes, "scratch", image->scratch);
}

static json_t *need_to_json(const struct forecast_task *need) {
    if (!need->is_pair)
        return json_pack("{s:f}", "size", need->size);
    return json_pack("{s:o, s:o, s:b, s:b, s:b, s:i}", "pre", image_to_json(&need->pair.pre),
                     "post", image_to_json(&need->pair.post), "has_signal", need->pair.has_signal,
                     "has_map", need->pair.has_map, "has_picture", need->pair.has_picture,
                     "n_ahead", (int)need->pair.n_ahead);
}

json_t *task_json_make(const struct task *task, const struct forecast_task *need) {
    json_t *object = json_object();
    add(&object, "id", json_string(task->id));
    if (task->kind == TASK_COMMAND) {
        add(&object, "kind", json_string(task->kind_name));
        add(&object, "command", list_to_json(task->command));
        add(&object, "cwd", json_string(task->cwd));
        if (task->env)
            add(&object, "env", list_to_json(task->env));
        if (task->n_inputs > 0)
            add(&object, "inputs", list_to_json(task->inputs));
        if (task->memory_bytes > 0)
            add(&object, "memory_bytes", json_integer((json_int_t)task->memory_bytes));
    } else if (!task->broken) {
        add(&object, "pre", json_string(task->inputs[0]));
        add(&object, "post", json_string(task->inputs[1]));
        add(&object, "params", json_incref(task->params));
        if (task->shared)
            add(&object, "shared", json_string(task->shared));
    }
    if (task->timeout_ms > 0)
        add(&object, "timeout_ms", json_integer(task->timeout_ms));
    if (task->broken)
        add(&object, "broken", sentence_to_json(task->broken));
    if (need)
        add(&object, "need", need_to_json(need));
    return object;
}

/* ---- reading ---- */

struct reader {
    const json_t *object;
    const char *where;
    struct task *task;
    struct failure *failure;
};

static int out_of_memory(const struct reader *reader) {
    return failure_set(reader->failure, -ENOMEM, "%s: out of memory", reader->where);
}

static int check_path(const struct reader *reader, const char *key, const char *path) {
    if (path[0] != '/' || !names_is_clean(path))
        return failure_set(reader->failure, -EINVAL,
                           "%s: \"%s\" must hold absolute paths without control characters",
                           reader->where, key);
    return 0;
}

/* Copies a list of strings; an absent one stays NULL. In one piece: a line has room for a quarter
 * of a million words. */
static int read_list(const struct reader *reader, const char *key, char ***ret) {
    const json_t *array = json_object_get(reader->object, key);
    const size_t n = json_array_size(array);
    if (array && !json_is_array(array))
        return failure_set(reader->failure, -EINVAL, "%s: \"%s\" must be a list of strings",
                           reader->where, key);
    if (n == 0)
        return 0;
    char **list = *ret = calloc(n + 1, sizeof(*list));
    for (size_t i = 0; list && i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (!text)
            return failure_set(reader->failure, -EINVAL, "%s: \"%s\" must hold only strings",
                               reader->where, key);
        list[i] = strdup(text);
        if (!list[i])
            return out_of_memory(reader);
    }
    return list ? 0 : out_of_memory(reader);
}

static int read_path(const struct reader *reader, const char *key, const char **ret) {
    int r = json_read_string(reader->object, key, reader->where, ret, reader->failure);
    return r < 0 ? r : check_path(reader, key, *ret);
}

static int check_env(const struct reader *reader) {
    for (char *const *at = reader->task->env; at && *at; at++)
        if (**at == '=' || !strchr(*at, '=') || strncmp(*at, "REGISTRAR_", 10) == 0)
            return failure_set(reader->failure, -EINVAL,
                               "%s: \"env\" must hold NAME=VALUE, and no name that begins with "
                               "REGISTRAR_: \"%.60s\"",
                               reader->where, *at);
    return 0;
}

static int read_kind(const struct reader *reader) {
    const char *kind = NULL;
    int r = json_read_string(reader->object, "kind", reader->where, &kind, reader->failure);
    if (r < 0)
        return r;
    if (*kind == '\0' || strlen(kind) > MAX_KIND_BYTES || !names_is_clean(kind))
        return failure_set(
            reader->failure, -EINVAL,
            "%s: \"kind\" must be a name of 1 to %d bytes without control characters",
            reader->where, MAX_KIND_BYTES);
    reader->task->kind_name = strdup(kind);
    return reader->task->kind_name ? 0 : out_of_memory(reader);
}

static int read_command(const struct reader *reader) {
    struct task *task = reader->task;
    const char *cwd = NULL;
    int64_t memory = 0;
    task->kind = TASK_COMMAND;
    int r = read_kind(reader);
    if (r == 0)
        r = read_list(reader, "command", &task->command);
    if (r == 0 && (!task->command || task->command[0][0] == '\0'))
        r = failure_set(reader->failure, -EINVAL, "%s: \"command\" must begin with a program",
                        reader->where);
    if (r == 0)
        r = read_path(reader, "cwd", &cwd);
    if (r == 0)
        r = read_list(reader, "env", &task->env);
    if (r == 0)
        r = check_env(reader);
    if (r == 0)
        r = read_list(reader, "inputs", &task->inputs);
    for (char *const *at = task->inputs; r == 0 && at && *at; at++)
        r = check_path(reader, "inputs", *at);
    if (r == 0)
        r = json_read_optional_int(reader->object, "memory_bytes", reader->where, 1,
                                   UNITS_MAX_BYTES, &memory, reader->failure);
    if (r < 0)
        return r;
    task->n_inputs = names_count(task->inputs);
    task->memory_bytes = (uint64_t)memory;
    task->cwd = strdup(cwd);
    return task->cwd ? 0 : out_of_memory(reader);
}

/* The folder is removed in the end, so it must be the one that belongs to the variant's id. */
static int read_shared(const struct reader *reader) {
    static const size_t end = sizeof(TASK_SHARED_END) - 1;
    struct task *task = reader->task;
    const char *shared = NULL;
    int r = json_read_optional_string(reader->object, "shared", reader->where, &shared,
                                      reader->failure);
    if (r < 0 || !shared)
        return r;
    const size_t length = strlen(shared), stem = length > end ? length - end : 0;
    if (stem == 0 || strcmp(shared + stem, TASK_SHARED_END) != 0 ||
        strncmp(shared, task->id, stem + 1) != 0 || strcmp(shared, task->id) == 0)
        return failure_set(reader->failure, -EINVAL,
                           "%s: \"shared\" must be the id with " TASK_SHARED_END
                           " in the place of @ and what follows it",
                           reader->where);
    task->shared = strdup(shared);
    return task->shared ? 0 : out_of_memory(reader);
}

static int read_pair(const struct reader *reader) {
    struct task *task = reader->task;
    struct params unused;
    struct failure reason;
    const char *pre = NULL, *post = NULL;
    int r = read_path(reader, "pre", &pre);
    if (r == 0)
        r = read_path(reader, "post", &post);
    if (r < 0)
        return r;
    const json_t *params = json_object_get(reader->object, "params");
    r = json_is_object(params) ? params_parse(params, &unused, &reason)
                               : failure_set(&reason, -EINVAL, "\"params\" must be an object");
    if (r < 0)
        return failure_set(reader->failure, r, "%s: %.800s", reader->where, reason.text);
    task->params = json_deep_copy(params);
    if (!task->params || names_append(&task->inputs, pre) < 0 ||
        names_append(&task->inputs, post) < 0)
        return out_of_memory(reader);
    task->n_inputs = 2;
    return read_shared(reader);
}

static int read_image(const struct reader *reader, const json_t *need, const char *key,
                      struct footprint_image *ret) {
    const json_t *image = json_object_get(need, key);
    const char *where = reader->where;
    int64_t width, height, samples, bits, block, stream;
    if (!json_is_object(image))
        return failure_set(reader->failure, -EINVAL, "%s: \"need\" must have \"%s\"", where, key);
    int r = json_read_int(image, "width", where, 1, MAX_SIDE, &width, reader->failure);
    if (r == 0)
        r = json_read_int(image, "height", where, 1, MAX_SIDE, &height, reader->failure);
    if (r == 0)
        r = json_read_int(image, "samples", where, 1, MAX_SAMPLES, &samples, reader->failure);
    if (r == 0)
        r = json_read_int(image, "bits", where, 1, 64, &bits, reader->failure);
    if (r == 0)
        r = json_read_int(image, "block", where, 0, UNITS_MAX_BYTES, &block, reader->failure);
    if (r == 0)
        r = json_read_int(image, "stream", where, 0, UNITS_MAX_BYTES, &stream, reader->failure);
    if (r < 0)
        return r;
    *ret = (struct footprint_image){
        .width = (uint64_t)width,
        .height = (uint64_t)height,
        .samples = (uint32_t)samples,
        .bits = (uint32_t)bits,
        .block_bytes = (uint64_t)block,
        .stream_bytes = (uint64_t)stream,
        .scratch = json_is_true(json_object_get(image, "scratch")),
    };
    return 0;
}

static int read_need(const struct reader *reader, struct forecast_task *ret) {
    const json_t *need = json_object_get(reader->object, "need");
    struct footprint_image pre, post;
    struct params params;
    double size = 0;
    int64_t n_ahead = 0;
    *ret = (struct forecast_task){.declared_bytes = reader->task->memory_bytes};
    if (!need)
        return 0;
    if (reader->task->kind == TASK_COMMAND) {
        int r = json_read_number(need, "size", reader->where, &size, reader->failure);
        if (r == 0 && !(size >= 0 && size < 0x1p62))
            r = failure_set(reader->failure, -EINVAL, "%s: \"size\" is out of range",
                            reader->where);
        ret->size = size;
        return r;
    }
    int r = read_image(reader, need, "pre", &pre);
    if (r == 0)
        r = read_image(reader, need, "post", &post);
    if (r == 0)
        r = params_parse(reader->task->params, &params, reader->failure);
    if (r == 0)
        *ret = forecast_pair(&pre, &post, &params);
    if (r == 0)
        r = json_read_optional_int(need, "n_ahead", reader->where, 0, INT32_MAX, &n_ahead,
                                   reader->failure);
    ret->pair.n_ahead = (uint32_t)n_ahead;
    ret->pair.has_signal = json_is_true(json_object_get(need, "has_signal"));
    ret->pair.has_map = json_is_true(json_object_get(need, "has_map"));
    ret->pair.has_picture = json_is_true(json_object_get(need, "has_picture"));
    return r;
}

/* A pair that was broken as it was found: its id and the reason are all that is known. */
static int read_broken(const struct reader *reader, const char *broken) {
    struct task *task = reader->task;
    task->kind = TASK_ALIGN;
    task->broken = strdup(broken);
    task->kind_name = strdup("align");
    return task->broken && task->kind_name ? 0 : out_of_memory(reader);
}

static int read_members(const struct reader *reader) {
    struct task *task = reader->task;
    const char *id = NULL, *broken = NULL;
    int64_t timeout_ms = 0;
    int r = json_read_known_keys(reader->object, keys, reader->where, reader->failure);
    if (r == 0)
        r = json_read_string(reader->object, "id", reader->where, &id, reader->failure);
    if (r == 0)
        r = task_check_id(id, reader->where, reader->failure);
    if (r == 0)
        r = json_read_optional_string(reader->object, "broken", reader->where, &broken,
                                      reader->failure);
    if (r == 0)
        r = json_read_optional_int(reader->object, "timeout_ms", reader->where, 1,
                                   UNITS_MAX_DURATION_MS, &timeout_ms, reader->failure);
    if (r < 0)
        return r;
    task->timeout_ms = timeout_ms;
    task->id = strdup(id);
    if (!task->id)
        return out_of_memory(reader);
    if (broken)
        return read_broken(reader, broken);
    if (json_object_get(reader->object, "command"))
        return read_command(reader);
    task->kind = TASK_ALIGN;
    task->kind_name = strdup("align");
    return task->kind_name ? read_pair(reader) : out_of_memory(reader);
}

int task_json_read(const json_t *object, const char *where, struct task *ret,
                   struct forecast_task *ret_need, struct failure *failure) {
    CLEANUP(task_free) struct task task = {0};
    const struct reader reader = {
        .object = object, .where = where, .task = &task, .failure = failure};
    struct forecast_task need = {0};
    if (!json_is_object(object))
        return failure_set(failure, -EINVAL, "%s: a task must be an object {...}", where);
    int r = read_members(&reader);
    if (r == 0 && !task.broken)
        r = read_need(&reader, &need);
    if (r < 0)
        return r;
    *ret = task;
    *ret_need = need;
    task = (struct task){0};
    return 0;
}
