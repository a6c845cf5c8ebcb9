/* Every member is checked before anything is opened; see apply_task.h. */
#include "worker/apply/apply_task.h"

#include "common/json_read.h"
#include "common/protocol.h"

#include <errno.h>

enum { MAX_THREADS = 256 };

static const int64_t DEFAULT_MEMORY_BYTES = 512 << 20;
static const char where[] = "the request on stdin";

void apply_task_clear(struct apply_task *task) {
    json_decref(task->document);
    *task = (struct apply_task){0};
}

static int read_params(struct apply_task *task, struct failure *failure) {
    CLEANUP_JSON json_t *params = params_defaults();
    if (!params)
        return failure_set(failure, -ENOMEM, "no memory for the parameters");
    const json_t *given = json_object_get(task->document, "params");
    int r = given ? params_merge(params, given, where, failure) : 0;
    return r < 0 ? r : params_parse(params, &task->params, failure);
}

static int read_flag(const json_t *document, const char *key, bool *ret, struct failure *failure) {
    const json_t *value = json_object_get(document, key);
    if (value && !json_is_boolean(value))
        return failure_set(failure, -EINVAL, "\"%s\" of %s is neither true nor false", key, where);
    if (value)
        *ret = json_is_true(value);
    return 0;
}

static int read_image(struct apply_task *task, struct failure *failure) {
    int64_t threads = 1, memory = DEFAULT_MEMORY_BYTES;
    int r = json_read_string(task->document, "image", where, &task->image, failure);
    if (r == 0)
        r = json_read_string(task->document, "out", where, &task->out, failure);
    if (r == 0)
        r = json_read_optional_int(task->document, "threads", where, 1, MAX_THREADS, &threads,
                                   failure);
    if (r == 0)
        r = json_read_optional_int(task->document, "memory_bytes", where, 1, INT64_MAX, &memory,
                                   failure);
    task->threads = (int)threads;
    task->memory_bytes = (uint64_t)memory;
    return r < 0 ? r : read_params(task, failure);
}

static int read_columns(struct apply_task *task, struct failure *failure) {
    const json_t *columns = json_object_get(task->document, "columns");
    if (!columns)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(task->columns); i++)
        task->columns[i] = json_string_value(json_array_get(columns, i));
    if (json_array_size(columns) != 2 || !task->columns[0] || !task->columns[1])
        return failure_set(failure, -EINVAL, "\"columns\" of %s must be two strings", where);
    return 0;
}

static int read_members(struct apply_task *task, struct failure *failure) {
    static const char *const of_images[] = {"v",   "transform", "inverse", "sandbox",      "image",
                                            "out", "params",    "threads", "memory_bytes", NULL};
    static const char *const of_points[] = {"v",      "transform", "inverse", "sandbox",
                                            "points", "columns",   NULL};
    const json_t *document = task->document;
    const bool has_image = json_object_get(document, "image");
    bool sandbox = true;
    int64_t version = PROTOCOL_VERSION;
    int r = json_read_known_keys(document, has_image ? of_images : of_points, where, failure);
    if (r == 0)
        r = json_read_optional_int(document, "v", where, PROTOCOL_VERSION, PROTOCOL_VERSION,
                                   &version, failure);
    if (r == 0)
        r = json_read_string(document, "transform", where, &task->transform, failure);
    if (r == 0)
        r = read_flag(document, "inverse", &task->is_inverse, failure);
    if (r == 0)
        r = read_flag(document, "sandbox", &sandbox, failure);
    task->is_unconfined = !sandbox;
    if (r == 0 && has_image)
        return read_image(task, failure);
    if (r == 0)
        r = json_read_string(document, "points", where, &task->points, failure);
    return r < 0 ? r : read_columns(task, failure);
}

int apply_task_read(FILE *stream, struct apply_task *ret, struct failure *failure) {
    struct apply_task task = {0};
    json_error_t error;
    task.document = json_loadf(stream, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(task.document)) {
        apply_task_clear(&task);
        return failure_set(failure, -EINVAL, "%s is no JSON object", where);
    }
    int r = read_members(&task, failure);
    if (r < 0)
        apply_task_clear(&task);
    else
        *ret = task;
    return r;
}
