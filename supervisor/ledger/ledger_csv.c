/* See ledger_csv.h. A broken stream is found where it is closed, so single prints are not checked.
 */
#include "supervisor/ledger/ledger_csv.h"

#include <errno.h>
#include <string.h>

/* Members of attempt_end behind the first three columns; nested ones are printed as JSON. */
static const char *const wide_members[] = {
    "seq",
    "time",
    "boot",
    "attempt",
    "verdict",
    "started",
    "wall_s",
    "cpu_s",
    "peak_rss_bytes",
    "largest_rss_bytes",
    "min_rss_bytes",
    "predicted_bytes",
    "basis",
    "basis_attempts",
    "reserved_bytes",
    "stage",
    "reason",
    "cause",
    "kind",
    "size",
    "threads",
    "cap_bytes",
    "prior_bytes",
    "prior_s",
    "peak",
    "evidence",
};

void ledger_csv_heading(const struct ledger_csv *csv) {
    (void)fputs("task_key,min_memory_mb,max_memory_mb", csv->stream);
    for (size_t i = 0; csv->wide && i < ARRAY_LEN(wide_members); i++)
        (void)fprintf(csv->stream, ",%s", wide_members[i]);
    (void)fputc('\n', csv->stream);
}

static void print_text(FILE *stream, const char *text) {
    if (!*text || !(strpbrk(text, ",\"\r\n") || *text == ' ')) {
        (void)fputs(text, stream);
        return;
    }
    (void)fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"')
            (void)fputc('"', stream);
        (void)fputc(*text, stream);
    }
    (void)fputc('"', stream);
}

static void print_value(FILE *stream, const json_t *value) {
    if (json_is_string(value)) {
        print_text(stream, json_string_value(value));
        return;
    }
    if (!value || json_is_null(value))
        return;
    CLEANUP_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
                                                    JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    print_text(stream, text ? text : "");
}

static void print_megabytes(FILE *stream, json_int_t bytes) {
    (void)fprintf(stream, ",%.12g", (double)bytes / (1 << 20));
}

static void print_three(FILE *stream, const char *task, json_int_t least, json_int_t most) {
    print_text(stream, task);
    print_megabytes(stream, least);
    print_megabytes(stream, most);
}

/* What was not seen (0) is no least. */
static int merge(struct ledger_csv *csv, const char *task, json_int_t least, json_int_t most) {
    if (!csv->tasks)
        csv->tasks = json_object();
    const json_t *pair = json_object_get(csv->tasks, task);
    if (!pair)
        return json_object_set_new(csv->tasks, task, json_pack("[I, I]", least, most));
    json_t *known_least = json_array_get(pair, 0), *known_most = json_array_get(pair, 1);
    if (least > 0 && (least < json_integer_value(known_least) || !json_integer_value(known_least)))
        (void)json_integer_set(known_least, least); /* it is an integer */
    if (most > json_integer_value(known_most))
        (void)json_integer_set(known_most, most);
    return 0;
}

int ledger_csv_record(void *context, const json_t *record, struct failure *failure) {
    struct ledger_csv *csv = context;
    const char *event = json_string_value(json_object_get(record, "event"));
    const char *task = json_string_value(json_object_get(record, "task"));
    const json_int_t least = json_integer_value(json_object_get(record, "min_rss_bytes"));
    const json_int_t most = json_integer_value(json_object_get(record, "peak_rss_bytes"));
    if (strcmp(event, "attempt_end") != 0 || !task || (csv->task && strcmp(csv->task, task) != 0))
        return 0;
    if (!csv->wide)
        return merge(csv, task, least, most) == 0
                   ? 0
                   : failure_set_errno(failure, -ENOMEM, "cannot make the table");
    print_three(csv->stream, task, least, most);
    for (size_t i = 0; i < ARRAY_LEN(wide_members); i++) {
        (void)fputc(',', csv->stream);
        print_value(csv->stream, json_object_get(record, wide_members[i]));
    }
    (void)fputc('\n', csv->stream);
    return 0;
}

void ledger_csv_finish(struct ledger_csv *csv) {
    const char *task = NULL;
    json_t *pair = NULL;
    json_object_foreach(csv->tasks, task, pair) {
        print_three(csv->stream, task, json_integer_value(json_array_get(pair, 0)),
                    json_integer_value(json_array_get(pair, 1)));
        (void)fputc('\n', csv->stream);
    }
    json_decref(csv->tasks);
    csv->tasks = NULL;
}
