/* summary.json (contract: "summary.json, and what --json prints"); see summary.h. */
#include "supervisor/report/summary.h"

#include "common/atomic_file.h"

#include <errno.h>

static const char waiting[] = "waiting";

static const char *shown_verdict(const struct task_result *task) {
    return task->finished ? verdict_name(task->verdict) : waiting;
}

json_t *summary_task_to_json(const struct task_result *task) {
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

/* NULL, out of memory, is an error. Takes value. */
static int print_value(FILE *stream, json_t *value) {
    CLEANUP_JSON json_t *owned = value;
    return owned && json_dumpf(owned, stream, SUMMARY_JSON_FLAGS) == 0 ? 0 : -ENOMEM;
}

/* How the tasks' memory was held, and what it ran short of. */
static json_t *memory_to_json(const struct summary *summary) {
    /* a folder's name may be no UTF-8: that member is left out then, as one that is not known */
    return json_pack("{s:o*, s:o*}", "groups", json_string(summary->groups), "shortage",
                     json_string(summary->shortage));
}

/* A line per task and never a tree of them all: ten thousand would be more than all else that the
 * supervisor holds. Errors of the stream are the caller's to find. */
static int print(const struct summary *summary, FILE *stream) {
    int r = 0;
    (void)fputs("{\n \"version\": 1,\n \"tasks\": [", stream);
    for (size_t i = 0; r == 0 && i < summary->n_tasks; i++) {
        (void)fputs(i > 0 ? ",\n  " : "\n  ", stream);
        r = print_value(stream, summary_task_to_json(&summary->tasks[i]));
    }
    (void)fputs("\n ],\n \"counts\": ", stream);
    if (r == 0)
        r = print_value(stream, counts_to_json(summary));
    (void)fputs(",\n \"wall_s\": ", stream);
    if (r == 0)
        r = print_value(stream, json_real((double)summary->wall_ms / 1e3));
    if (r == 0 && (summary->groups || summary->shortage)) {
        (void)fputs(",\n \"memory\": ", stream);
        r = print_value(stream, memory_to_json(summary));
    }
    (void)fputs("\n}\n", stream);
    return r;
}

/* Caller owns; NULL when out of memory. */
static char *to_text(const struct summary *summary, size_t *ret_length) {
    char *text = NULL;
    FILE *stream = open_memstream(&text, ret_length);
    if (!stream)
        return NULL;
    const int r = print(summary, stream);
    if (fclose(stream) == 0 && r == 0)
        return text;
    free(text);
    return NULL;
}

/* All or nothing: half a summary could be taken for one. */
int summary_print_json(const struct summary *summary, FILE *stream, struct failure *failure) {
    size_t length = 0;
    CLEANUP_FREE char *text = to_text(summary, &length);
    if (!text)
        return failure_set(failure, -ENOMEM, "the summary: out of memory");
    if (fwrite(text, 1, length, stream) != length || fflush(stream) == EOF)
        return failure_set_errno(failure, -errno, "the summary cannot be written to stdout");
    return 0;
}

int summary_write(const struct summary *summary, const char *path, struct failure *failure) {
    size_t length = 0;
    CLEANUP_FREE char *text = to_text(summary, &length);
    if (!text)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    return atomic_file_write(path, text, length, failure);
}
