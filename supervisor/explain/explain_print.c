/* See explain_print.h. Per attempt a heading and a few labelled lines; a line that has nothing to
 * say is not there. */
#include "supervisor/explain/explain_print.h"

#include "common/clock.h"
#include "common/names.h"
#include "common/units.h"
#include "supervisor/engine/verdict.h"
#include "supervisor/explain/words.h"
#include "supervisor/report/table.h"
#include "supervisor/report/verdict_style.h"

#include <errno.h>
#include <string.h>

enum { LABEL_COLUMN = 13, LEAST_MS = 50 };

/* Takes words; NULL: no line. */
static void line(const struct explain_print *what, FILE *stream, const char *label, char *words) {
    CLEANUP_FREE char *owned = words;
    if (!owned)
        return;
    (void)fprintf(stream, "  %-*s", LABEL_COLUMN - 2, label);
    text_wrap(stream, owned, LABEL_COLUMN, what->width);
}

/* --- memory --- */

static void buffer_row(struct table *table, const char *label, uint64_t bytes, uint64_t all) {
    char size[UNITS_TEXT_BYTES];
    table_cell(table, "             %s", label);
    table_cell(table, "%s", units_format_size(bytes, size));
    table_cell(table, "%.0f %%", all > 0 ? 100 * (double)bytes / (double)all : 0);
}

/* The buffers' high-water mark and the process's are seldom of the same instant, so neither is
 * taken from the other. */
static void print_memory_words(const struct explain_print *what, const json_t *end, FILE *stream) {
    char held[UNITS_TEXT_BYTES], all[UNITS_TEXT_BYTES];
    const json_t *peak = json_object_get(end, "peak");
    const uint64_t bytes = words_bytes(peak, "bytes"), rss = words_bytes(end, "peak_rss_bytes");
    const char *stage = story_text(peak, "stage"), *in = *stage ? " in stage " : "";
    (void)units_format_size(bytes, held);
    (void)units_format_size(rss, all);
    if (rss > bytes)
        line(what, stream, "in memory",
             names_format("its buffers held %s of the %s at most%s%s; the rest is the program, its "
                          "libraries and what is small:",
                          held, all, in, stage));
    else
        line(what, stream, "in memory",
             names_format("its buffers asked for %s at most%s%s; not all of it was touched:", held,
                          in, stage));
}

static int print_buffers(const struct explain_print *what, const json_t *peak, FILE *stream) {
    static const struct table_column columns[] = {
        {.title = "             BUFFER", .shrinks = true, .cut = TEXT_CUT_END},
        {.title = "SIZE", .right = true},
        {.title = "SHARE", .right = true},
    };
    const uint64_t all = words_bytes(peak, "bytes");
    uint64_t named = 0;
    size_t i;
    const json_t *buffer;
    struct table *table = table_open(columns, ARRAY_LEN(columns));
    json_array_foreach(json_object_get(peak, "buffers"), i, buffer) {
        const uint64_t bytes = words_bytes(buffer, "bytes");
        buffer_row(table, story_text(buffer, "label"), bytes, all);
        named += bytes;
    }
    if (named < all)
        buffer_row(table, "others", all - named, all);
    int r = table_print(table, stream, what->width, false);
    table_close(table);
    return r;
}

static int print_memory(const struct explain_print *what, const json_t *end, FILE *stream) {
    const json_t *peak = json_object_get(end, "peak");
    if (!end || words_bytes(end, "peak_rss_bytes") == 0)
        return 0;
    if (!peak) {
        const char *verdict = story_text(end, "verdict");
        if (strncmp(verdict, "oom", strlen("oom")) == 0 || strcmp(verdict, "killed") == 0)
            line(what, stream, "in memory",
                 strdup("what stood there is not known: it reported nothing of it"));
        return 0;
    }
    print_memory_words(what, end, stream);
    return print_buffers(what, peak, stream);
}

/* --- attempts --- */

/* "Attempt 2, 2026-11-21 21:00:12, for 3 min 05 s, up to stage warp" */
static void print_heading(const struct explain_print *what, const struct story_attempt *attempt,
                          FILE *stream) {
    const json_t *record = attempt->end ? attempt->end : attempt->start;
    const char *started =
        attempt->end ? story_text(attempt->end, "started") : story_text(attempt->start, "time");
    const char *stage = story_text(attempt->end, "stage");
    const int64_t wall_ms = words_ms(attempt->end, "wall_s");
    char when[CLOCK_TEXT_BYTES], time[UNITS_TEXT_BYTES];
    (void)fprintf(stream, "\nAttempt %lld, %s",
                  (long long)json_integer_value(json_object_get(record, "attempt")),
                  clock_local(started, when));
    const bool is_lost = strcmp(story_text(attempt->end, "verdict"), "lost") == 0;
    if (attempt->end && !is_lost && wall_ms < LEAST_MS)
        (void)fputs(", for less than 0.1 s", stream);
    else if (attempt->end && !is_lost)
        (void)fprintf(stream, ", for %s", units_format_duration(wall_ms, time));
    if (!attempt->end)
        (void)fprintf(stream, ", process %lld",
                      (long long)json_integer_value(json_object_get(record, "pid")));
    if (*stage) {
        (void)fputs(", up to stage ", stream);
        (void)text_print(stream, stage, what->width, TEXT_CUT_END);
    }
    (void)fputc('\n', stream);
}

static void print_evidence(const struct explain_print *what, const json_t *end, FILE *stream) {
    char *const lines[] = {words_exit(end), words_group(end), words_machine(end)};
    const char *label = "evidence";
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const bool is_there = lines[i] != NULL;
        line(what, stream, label, lines[i]);
        label = is_there ? "" : label;
    }
}

static int print_attempt(const struct explain_print *what, const struct story_attempt *attempt,
                         bool is_last, FILE *stream) {
    const json_t *end = attempt->end;
    /* what was foretold before it began; the model may have learned since */
    const json_t *before = attempt->start ? attempt->start : end;
    print_heading(what, attempt, stream);
    if (end)
        line(what, stream, "verdict", words_verdict(end));
    else if (!is_last || what->state != STORY_RUNNING)
        line(what, stream, "verdict", strdup("none: its end is not in the ledger"));
    line(what, stream, "predicted", words_predicted(before));
    line(what, stream, "reserved", words_reserved(before, end, attempt->batch));
    if (!end)
        return 0;
    line(what, stream, "measured", words_measured(end, words_bytes(before, "predicted_bytes")));
    print_evidence(what, end, stream);
    int r = print_memory(what, end, stream);
    line(what, stream, "then", words_then(end));
    return r;
}

/* --- the whole --- */

/* "S/A: oom-limit after 2 attempts" */
static void print_title(const struct explain_print *what, FILE *stream) {
    const struct story *story = what->story;
    const size_t n = story->n_attempts + story->n_left_out;
    static const char *const words[STORY_STATE_COUNT] = {
        [STORY_RUNNING] = "runs now",
        [STORY_WAITING] = "waits for its next attempt",
        [STORY_ABANDONED] = "has no verdict: registrar or the machine died while it ran",
        [STORY_INTERRUPTED] = "has no verdict yet",
    };
    (void)text_print(stream, story->task, TEXT_UNLIMITED, TEXT_CUT_END);
    if (what->state == STORY_FINISHED) {
        const char *verdict = story_text(story->verdict, "verdict");
        (void)fprintf(stream, ": %s%s%s", text_style(verdict_style_named(verdict), what->colour),
                      verdict, text_style(TEXT_PLAIN, what->colour));
    } else {
        (void)fprintf(stream, " %s", words[what->state]);
    }
    if (n == 0)
        (void)fputs(", without an attempt\n", stream);
    else
        (void)fprintf(stream, ", %zu attempt%s\n", n, n == 1 ? "" : "s");
}

int explain_print(const struct explain_print *what, FILE *stream) {
    const struct story *story = what->story;
    int r = 0;
    print_title(what, stream);
    if (story->n_left_out > 0)
        (void)fprintf(stream, "The first %zu are in registrar ledger show.\n", story->n_left_out);
    if (story->n_attempts == 0 && *story_text(story->verdict, "reason"))
        line(what, stream, "reason", strdup(story_text(story->verdict, "reason")));
    for (size_t i = 0; i < story->n_attempts && r == 0; i++)
        r = print_attempt(what, &story->attempts[i], i + 1 == story->n_attempts, stream);
    (void)fputs("\nNext: ", stream);
    text_wrap(stream, what->next->words, 6, what->width);
    if (what->next->command)
        (void)fprintf(stream, "    %s\n", what->next->command);
    if (what->log_path) {
        (void)fputs("Log:  ", stream);
        (void)text_print(stream, what->log_path, TEXT_UNLIMITED, TEXT_CUT_END);
        (void)fputc('\n', stream);
    }
    return r;
}

/* --- for programs --- */

/* Start and end in one object; the end's members win. Without what only the ledger needs. */
static json_t *attempt_json(const struct story_attempt *attempt) {
    static const char *const own[] = {"v",    "seq",   "synced", "crc", "event",
                                      "task", "token", "boot",   "time"};
    CLEANUP_JSON json_t *object = json_object();
    if (!object || (attempt->start && json_object_update(object, attempt->start) < 0) ||
        (attempt->end && json_object_update(object, attempt->end) < 0))
        return NULL;
    json_t *started = json_object_get(attempt->start, "time");
    if (started && !attempt->end && json_object_set(object, "started", started) < 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        (void)json_object_del(object, own[i]); /* absent is fine */
    json_t *batch = json_object_get(attempt->batch, "id");
    if (batch && json_object_set(object, "run", batch) < 0)
        return NULL;
    return STEAL_PTR(object);
}

json_t *explain_print_json(const struct explain_print *what) {
    const struct story *story = what->story;
    CLEANUP_JSON json_t *attempts = json_array();
    for (size_t i = 0; i < story->n_attempts; i++)
        if (json_array_append_new(attempts, attempt_json(&story->attempts[i])) < 0)
            return NULL;
    return json_pack("{s:i, s:s, s:s, s:O*, s:O*, s:I, s:O, s:{s:s, s:s*, s:s*}}", "version", 1,
                     "id", story->task, "state", story_state_name(what->state), "verdict",
                     json_object_get(story->verdict, "verdict"), "reason",
                     json_object_get(story->verdict, "reason"), "attempts_left_out",
                     (json_int_t)story->n_left_out, "attempts", attempts, "next", "words",
                     what->next->words, "command", what->next->command, "log", what->log_path);
}
