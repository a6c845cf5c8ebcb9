/* summary.json (contract: "summary.json, and what --json prints"); see summary.h. */
#include "supervisor/report/summary.h"

#include "common/atomic_file.h"

#include <errno.h>
#include <string.h>

/* Milliseconds have at most 12 digits that mean something: 40.2, not 40.200000000000003. */
enum { JSON_FLAGS = JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12) };

static const char waiting[] = "waiting";

static const char *shown_verdict(const struct task_result *task) {
    return task->finished ? verdict_name(task->verdict) : waiting;
}

static json_t *task_to_json(const struct task_result *task) {
    /* a reason may quote a file name that is no UTF-8: jansson refuses the string, not the file */
    CLEANUP_JSON json_t *reason = json_string(task->reason ? task->reason : "");
    if (!reason)
        reason = json_string("see the ledger: the reason is not valid UTF-8");
    return json_pack("{s:s, s:s, s:i, s:f, s:I, s:O}", "id", task->id, "verdict",
                     shown_verdict(task), "attempts", task->attempts, "wall_s",
                     (double)task->wall_ms / 1e3, "peak_rss_bytes",
                     (json_int_t)task->peak_rss_bytes, "reason", reason);
}

/* Verdicts that occur, in the order of the enum; those still waiting last. */
static json_t *counts_to_json(const struct summary *summary) {
    size_t counts[VERDICT_COUNT] = {0}, n_waiting = 0;
    for (size_t i = 0; i < summary->n_tasks; i++) {
        if (summary->tasks[i].finished)
            counts[summary->tasks[i].verdict]++;
        else
            n_waiting++;
    }
    CLEANUP_JSON json_t *object = json_object();
    for (size_t v = 0; v < VERDICT_COUNT; v++)
        if (counts[v] > 0 && json_object_set_new(object, verdict_name((enum verdict)v),
                                                 json_integer((json_int_t)counts[v])) < 0)
            return NULL;
    if (n_waiting > 0 &&
        json_object_set_new(object, waiting, json_integer((json_int_t)n_waiting)) < 0)
        return NULL;
    return STEAL_PTR(object);
}

json_t *summary_to_json(const struct summary *summary) {
    CLEANUP_JSON json_t *tasks = json_array();
    for (size_t i = 0; i < summary->n_tasks; i++)
        if (json_array_append_new(tasks, task_to_json(&summary->tasks[i])) < 0)
            return NULL;
    CLEANUP_JSON json_t *counts = counts_to_json(summary);
    if (!tasks || !counts)
        return NULL;
    return json_pack("{s:i, s:O, s:O, s:f}", "version", 1, "tasks", tasks, "counts", counts,
                     "wall_s", (double)summary->wall_ms / 1e3);
}

/* With a final newline. Caller owns; NULL when out of memory. */
static char *to_text(const struct summary *summary) {
    CLEANUP_JSON json_t *value = summary_to_json(summary);
    CLEANUP_FREE char *json = value ? json_dumps(value, JSON_FLAGS) : NULL;
    char *text = NULL;
    if (!json || asprintf(&text, "%s\n", json) < 0)
        return NULL;
    return text;
}

int summary_print_json(const struct summary *summary, FILE *stream, struct failure *failure) {
    CLEANUP_FREE char *text = to_text(summary);
    if (!text)
        return failure_set(failure, -ENOMEM, "the summary: out of memory");
    if (fputs(text, stream) == EOF || fflush(stream) == EOF)
        return failure_set_errno(failure, -errno, "the summary cannot be written to stdout");
    return 0;
}

int summary_write(const struct summary *summary, const char *path, struct failure *failure) {
    CLEANUP_FREE char *text = to_text(summary);
    if (!text)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    return atomic_file_write(path, text, strlen(text), failure);
}
