/* Every member is checked before anything is opened; see align_task.h. */
#include "worker/stage/align_task.h"

#include "common/json_read.h"
#include "common/protocol.h"

#include <errno.h>

enum { MAX_TASK_BYTES = 1 << 20 };

static const int64_t DEFAULT_MEMORY_BYTES = 512 << 20;
static const char where[] = "the task on stdin";

void align_task_clear(struct align_task *task) {
    json_decref(task->document);
    json_decref(task->variants);
    json_decref(task->params_json);
    *task = (struct align_task){0};
}

static int read_document(FILE *stream, json_t **ret, struct failure *failure) {
    CLEANUP_FREE char *text = malloc(MAX_TASK_BYTES);
    if (!text)
        return failure_set(failure, -ENOMEM, "no memory to read %s", where);
    size_t length = fread(text, 1, MAX_TASK_BYTES, stream);
    if (ferror(stream))
        return failure_set_errno(failure, -EIO, "cannot read %s", where);
    if (length == MAX_TASK_BYTES)
        return failure_set(failure, -EINVAL, "%s has %d bytes or more", where, MAX_TASK_BYTES);
    json_error_t error;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        return failure_set(failure, -EINVAL, "%s is no JSON object (line %d, column %d: %s)", where,
                           error.line, error.column, error.text);
    *ret = document;
    return 0;
}

static int read_params(struct align_task *task, struct failure *failure) {
    task->params_json = params_defaults();
    if (!task->params_json)
        return failure_set(failure, -ENOMEM, "no memory for the parameters");
    const json_t *given = json_object_get(task->document, "params");
    int r = given ? params_merge(task->params_json, given, where, failure) : 0;
    return r < 0 ? r : params_parse(task->params_json, &task->params, failure);
}

static int read_variants(struct align_task *task, struct failure *failure) {
    const json_t *given = json_object_get(task->document, "variants");
    if (given && (!json_is_array(given) || json_array_size(given) > PROTOCOL_MOST_VARIANTS))
        return failure_set(failure, -EINVAL, "\"variants\" of %s is no list of at most %d", where,
                           PROTOCOL_MOST_VARIANTS);
    task->variants = json_array();
    for (size_t i = 0; task->variants && i < json_array_size(given); i++) {
        struct params checked;
        json_t *params = params_defaults();
        if (json_array_append_new(task->variants, params) < 0)
            break;
        int r = params_merge(params, json_array_get(given, i), where, failure);
        if (r == 0)
            r = params_parse(params, &checked, failure);
        if (r < 0)
            return r;
    }
    return json_array_size(task->variants) == json_array_size(given)
               ? 0
               : failure_set(failure, -ENOMEM, "no memory for the parameters");
}

static int read_members(struct align_task *task, struct failure *failure) {
    static const char *const keys[] = {"v",      "task",     "attempt", "pre",          "post",
                                       "out",    "params",   "threads", "memory_bytes", "sandbox",
                                       "shared", "variants", NULL};
    const json_t *document = task->document;
    int64_t version = PROTOCOL_VERSION, attempt = 1, threads = 1, memory = DEFAULT_MEMORY_BYTES;
    const json_t *sandbox = json_object_get(document, "sandbox");
    task->name = "";
    int r = json_read_known_keys(document, keys, where, failure);
    if (r == 0)
        r = json_read_optional_int(document, "v", where, PROTOCOL_VERSION, PROTOCOL_VERSION,
                                   &version, failure);
    if (r == 0)
        r = json_read_optional_string(document, "task", where, &task->name, failure);
    if (r == 0)
        r = json_read_optional_int(document, "attempt", where, 1, INT32_MAX, &attempt, failure);
    if (r == 0)
        r = json_read_string(document, "pre", where, &task->pre, failure);
    if (r == 0)
        r = json_read_string(document, "post", where, &task->post, failure);
    if (r == 0)
        r = json_read_string(document, "out", where, &task->out, failure);
    if (r == 0)
        r = json_read_optional_string(document, "shared", where, &task->shared, failure);
    if (r == 0)
        r = json_read_optional_int(document, "threads", where, 1, ALIGN_TASK_MAX_THREADS, &threads,
                                   failure);
    if (r == 0)
        r = json_read_optional_int(document, "memory_bytes", where, 1, INT64_MAX, &memory, failure);
    if (r == 0 && sandbox && !json_is_boolean(sandbox))
        r = failure_set(failure, -EINVAL, "\"sandbox\" of %s is neither true nor false", where);
    if (r == 0)
        r = read_params(task, failure);
    if (r == 0)
        r = read_variants(task, failure);
    task->is_unconfined = json_is_false(sandbox);
    task->attempt = (int)attempt;
    task->threads = (int)threads;
    task->memory_bytes = (uint64_t)memory;
    return r;
}

int align_task_read(FILE *stream, struct align_task *ret, struct failure *failure) {
    struct align_task task = {0};
    int r = read_document(stream, &task.document, failure);
    if (r == 0)
        r = read_members(&task, failure);
    if (r < 0)
        align_task_clear(&task);
    else
        *ret = task;
    return r;
}
