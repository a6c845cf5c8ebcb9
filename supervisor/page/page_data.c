/* See page_data.h. One line for each task and each attempt; no tree of them all is ever held. */
#include "supervisor/page/page_data.h"

#include "common/clock.h"
#include "common/names.h"
#include "common/version.h"
#include "supervisor/explain/words.h"
#include "supervisor/page/page_file.h"
#include "supervisor/page/page_out.h"
#include "supervisor/page/page_picture.h"
#include "supervisor/page/page_series.h"
#include "supervisor/report/advice.h"

#include <errno.h>
#include <string.h>

enum {
    RESULT_BYTES = 256 << 10, /* of result.json and transform.json */
    SERIES_BYTES = 1 << 20,   /* of memory.csv */
    SERIES_POINTS = 60000,    /* of all attempts together, in the night's data */
    SERIES_MOST = 96,         /* of one attempt there */
    SERIES_LEAST = 4,
    SERIES_DETAIL = 240, /* where one task is looked at */
    LOG_BYTES = 4 << 10, /* of a problem's log, its end */
    PROBLEM_IDS = 100000,
};

/* ---- a task ---- */

/* Members of from that are numbers or strings, under other names. */
static int copy_members(json_t *to, const json_t *from, const char *const (*names)[2], size_t n) {
    for (size_t i = 0; i < n; i++) {
        json_t *value = json_object_get(from, names[i][0]);
        const bool is_plain = json_is_number(value) || json_is_string(value);
        if (is_plain && json_object_set(to, names[i][1], value) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_results(const struct page_data *data, const struct page_task *task, json_t *row) {
    static const char *const of_result[][2] = {{"scale", "scale"}, {"scale_kind", "scale_kind"}};
    static const char *const of_transform[][2] = {{"model", "model"}};
    static const char *const of_residual[][2] = {
        {"median", "residual"}, {"p95", "residual_p95"}, {"tiles", "tiles"}};
    const char *out = data->request->out;
    CLEANUP_JSON json_t *result = page_file_json(out, task->id, "result.json", RESULT_BYTES);
    CLEANUP_JSON json_t *transform = page_file_json(out, task->id, "transform.json", RESULT_BYTES);
    const json_t *residual = json_object_get(transform, "residual_px");
    int r = copy_members(row, result, of_result, ARRAY_LEN(of_result));
    if (r == 0)
        r = copy_members(row, transform, of_transform, ARRAY_LEN(of_transform));
    return r == 0 ? copy_members(row, residual, of_residual, ARRAY_LEN(of_residual)) : r;
}

static const char *verdict_of(const struct page_task *task) {
    if (task->result.finished)
        return verdict_name(task->result.verdict);
    return task->is_running ? "running" : "waiting";
}

static int put_task(const struct page_data *data, const struct page_task *task) {
    const struct task_result *result = &task->result;
    CLEANUP_JSON json_t *row = json_pack(
        "{s:o, s:s, s:o, s:i, s:f, s:I, s:I, s:I, s:s, s:b, s:i, s:i}", "id",
        page_out_string(task->id), "verdict", verdict_of(task), "reason",
        page_out_string(result->reason ? result->reason : ""), "attempts", result->attempts,
        "wall_s", (double)result->wall_ms / 1e3, "peak_bytes", (json_int_t)result->peak_rss_bytes,
        "predicted_bytes", (json_int_t)task->predicted_bytes, "reserved_bytes",
        (json_int_t)task->reserved_bytes, "cause", task->cause, "pair", task->is_pair, "pictures",
        (int)task->n_pictures, "embedded", (int)task->embedded);
    if (!row || add_results(data, task, row) < 0)
        return -ENOMEM;
    return page_out_json(data->stream, row);
}

static int put_tasks(const struct page_data *data) {
    int r = 0;
    (void)fputs(",\n\"tasks\":[", data->stream); /* errors: see page_out.h */
    for (size_t i = 0; r == 0 && i < data->tasks->count; i++) {
        (void)fputs(i > 0 ? ",\n" : "\n", data->stream);
        r = put_task(data, &data->tasks->items[i]);
    }
    (void)fputc(']', data->stream);
    return r;
}

/* ---- attempts ---- */

struct attempts {
    const struct page_data *data;
    size_t n_runs, n_written;
};

/* What a ledger's words add to a problem's reason. */
static json_t *evidence_words(const json_t *end) {
    CLEANUP_JSON json_t *words = json_array();
    char *const texts[] = {words_exit(end), words_group(end), words_machine(end), words_then(end)};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (words && texts[i])
            (void)json_array_append_new(words, page_out_string(texts[i])); /* one less is told */
        free(texts[i]);
    }
    return STEAL_PTR(words);
}

static int put_attempt(void *context, const json_t *record, struct failure *failure) {
    struct attempts *attempts = context;
    const struct page_data *data = attempts->data;
    size_t number = 0;
    attempts->n_runs += page_tasks_begins_run(data->tasks, record);
    if (strcmp(story_text(record, "event"), "attempt_end") != 0 ||
        !page_tasks_find(data->tasks, record, &number))
        return 0;
    const char *verdict = story_text(record, "verdict");
    const bool is_ok = strcmp(verdict, "ok") == 0;
    CLEANUP_JSON json_t *row = json_pack(
        "[I, I, I, s, f, s, I, I, I, s, f, o]", (json_int_t)number,
        (json_int_t)attempts->n_runs - 1, json_integer_value(json_object_get(record, "attempt")),
        story_text(record, "started"), (double)words_ms(record, "wall_s") / 1e3, verdict,
        (json_int_t)words_bytes(record, "peak_rss_bytes"),
        (json_int_t)words_bytes(record, "predicted_bytes"),
        (json_int_t)words_bytes(record, "reserved_bytes"), story_text(record, "stage"),
        (double)words_ms(record, "cpu_s") / 1e3, is_ok ? json_null() : evidence_words(record));
    if (row && !is_ok)
        (void)json_array_append_new(row, page_out_string(story_text(record, "reason")));
    (void)fputs(attempts->n_written++ > 0 ? ",\n" : "\n", data->stream);
    return page_out_json(data->stream, row) < 0
               ? failure_set_errno(failure, -ENOMEM, "cannot write the report")
               : 0;
}

static int put_attempts(const struct page_data *data, struct failure *failure) {
    const struct page_request *request = data->request;
    struct attempts attempts = {.data = data};
    int r = 0;
    (void)fputs(",\n\"attempts\":[", data->stream);
    if (request->read)
        r = request->read(request->context, put_attempt, &attempts, failure);
    (void)fputc(']', data->stream);
    return r;
}

/* ---- memory ---- */

/* NULL: there is none. */
static json_t *read_series(const struct page_data *data, const char *id, size_t points) {
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    if (page_file_read(data->request->out, id, "memory.csv", SERIES_BYTES, false, &text, &length) <
        0)
        return NULL;
    return page_series_parse(text, points);
}

static int put_memory(const struct page_data *data) {
    const size_t n = data->tasks->n_attempts;
    size_t points = n > 0 ? SERIES_POINTS / n : SERIES_MOST, n_written = 0;
    points = points > SERIES_MOST ? SERIES_MOST : points < SERIES_LEAST ? SERIES_LEAST : points;
    (void)fputs(",\n\"memory\":[", data->stream);
    for (size_t i = 0; i < data->tasks->count; i++) {
        json_t *series = read_series(data, data->tasks->items[i].id, points);
        if (!series)
            continue;
        (void)fputs(n_written++ > 0 ? ",\n" : "\n", data->stream);
        if (page_out_json_new(data->stream, json_pack("[I, o]", (json_int_t)i, series)) < 0)
            return -ENOMEM;
    }
    (void)fputc(']', data->stream);
    return 0;
}

/* ---- problems ---- */

/* The last run's command line, or how a service is told. Caller owns. */
static char *command_of(const struct page_data *data) {
    const json_t *runs = data->tasks->runs;
    const json_t *last = json_array_get(runs, json_array_size(runs) - 1);
    if (data->request->batch)
        return names_format("registrar retry %s", data->request->batch);
    return names_format("%s", story_text(last, "command"));
}

static int put_kind(const struct page_data *data, enum advice_kind kind, const char *command,
                    bool *is_first) {
    struct advice_group group = {0};
    struct advice advice = {0};
    CLEANUP_JSON json_t *numbers = json_array();
    for (size_t i = 0; numbers && i < data->tasks->count; i++) {
        const struct page_task *task = &data->tasks->items[i];
        if (advice_kind(&task->result) != kind)
            continue;
        advice_group_add(&group, &task->result);
        if (group.count <= PROBLEM_IDS &&
            json_array_append_new(numbers, json_integer((json_int_t)i)) < 0)
            return -ENOMEM;
    }
    if (!numbers || (group.count > 0 && advice_make(kind, &group, command, &advice) < 0))
        return -ENOMEM;
    if (group.count == 0)
        return 0;
    /* a service's options are given when a batch is submitted: retrying is all there is to type */
    const char *typed = data->request->batch && advice.command ? command : advice.command;
    json_t *row = json_pack(
        "{s:s, s:s, s:o, s:O}", "title", advice_title(kind), "words", advice.words, "command",
        typed && *typed ? page_out_string(typed) : json_null(), "tasks", numbers);
    advice_free(&advice);
    (void)fputs(*is_first ? "\n" : ",\n", data->stream);
    *is_first = false;
    return page_out_json_new(data->stream, row);
}

/* What needs a person most comes first: a terminal's eyes rest on its end, a page's on its top. */
static int put_problems(const struct page_data *data) {
    CLEANUP_FREE char *command = command_of(data);
    bool is_first = true;
    int r = command ? 0 : -ENOMEM;
    (void)fputs(",\n\"problems\":[", data->stream);
    for (int kind = ADVICE_KIND_COUNT - 1; r == 0 && kind >= 0; kind--)
        r = put_kind(data, (enum advice_kind)kind, command, &is_first);
    (void)fputc(']', data->stream);
    return r;
}

/* ---- all of it ---- */

static int put_heading(const struct page_data *data) {
    char now[CLOCK_TEXT_BYTES];
    const struct page_request *request = data->request;
    CLEANUP_JSON json_t *heading =
        json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:I, s:O*}", "version", 1, "registrar",
                  REGISTRAR_VERSION, "made", clock_rfc3339(now), "out",
                  page_out_string(data->where), "folder", page_out_string(request->out), "batch",
                  request->batch ? page_out_string(request->batch) : json_null(), "embedded_bytes",
                  (json_int_t)data->embed_bytes, "pressure", data->memory);
    return page_out_json(data->stream, heading);
}

int page_data_put(const struct page_data *data, struct failure *failure) {
    FILE *stream = data->stream;
    int r = 0;
    (void)fputs("{\"about\":", stream); /* errors: see page_out.h */
    r = put_heading(data);
    (void)fputs(",\n\"runs\":", stream);
    if (r == 0)
        r = page_out_json(stream, data->tasks->runs);
    (void)fprintf(stream, ",\n\"first_run\":%zu,\n\"notes\":",
                  data->tasks->n_runs - json_array_size(data->tasks->runs));
    if (r == 0)
        r = page_out_json(stream, data->tasks->notes);
    if (r == 0)
        r = put_problems(data);
    if (r == 0)
        r = put_tasks(data);
    if (r == 0)
        r = put_memory(data);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write the report");
    r = put_attempts(data, failure);
    (void)fputs("}", stream);
    return r;
}

/* ---- a task's details ---- */

/* Of a problem, the end of its log in lines. NULL: none. */
static json_t *read_log(const struct page_data *data, const struct page_task *task) {
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    if (!task->result.finished || task->result.verdict == VERDICT_OK ||
        page_file_read(data->request->out, task->id, "log.txt", LOG_BYTES, true, &text, &length) <
            0)
        return NULL;
    CLEANUP_JSON json_t *lines = json_array();
    char *rest = text;
    if (length == LOG_BYTES) /* it begins in the middle of a line */
        (void)strsep(&rest, "\n");
    for (const char *line; lines && (line = strsep(&rest, "\n"));)
        if (*line && json_array_append_new(lines, page_out_string(line)) < 0)
            return NULL;
    return json_array_size(lines) > 0 ? STEAL_PTR(lines) : NULL;
}

int page_data_put_details(const struct page_data *data, size_t number) {
    const struct page_task *task = &data->tasks->items[number];
    const char *out = data->request->out, *id = task->id;
    CLEANUP_JSON json_t *series = read_series(data, id, SERIES_DETAIL);
    CLEANUP_JSON json_t *result = page_file_json(out, id, "result.json", RESULT_BYTES);
    CLEANUP_JSON json_t *transform = page_file_json(out, id, "transform.json", RESULT_BYTES);
    CLEANUP_JSON json_t *lines = read_log(data, task);
    if (!series && !result && !transform && !lines && task->n_pictures == 0)
        return 0;
    const struct {
        const char *name;
        const json_t *value;
    } members[] = {
        {"memory", series}, {"result", result}, {"transform", transform}, {"log", lines}};
    int r = 0;
    (void)fprintf(data->stream, "<script type=\"application/json\" id=\"task-%zu\">{", number);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(members); i++) {
        if (!members[i].value)
            continue;
        (void)fprintf(data->stream, "\"%s\":", members[i].name);
        r = page_out_json(data->stream, members[i].value);
        (void)fputs(",\n", data->stream);
    }
    (void)fputs("\"pictures\":", data->stream);
    if (r == 0)
        r = page_picture_put(data->stream, out, task);
    (void)fputs("}</script>\n", data->stream);
    return r;
}
