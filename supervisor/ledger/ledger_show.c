/* See ledger_show.h. A task_end only repeats its last attempt, apart from the reason: it completes
 * that attempt's row where the row has not been printed yet. An attempt_start is shown only when no
 * attempt_end follows it: it runs, or died with its supervisor. */
#include "supervisor/ledger/ledger_show.h"

#include "common/clock.h"
#include "common/units.h"
#include "supervisor/engine/verdict.h"
#include "supervisor/report/table.h"
#include "supervisor/report/verdict_style.h"

#include <errno.h>
#include <string.h>

enum { BLOCK_ROWS = 4096 };

struct row {
    json_t *record; /* owned */
    json_t *reason; /* owned; NULL: the record's own */
    const char *what;
};

struct ledger_show {
    FILE *stream; /* borrowed */
    struct ledger_show_options options;
    struct row *rows; /* BLOCK_ROWS */
    size_t n_rows;
    json_t *open; /* attempt_start records without an end, by "task\nattempt" */
    bool printed;
};

static const char *text_of(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static bool is_event(const json_t *record, const char *event) {
    return strcmp(text_of(record, "event"), event) == 0;
}

/* What a row says in its last column. */
static const char *reason_of(const struct row *row, char *text, size_t size) {
    if (row->reason)
        return json_string_value(row->reason);
    if (!is_event(row->record, "batch"))
        return *text_of(row->record, "reason") ? text_of(row->record, "reason")
                                               : text_of(row->record, "text");
    const json_t *tasks = json_object_get(row->record, "tasks");
    const char *state = text_of(row->record, "state");
    if (json_is_integer(tasks))
        (void)snprintf(text, size, "batch %s, %" JSON_INTEGER_FORMAT " task%s", state,
                       json_integer_value(tasks), json_integer_value(tasks) == 1 ? "" : "s");
    else
        (void)snprintf(text, size, "batch %s%s", state,
                       json_is_true(json_object_get(row->record, "interrupted")) ? ", interrupted"
                                                                                 : "");
    return text;
}

static void print_row(struct table *table, const struct row *row, bool with_what) {
    const json_t *record = row->record, *attempt = json_object_get(record, "attempt");
    const json_t *wall = json_object_get(record, "wall_s");
    const json_t *peak = json_object_get(record, "peak_rss_bytes");
    char when[CLOCK_TEXT_BYTES], units[UNITS_TEXT_BYTES], reason[128];
    if (!json_is_integer(attempt))
        attempt = json_object_get(record, "attempts");
    (void)clock_local(text_of(record, "time"), when);
    table_cell(table, "%s", when);
    if (with_what)
        table_cell(table, "%s", row->what);
    table_cell(table, "%s", text_of(record, "task"));
    if (json_is_integer(attempt))
        table_cell(table, "%" JSON_INTEGER_FORMAT, json_integer_value(attempt));
    else
        table_cell(table, "%s", "");
    bool has_end = with_what || !is_event(record, "attempt_start");
    table_cell(table, "%s", has_end ? text_of(record, "verdict") : row->what);
    table_style(table, verdict_style_named(text_of(record, "verdict")));
    double wall_s = json_is_number(wall) ? json_number_value(wall) : 0;
    table_cell(table, "%s",
               wall_s > 0 && wall_s < 1e12
                   ? units_format_duration((int64_t)(wall_s * 1e3 + 0.5), units)
                   : "");
    table_cell(table, "%s",
               json_is_integer(peak) && json_integer_value(peak) > 0
                   ? units_format_size((uint64_t)json_integer_value(peak), units)
                   : "");
    table_cell(table, "%s", reason_of(row, reason, sizeof(reason)));
}

static void drop_rows(struct ledger_show *show) {
    for (size_t i = 0; i < show->n_rows; i++) {
        json_decref(show->rows[i].record);
        json_decref(show->rows[i].reason);
    }
    show->n_rows = 0;
}

static int print_block(struct ledger_show *show) {
    static const struct table_column all[] = {
        {.title = "WHEN"},
        {.title = "WHAT"},
        {.title = "TASK", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
        {.title = "TRY", .right = true},
        {.title = "VERDICT"},
        {.title = "TIME", .right = true},
        {.title = "MEMORY", .right = true},
        {.title = "REASON", .shrinks = true, .cut = TEXT_CUT_END},
    };
    enum { WHAT_COLUMN = 1 };
    struct table_column columns[ARRAY_LEN(all)];
    size_t n_columns = 0;
    if (show->n_rows == 0)
        return 0;
    for (size_t c = 0; c < ARRAY_LEN(all); c++) /* nearly all are attempts: the rest is plain */
        if (show->options.all || c != WHAT_COLUMN)
            columns[n_columns++] = all[c];
    struct table *table = table_open(columns, n_columns);
    for (size_t i = 0; i < show->n_rows; i++)
        print_row(table, &show->rows[i], show->options.all);
    if (show->printed)
        (void)fputc('\n', show->stream); /* main checks stdout at the end */
    int r = table ? table_print(table, show->stream, show->options.width, show->options.colour)
                  : -ENOMEM;
    table_close(table);
    show->printed = true;
    drop_rows(show);
    return r;
}

static int add_row(struct ledger_show *show, const json_t *record, const char *what) {
    int r = show->n_rows == BLOCK_ROWS ? print_block(show) : 0;
    if (r < 0)
        return r;
    /* counting references changes nothing that the lender of a const record could see */
    show->rows[show->n_rows++] = (struct row){json_incref((json_t *)record), NULL, what};
    return 0;
}

static void attempt_key(const json_t *record, char *key, size_t size) {
    (void)snprintf(key, size, "%s\n%" JSON_INTEGER_FORMAT, text_of(record, "task"),
                   json_integer_value(json_object_get(record, "attempt")));
}

/* True when the row of the task's last attempt is still here: it takes the task's reason. */
static bool complete_attempt(struct ledger_show *show, const json_t *end) {
    json_t *reason = json_object_get(end, "reason");
    for (size_t i = show->n_rows; i-- > 0;) {
        struct row *row = &show->rows[i];
        if (strcmp(text_of(row->record, "task"), text_of(end, "task")) != 0 ||
            !is_event(row->record, "attempt_end"))
            continue;
        if (strcmp(text_of(row->record, "verdict"), text_of(end, "verdict")) != 0)
            return false;
        if (json_is_string(reason) && !*text_of(row->record, "reason")) {
            json_decref(row->reason);
            row->reason = json_incref(reason);
        }
        return true;
    }
    return false;
}

static int take(struct ledger_show *show, const json_t *record) {
    char key[4096];
    if (is_event(record, "attempt_start")) {
        attempt_key(record, key, sizeof(key));
        if (json_object_set(show->open, key, (json_t *)record) < 0) /* counts a reference */
            return -ENOMEM;
        return show->options.all ? add_row(show, record, "start") : 0;
    }
    if (is_event(record, "attempt_end")) {
        attempt_key(record, key, sizeof(key));
        (void)json_object_del(show->open, key); /* an end without a start is a row all the same */
        return add_row(show, record, "attempt");
    }
    if (is_event(record, "task_end"))
        return complete_attempt(show, record) && !show->options.all ? 0
                                                                    : add_row(show, record, "task");
    return add_row(show, record, text_of(record, "event"));
}

struct ledger_show *ledger_show_open(FILE *stream, const struct ledger_show_options *options) {
    struct ledger_show *show = calloc(1, sizeof(*show));
    if (!show)
        return NULL;
    show->stream = stream;
    show->options = *options;
    show->rows = calloc(BLOCK_ROWS, sizeof(*show->rows));
    show->open = json_object();
    if (show->rows && show->open)
        return show;
    ledger_show_close(show);
    return NULL;
}

int ledger_show_record(void *context, const json_t *record, struct failure *failure) {
    struct ledger_show *show = context;
    if (show->options.task && strcmp(text_of(record, "task"), show->options.task) != 0)
        return 0;
    int r = take(show, record);
    return r < 0 ? failure_set_errno(failure, r, "cannot show the ledger") : 0;
}

int ledger_show_finish(struct ledger_show *show) {
    int r = 0;
    for (void *at = json_object_iter(show->open); at && r == 0 && !show->options.all;
         at = json_object_iter_next(show->open, at))
        r = add_row(show, json_object_iter_value(at), "no end");
    if (r == 0)
        r = print_block(show);
    if (r == 0 && !show->printed)
        r = 1;
    ledger_show_close(show);
    return r;
}

void ledger_show_close(struct ledger_show *show) {
    if (!show)
        return;
    drop_rows(show);
    free(show->rows);
    json_decref(show->open);
    free(show);
}
