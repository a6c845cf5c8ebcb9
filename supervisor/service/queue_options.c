/* See queue_options.h. Ranges are those of the command line (cli/options.c). */
#include "supervisor/service/queue_options.h"

#include "common/footprint.h"
#include "common/json_read.h"
#include "common/units.h"

#include <errno.h>
#include <string.h>

static const char where[] = "the batch's options";

enum { MAX_JOBS = 1024, MAX_THREADS = 256, MAX_RETRIES = 100 };

json_t *queue_options_to_json(const struct options *options) {
    CLEANUP_JSON json_t *json = json_pack(
        "{s:I, s:I, s:i, s:i, s:i, s:I, s:f, s:b, s:b}", "timeout_ms",
        (json_int_t)options->timeout_ms, "stall_timeout_ms", (json_int_t)options->stall_timeout_ms,
        "retries", options->retries, "jobs", options->jobs, "threads", options->threads,
        "memory_bytes", (json_int_t)options->memory_bytes, "memory_share", options->memory_share,
        "redo", options->redo, "force", options->force);
    if (json && options->is_worker_memory_given &&
        json_object_set_new(json, "worker_memory_bytes",
                            json_integer((json_int_t)options->worker_memory_bytes)) < 0)
        return NULL;
    return STEAL_PTR(json);
}

static int read_int(const json_t *json, const char *key, int low, int high, int *slot,
                    struct failure *failure) {
    int64_t value = *slot;
    int r = json_read_optional_int(json, key, where, low, high, &value, failure);
    *slot = (int)value;
    return r;
}

static int read_bytes(const json_t *json, const char *key, int64_t low, uint64_t *slot,
                      struct failure *failure) {
    int64_t value = (int64_t)*slot;
    int r = json_read_optional_int(json, key, where, low, INT64_MAX / 4, &value, failure);
    *slot = (uint64_t)value;
    return r;
}

static int read_bool(const json_t *json, const char *key, bool *slot, struct failure *failure) {
    const json_t *value = json_object_get(json, key);
    if (value && !json_is_boolean(value))
        return failure_set(failure, -EINVAL, "%s: \"%s\" must be true or false", where, key);
    *slot = json_is_true(value);
    return 0;
}

static int read_share(const json_t *json, double *slot, struct failure *failure) {
    const json_t *value = json_object_get(json, "memory_share");
    if (!value)
        return 0;
    const double share = json_number_value(value);
    if (!json_is_number(value) || !(share >= 0 && share <= 1))
        return failure_set(failure, -EINVAL, "%s: \"memory_share\" must lie in 0 to 1", where);
    *slot = share;
    return 0;
}

static int read_members(const json_t *json, struct options *options, struct failure *failure) {
    static const char *const keys[] = {
        "timeout_ms",   "stall_timeout_ms",    "retries", "jobs",  "threads", "memory_bytes",
        "memory_share", "worker_memory_bytes", "redo",    "force", NULL};
    int r = json_read_known_keys(json, keys, where, failure);
    if (r == 0)
        r = json_read_optional_int(json, "timeout_ms", where, 1, UNITS_MAX_DURATION_MS,
                                   &options->timeout_ms, failure);
    if (r == 0)
        r = json_read_optional_int(json, "stall_timeout_ms", where, 1, UNITS_MAX_DURATION_MS,
                                   &options->stall_timeout_ms, failure);
    if (r == 0)
        r = read_int(json, "retries", 0, MAX_RETRIES, &options->retries, failure);
    if (r == 0)
        r = read_int(json, "jobs", 0, MAX_JOBS, &options->jobs, failure);
    if (r == 0)
        r = read_int(json, "threads", 0, MAX_THREADS, &options->threads, failure);
    if (r == 0)
        r = read_bytes(json, "memory_bytes", 0, &options->memory_bytes, failure);
    if (r == 0)
        r = read_share(json, &options->memory_share, failure);
    if (r == 0)
        r = read_bytes(json, "worker_memory_bytes", FOOTPRINT_LEAST_CAP_BYTES,
                       &options->worker_memory_bytes, failure);
    if (r == 0)
        r = read_bool(json, "redo", &options->redo, failure);
    if (r == 0)
        r = read_bool(json, "force", &options->force, failure);
    options->is_worker_memory_given = json_object_get(json, "worker_memory_bytes") != NULL;
    return r;
}

int queue_options_read(const json_t *json, const char *out, struct options *ret,
                       struct failure *failure) {
    CLEANUP(options_free) struct options options = {0};
    if (options_defaults(&options) < 0 || !(options.out = strdup(out)))
        return failure_set(failure, -ENOMEM, "out of memory");
    int r = json ? read_members(json, &options, failure) : 0;
    if (r < 0)
        return r;
    *ret = options;
    options = (struct options){0};
    return 0;
}
