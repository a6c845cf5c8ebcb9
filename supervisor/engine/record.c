/* See record.h. Forecast and reservation are both written, so that the model can be judged by what
 * it said. */
#include "supervisor/engine/record.h"

#include "common/version.h"

static double seconds(int64_t ms) { return (double)ms / 1000; }

json_t *record_batch_start(const struct record_batch *batch) {
    CLEANUP_FREE char *cwd = getcwd(NULL, 0);
    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:o*, s:I, s:i, s:i, s:I, s:o*}", "state", "start",
                     "id", batch->id, "version", REGISTRAR_VERSION, "out", batch->out, "command",
                     batch->command, "cwd", cwd ? json_string(cwd) : NULL, "tasks",
                     (json_int_t)batch->n_tasks, "jobs", batch->jobs, "threads", batch->threads,
                     "budget_bytes", (json_int_t)batch->budget_bytes, "cgroup", batch->cgroup);
}

json_t *record_batch_end(const char *id, bool interrupted, int64_t wall_ms) {
    return json_pack("{s:s, s:s, s:b, s:f}", "state", "end", "id", id, "interrupted", interrupted,
                     "wall_s", seconds(wall_ms));
}

/* kind and size are what the model learns by; a pair's need depends on more. */
static json_t *with_forecast(json_t *record, const struct task *task,
                             const struct record_forecast *expected) {
    const struct forecast *forecast = expected->forecast;
    CLEANUP_JSON json_t *owned = record;
    CLEANUP_JSON json_t *more = json_pack(
        "{s:I, s:s, s:I, s:I, s:s, s:I}", "predicted_bytes", (json_int_t)forecast->predicted_bytes,
        "basis", forecast_basis_name(forecast->basis), "basis_attempts",
        (json_int_t)forecast->n_attempts, "reserved_bytes", (json_int_t)expected->reserved_bytes,
        "kind", task->kind_name, "size", (json_int_t)expected->size);
    if (!owned || !more || json_object_update(owned, more) < 0)
        return NULL;
    if (!expected->is_pair)
        return STEAL_PTR(owned);
    CLEANUP_JSON json_t *pair =
        json_pack("{s:i, s:I, s:I, s:f}", "threads", expected->threads, "cap_bytes",
                  (json_int_t)expected->cap_bytes, "prior_bytes", (json_int_t)forecast->prior_bytes,
                  "prior_s", seconds(forecast->prior_ms));
    return pair && json_object_update(owned, pair) == 0 ? STEAL_PTR(owned) : NULL;
}

json_t *record_attempt_start(const struct task *task, const struct attempt *attempt,
                             const struct record_forecast *expected) {
    json_t *record =
        json_pack("{s:s, s:i, s:i, s:I, s:s}", "task", task->id, "attempt", attempt_number(attempt),
                  "pid", (int)attempt_pid(attempt), "start_ticks",
                  (json_int_t)attempt_start_ticks(attempt), "token", attempt_token(attempt));
    return with_forecast(record, task, expected);
}

json_t *record_attempt_end(const struct task *task, int number, const struct attempt_result *result,
                           const struct record_forecast *expected) {
    const struct verdict_judgement *judgement = &result->judgement;
    json_t *record =
        json_pack("{s:s, s:i, s:s, s:s, s:O, s:s, s:f, s:f, s:I, s:I, s:I, s:s, s:O*}", "task",
                  task->id, "attempt", number, "verdict", verdict_name(judgement->verdict),
                  "reason", judgement->reason, "evidence", judgement->evidence, "started",
                  result->started, "wall_s", seconds(result->wall_ms), "cpu_s",
                  seconds(result->cpu_ms), "peak_rss_bytes", (json_int_t)result->peak_rss_bytes,
                  "largest_rss_bytes", (json_int_t)result->largest_rss_bytes, "min_rss_bytes",
                  (json_int_t)result->min_rss_bytes, "stage", result->stage, "peak", result->peak);
    if (record && result->is_shared && json_object_set_new(record, "shared", json_true()) < 0) {
        json_decref(record);
        return NULL;
    }
    return with_forecast(record, task, expected);
}

json_t *record_task_end(const struct task *task, int attempts, const struct attempt_result *result,
                        json_t *identity) {
    const struct verdict_judgement *judgement = &result->judgement;
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:i, s:f, s:I, s:s, s:O*, s:O*}", "task", task->id, "verdict",
        verdict_name(judgement->verdict), "reason", judgement->reason, "attempts", attempts,
        "wall_s", seconds(result->wall_ms), "peak_rss_bytes", (json_int_t)result->peak_rss_bytes,
        "cause", judgement->cause, "inputs", result->inputs, "outputs", result->outputs);
    if (record && identity)
        (void)json_object_update(record, identity); /* without it the task just runs again */
    return record;
}

json_t *record_attempt_lost(const json_t *start) {
    struct verdict_judgement judgement;
    const struct verdict_facts facts = {.lost = true};
    verdict_judge(&facts, &judgement);
    json_t *record = json_pack(
        "{s:O*, s:O*, s:s, s:s, s:o, s:O*, s:f, s:f, s:i, s:i, s:O*, s:O*, s:s, s:O*, s:O*}",
        "task", json_object_get(start, "task"), "attempt", json_object_get(start, "attempt"),
        "verdict", verdict_name(judgement.verdict), "reason", judgement.reason, "evidence",
        judgement.evidence, "started", json_object_get(start, "time"), "wall_s", 0.0, "cpu_s", 0.0,
        "peak_rss_bytes", 0, "min_rss_bytes", 0, "predicted_bytes",
        json_object_get(start, "predicted_bytes"), "reserved_bytes",
        json_object_get(start, "reserved_bytes"), "stage", "", "batch",
        json_object_get(start, "batch"), "user", json_object_get(start, "user"));
    return record;
}

json_t *record_note(const char *text) { return json_pack("{s:s}", "text", text); }
