/* See status_view.h. JSON goes out as it comes, a task a line: a million of them fit in no table
 * and need no memory. */
#include "supervisor/client/status_view.h"

#include "common/names.h"
#include "common/units.h"
#include "supervisor/engine/verdict.h"
#include "supervisor/report/table.h"
#include "supervisor/report/verdict_style.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { TIME_BYTES = 64, PAGE_COLUMNS = 80 };

static const struct table_column batch_columns[] = {
    {.title = "BATCH", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
    {.title = "USER"},
    {.title = "STATE"},
    {.title = "DONE", .right = true},
    {.title = "FAILED", .right = true},
    {.title = "NEXT", .shrinks = true, .cut = TEXT_CUT_END},
};

static const struct table_column task_columns[] = {
    {.title = "TASK", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
    {.title = "VERDICT"},
    {.title = "TRIES", .right = true},
    {.title = "TIME", .right = true},
    {.title = "MEMORY", .right = true},
    {.title = "REASON", .shrinks = true, .cut = TEXT_CUT_END},
};

void status_view_free(struct status_view *view) {
    json_decref(view->batches);
    json_decref(view->service);
    table_close(view->table);
    view->batches = view->service = NULL;
    view->table = NULL;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *key) {
    return (long long)json_integer_value(json_object_get(object, key));
}

/* ---- words ---- */

static const char *local_time(time_t at, char text[TIME_BYTES]) {
    const time_t now = time(NULL);
    struct tm then, today;
    if (!localtime_r(&at, &then) || !localtime_r(&now, &today))
        return "";
    const bool is_today = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
    const bool is_near = at > now - 6 * 86400 && at < now + 6 * 86400;
    const char *format = is_today ? "%H:%M" : is_near ? "%a %H:%M" : "%Y-%m-%d %H:%M";
    return strftime(text, TIME_BYTES, format, &then) > 0 ? text : "";
}

/* Of an RFC 3339 time in UTC. */
static const char *local_time_of(const char *rfc3339, char text[TIME_BYTES]) {
    struct tm utc = {0};
    return strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &utc) ? local_time(timegm(&utc), text) : "";
}

static long long count_ended(const json_t *batch) {
    const json_t *counts = json_object_get(batch, "counts");
    return number_of(batch, "n_tasks") - number_of(counts, "waiting") -
           number_of(counts, "running");
}

long long status_view_problems(const json_t *batch) {
    return count_ended(batch) - number_of(json_object_get(batch, "counts"), "ok");
}

static long long count_cancelled(const json_t *batch) {
    return number_of(json_object_get(batch, "counts"), "cancelled");
}

static long long count_failed(const json_t *batch) {
    return status_view_problems(batch) - count_cancelled(batch);
}

const char *status_view_sum(const json_t *batch, char text[STATUS_VIEW_BYTES]) {
    const long long failed = count_failed(batch), cancelled = count_cancelled(batch);
    const long long n = number_of(batch, "n_tasks");
    int used = snprintf(text, STATUS_VIEW_BYTES, "%lld of %lld task%s done", count_ended(batch), n,
                        n == 1 ? "" : "s");
    if (failed > 0)
        used += snprintf(text + used, (size_t)(STATUS_VIEW_BYTES - used), ", %lld failed", failed);
    if (cancelled > 0)
        (void)snprintf(text + used, (size_t)(STATUS_VIEW_BYTES - used), ", %lld cancelled",
                       cancelled);
    return text;
}

/* When it ends or ended, or why it waits. */
static const char *next_of(const json_t *batch, char text[FAILURE_TEXT_BYTES]) {
    char when[TIME_BYTES];
    const char *damage = text_of(batch, "damage"), *why = text_of(batch, "why");
    const double remaining_s = json_number_value(json_object_get(batch, "remaining_s"));
    const char *state = text_of(batch, "state");
    if (*damage)
        return damage;
    if (strcmp(state, "done") == 0)
        (void)snprintf(text, FAILURE_TEXT_BYTES, "ended %s",
                       local_time_of(text_of(batch, "ended"), when));
    else if (strcmp(state, "running") == 0 && remaining_s > 0)
        (void)snprintf(text, FAILURE_TEXT_BYTES, "ends about %s",
                       local_time(time(NULL) + (time_t)remaining_s, when));
    else if (strcmp(state, "running") == 0)
        return "";
    else
        return why;
    return text;
}

static enum text_style style_of_state(const char *state) {
    if (strcmp(state, "running") == 0)
        return TEXT_GOOD;
    return strcmp(state, "damaged") == 0 ? TEXT_BAD : TEXT_PLAIN;
}

/* ---- for people ---- */

static void add_batch(struct table *table, const json_t *batch) {
    char next[FAILURE_TEXT_BYTES];
    const long long failed = count_failed(batch);
    table_cell(table, "%s", text_of(batch, "name"));
    table_cell(table, "%s", text_of(batch, "user"));
    table_cell(table, "%s", text_of(batch, "state"));
    table_style(table, style_of_state(text_of(batch, "state")));
    table_cell(table, "%lld/%lld", count_ended(batch), number_of(batch, "n_tasks"));
    if (failed > 0)
        table_cell(table, "%lld", failed);
    else
        table_cell(table, "-");
    table_style(table, failed > 0 ? TEXT_BAD : TEXT_PLAIN);
    if (count_cancelled(batch) > 0)
        table_cell(table, "%s, %lld cancelled", next_of(batch, next), count_cancelled(batch));
    else
        table_cell(table, "%s", next_of(batch, next));
}

/* How far one is that runs; else the reason, unless the heading has it already. */
static void add_reason(const struct status_view *view, const json_t *task) {
    const char *stage = text_of(task, "stage"), *reason = text_of(task, "reason");
    const json_t *fraction = json_object_get(task, "fraction");
    const char *why = text_of(json_array_get(view->batches, 0), "why");
    if (*stage && fraction)
        table_cell(view->table, "%s, %.0f %%", stage, 100 * json_number_value(fraction));
    else
        table_cell(view->table, "%s", strcmp(reason, why) == 0 ? "" : reason);
}

static void add_task(const struct status_view *view, const json_t *task) {
    char text[UNITS_TEXT_BYTES];
    const bool is_running = strcmp(text_of(task, "verdict"), "running") == 0;
    const double time_s =
        json_number_value(json_object_get(task, is_running ? "elapsed_s" : "wall_s"));
    const long long bytes = number_of(task, is_running ? "memory_bytes" : "peak_rss_bytes");
    table_cell(view->table, "%s", text_of(task, "id"));
    table_cell(view->table, "%s", text_of(task, "verdict"));
    table_style(view->table, verdict_style_named(text_of(task, "verdict")));
    table_cell(view->table, "%lld", number_of(task, "attempts"));
    table_cell(view->table, "%s",
               time_s > 0 ? units_format_duration((int64_t)(time_s * 1e3), text) : "-");
    table_cell(view->table, "%s", bytes > 0 ? units_format_size((uint64_t)bytes, text) : "-");
    add_reason(view, task);
}

static void print_batch_heading(const struct status_view *view, const json_t *batch) {
    char sum[STATUS_VIEW_BYTES], next[FAILURE_TEXT_BYTES];
    const char *then = next_of(batch, next);
    const size_t width = view->width < PAGE_COLUMNS ? view->width : PAGE_COLUMNS;
    CLEANUP_FREE char *heading =
        names_format("%s of %s, %s: %s%s%s", text_of(batch, "name"), text_of(batch, "user"),
                     text_of(batch, "state"), status_view_sum(batch, sum), *then ? "; " : "", then);
    text_wrap(view->stream, heading ? heading : "", 0, width);
    const char *out = text_of(batch, "out");
    (void)fputs(*out ? "Results: " : "It is another user's: reasons and folders are not told.",
                view->stream);
    (void)text_print(view->stream, out, TEXT_UNLIMITED, TEXT_CUT_END);
    (void)fputs("\n\n", view->stream);
}

static int print_one(struct status_view *view) {
    const json_t *batch = json_array_get(view->batches, 0);
    const json_t *counts = json_object_get(batch, "counts");
    const long long n_left = number_of(batch, "n_tasks") - (long long)view->n_tasks;
    print_batch_heading(view, batch);
    int r = table_print(view->table, view->stream, view->width, view->colour);
    if (n_left > 0)
        (void)fprintf(view->stream,
                      "\n%lld ok, %lld waiting in all; registrar status %s --all lists each\n",
                      number_of(counts, "ok"), number_of(counts, "waiting"), view->batch);
    return r;
}

static int print_all(struct status_view *view) {
    if (json_array_size(view->batches) == 0) {
        (void)fputs("The queue is empty: registrar submit RAW -o OUT fills it, and registrar "
                    "status\n--all lists what ended more than a day ago.\n",
                    view->stream);
        return 0;
    }
    for (size_t i = 0; i < json_array_size(view->batches); i++)
        add_batch(view->table, json_array_get(view->batches, i));
    int r = table_print(view->table, view->stream, view->width, view->colour);
    (void)fprintf(view->stream, "\n%s\n", text_of(view->service, "sentence"));
    const char *notice = text_of(view->service, "notice");
    if (*notice)
        text_wrap(view->stream, notice, 0, view->width < PAGE_COLUMNS ? view->width : PAGE_COLUMNS);
    return r;
}

/* ---- for programs ---- */

static int dump(FILE *stream, const json_t *value) {
    return json_dumpf(value, stream, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12)) <
                   0
               ? -ENOMEM
               : 0;
}

/* The counts of all batches together. */
static json_t *sum_counts(const struct status_view *view) {
    json_t *sum = json_object();
    for (size_t i = 0; i < json_array_size(view->batches); i++) {
        json_t *counts = json_object_get(json_array_get(view->batches, i), "counts");
        const char *key;
        json_t *value;
        json_object_foreach(counts, key, value) {
            const json_int_t n = json_integer_value(value) + number_of(sum, key);
            if (json_object_set_new(sum, key, json_integer(n)) < 0)
                break;
        }
    }
    return sum;
}

static int finish_json(const struct status_view *view) {
    CLEANUP_JSON json_t *counts = sum_counts(view);
    double wall_s = 0;
    for (size_t i = 0; i < json_array_size(view->batches); i++)
        wall_s += json_number_value(json_object_get(json_array_get(view->batches, i), "wall_s"));
    (void)fputs(view->n_tasks > 0 ? "\n ],\n \"counts\": " : "],\n \"counts\": ", view->stream);
    int r = dump(view->stream, counts);
    (void)fprintf(view->stream, ",\n \"wall_s\": %.12g,\n \"batches\": ", wall_s);
    if (r == 0)
        r = dump(view->stream, view->batches);
    (void)fputs("\n}\n", view->stream);
    return r;
}

/* ---- the answer ---- */

static int take_task(struct status_view *view, const json_t *task) {
    view->n_tasks++;
    if (!view->as_json) {
        add_task(view, task);
        return 0;
    }
    (void)fputs(view->n_tasks > 1 ? ",\n  " : "\n  ", view->stream);
    return dump(view->stream, task);
}

static int take_lines(struct status_view *view, struct connection *connection,
                      struct failure *failure) {
    for (;;) {
        CLEANUP_JSON json_t *line = NULL;
        int r = connection_receive(connection, &line, failure);
        if (r < 0)
            return r;
        json_t *batch = json_object_get(line, "batch"), *task = json_object_get(line, "task");
        if (json_object_get(line, "end"))
            return 0;
        if (batch && json_array_append(view->batches, batch) < 0)
            return failure_set(failure, -ENOMEM, "out of memory");
        if (task && take_task(view, task) < 0)
            return failure_set(failure, -ENOMEM, "out of memory");
    }
}

static json_t *make_request(const struct status_view *view, bool all) {
    json_t *request = json_pack("{s:b, s:b}", "all", all || (view->as_json && view->batch), "tasks",
                                view->as_json || view->batch);
    if (request && view->batch &&
        json_object_set_new(request, "batch", json_string(view->batch)) < 0) {
        json_decref(request);
        return NULL;
    }
    return request;
}

int status_view_show(struct status_view *view, struct connection *connection, bool all,
                     struct failure *failure) {
    CLEANUP_JSON json_t *answer = NULL;
    view->batches = json_array();
    view->table = view->batch ? table_open(task_columns, ARRAY_LEN(task_columns))
                              : table_open(batch_columns, ARRAY_LEN(batch_columns));
    int r = connection_ask(connection, "status", make_request(view, all), &answer, failure);
    if (r < 0)
        return r;
    view->service = json_incref(json_object_get(answer, "service"));
    if (view->as_json)
        (void)fputs("{\n \"version\": 1,\n \"tasks\": [", view->stream);
    r = take_lines(view, connection, failure);
    if (r < 0)
        return r;
    r = view->as_json ? finish_json(view) : view->batch ? print_one(view) : print_all(view);
    return r < 0 ? failure_set(failure, r, "out of memory") : 0;
}
