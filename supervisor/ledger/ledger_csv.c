/* See ledger_csv.h. A broken stream is found where it is closed, so single prints are not checked.
 */
#include "supervisor/ledger/ledger_csv.h"

#include <string.h>

/* Members of attempt_end behind the first three columns; nested ones are printed as JSON. */
static const char *const wide_members[] = {
    "seq",    "time",   "boot",           "attempt",       "verdict",         "started",
    "wall_s", "cpu_s",  "peak_rss_bytes", "min_rss_bytes", "predicted_bytes", "reserved_bytes",
    "stage",  "reason", "cause",          "evidence",
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

static void print_megabytes(FILE *stream, const json_t *bytes) {
    (void)fputc(',', stream);
    if (json_is_integer(bytes))
        (void)fprintf(stream, "%.12g", (double)json_integer_value(bytes) / (1 << 20));
}

int ledger_csv_record(void *context, const json_t *record, struct failure *failure) {
    const struct ledger_csv *csv = context;
    const char *event = json_string_value(json_object_get(record, "event"));
    const char *task = json_string_value(json_object_get(record, "task"));
    (void)failure;
    if (strcmp(event, "attempt_end") != 0 || !task || (csv->task && strcmp(csv->task, task) != 0))
        return 0;
    print_text(csv->stream, task);
    print_megabytes(csv->stream, json_object_get(record, "min_rss_bytes"));
    print_megabytes(csv->stream, json_object_get(record, "peak_rss_bytes"));
    for (size_t i = 0; csv->wide && i < ARRAY_LEN(wide_members); i++) {
        (void)fputc(',', csv->stream);
        print_value(csv->stream, json_object_get(record, wide_members[i]));
    }
    (void)fputc('\n', csv->stream);
    return 0;
}
