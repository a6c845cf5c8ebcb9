/* The closing report for people; see summary.h.
 *
 * The order is that of a person's eyes, which rest on the last lines of a terminal: first the
 * table, then the problems by kind, worst knowledge last, then one line that says it all. Problems
 * of one kind share one advice, so that the next command is seen once and can be copied. */
#include "supervisor/report/summary.h"

#include "common/units.h"
#include "supervisor/report/advice.h"
#include "supervisor/report/table.h"

#include <errno.h>
#include <string.h>

enum {
    SUMMARY_OK_ROWS = 20,      /* more tasks that are ok become one line */
    SUMMARY_KIND_PROBLEMS = 12 /* of one kind, spelled out; the table has them all */
};

static bool is_ok(const struct task_result *task) {
    return task->finished && task->verdict == VERDICT_OK;
}

static enum text_style verdict_style(const struct task_result *task) {
    if (!task->finished)
        return TEXT_FAINT;
    switch (task->verdict) {
    case VERDICT_OK:
        return TEXT_GOOD;
    case VERDICT_DOUBTFUL:
    case VERDICT_CANCELLED:
    case VERDICT_LOST:
        return TEXT_WARN;
    default:
        return TEXT_BAD;
    }
}

static void add_row(struct table *table, const struct task_result *task) {
    char text[UNITS_TEXT_BYTES];
    bool ran = task->finished && task->attempts > 0;
    table_cell(table, "%s", task->id);
    table_cell(table, "%s", task->finished ? verdict_name(task->verdict) : "waiting");
    table_style(table, verdict_style(task));
    table_cell(table, "%d", task->attempts);
    table_cell(table, "%s", ran ? units_format_duration(task->wall_ms, text) : "-");
    table_cell(table, "%s",
               ran && task->peak_rss_bytes ? units_format_size(task->peak_rss_bytes, text) : "-");
    table_cell(table, "%s", task->reason ? task->reason : "");
}

static int print_table(const struct summary *summary, FILE *stream, size_t width, bool colour,
                       bool with_ok) {
    static const struct table_column columns[] = {
        {.title = "TASK", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
        {.title = "VERDICT"},
        {.title = "TRIES", .right = true},
        {.title = "TIME", .right = true},
        {.title = "PEAK MEMORY", .right = true},
        {.title = "REASON", .shrinks = true, .cut = TEXT_CUT_END},
    };
    struct table *table = table_open(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < summary->n_tasks; i++)
        if (with_ok || !is_ok(&summary->tasks[i]))
            add_row(table, &summary->tasks[i]);
    int r = table_print(table, stream, width, colour);
    table_close(table);
    return r;
}

/* Many tasks that went well, in one line with the two that a person may want to know. */
static void print_ok_line(const struct summary *summary, FILE *stream) {
    const struct task_result *slowest = NULL, *largest = NULL;
    size_t count = 0;
    for (size_t i = 0; i < summary->n_tasks; i++) {
        const struct task_result *task = &summary->tasks[i];
        if (!is_ok(task))
            continue;
        count++;
        if (!slowest || task->wall_ms > slowest->wall_ms)
            slowest = task;
        if (!largest || task->peak_rss_bytes > largest->peak_rss_bytes)
            largest = task;
    }
    if (count == 0)
        return;
    char time[UNITS_TEXT_BYTES], size[UNITS_TEXT_BYTES];
    (void)fprintf(stream, "%zu tasks are ok: up to %s (", count,
                  units_format_duration(slowest->wall_ms, time));
    (void)text_print(stream, slowest->id, TEXT_UNLIMITED, TEXT_CUT_END);
    (void)fprintf(stream, ") and %s (", units_format_size(largest->peak_rss_bytes, size));
    (void)text_print(stream, largest->id, TEXT_UNLIMITED, TEXT_CUT_END);
    (void)fputs(")\n", stream);
}

/* One problem: the id, then all that is known, wrapped, then where to look. Paths stay whole. */
static void print_problem(const struct summary *summary, const struct task_result *task,
                          FILE *stream, size_t width) {
    (void)fputs("  ", stream);
    (void)text_print(stream, task->id, TEXT_UNLIMITED, TEXT_CUT_END);
    (void)fputs("\n      ", stream);
    CLEANUP_FREE char *evidence = advice_evidence(task);
    text_wrap(stream, evidence ? evidence : "", 6, width);
    if (task->verdict == VERDICT_DOUBTFUL) {
        (void)fputs("      files: ", stream);
        (void)text_print(stream, summary->out, TEXT_UNLIMITED, TEXT_CUT_END);
        (void)fputc('/', stream);
        (void)text_print(stream, task->id, TEXT_UNLIMITED, TEXT_CUT_END);
        (void)fputc('\n', stream);
    } else if (task->log_path) {
        (void)fputs("      log: ", stream);
        (void)text_print(stream, task->log_path, TEXT_UNLIMITED, TEXT_CUT_END);
        (void)fputc('\n', stream);
    }
}

static int print_kind(const struct summary *summary, enum advice_kind kind, FILE *stream,
                      size_t width, bool colour) {
    struct advice_group group = {0};
    for (size_t i = 0; i < summary->n_tasks; i++)
        if (advice_kind(&summary->tasks[i]) == kind)
            advice_group_add(&group, &summary->tasks[i]);
    if (group.count == 0)
        return 0;
    enum text_style style = verdict_style(group.first);
    (void)fprintf(stream, "\n%s%zu %s%s\n", text_style(style, colour), group.count,
                  advice_title(kind), text_style(TEXT_PLAIN, colour));
    size_t shown = 0;
    for (size_t i = 0; i < summary->n_tasks && shown < SUMMARY_KIND_PROBLEMS; i++) {
        if (advice_kind(&summary->tasks[i]) != kind)
            continue;
        print_problem(summary, &summary->tasks[i], stream, width);
        shown++;
    }
    if (group.count > shown)
        (void)fprintf(stream, "  and %zu more, in the table above\n", group.count - shown);
    struct advice advice = {0};
    if (advice_make(kind, &group, summary->command, &advice) < 0)
        return -ENOMEM;
    (void)fputs("  Next: ", stream);
    text_wrap(stream, advice.words, 8, width);
    if (advice.command)
        (void)fprintf(stream, "      %s\n", advice.command);
    advice_free(&advice);
    return 0;
}

/* "27 ok, 1 doubtful, 2 failed, 3 left": verdicts that occur. */
static void print_counts(const struct summary *summary, FILE *stream, bool colour,
                         size_t *ret_left) {
    size_t left = 0, words = 0;
    for (size_t v = 0; v < VERDICT_COUNT; v++) {
        struct task_result like = {.finished = true, .verdict = (enum verdict)v};
        size_t count = 0;
        for (size_t i = 0; i < summary->n_tasks; i++)
            count += summary->tasks[i].finished && summary->tasks[i].verdict == like.verdict;
        if (count == 0 && !(v == VERDICT_OK && summary->n_tasks > 0))
            continue;
        bool styled = colour && count > 0;
        (void)fprintf(stream, "%s%s%zu %s%s", words++ ? ", " : "",
                      text_style(verdict_style(&like), styled), count, verdict_name(like.verdict),
                      text_style(TEXT_PLAIN, styled));
    }
    for (size_t i = 0; i < summary->n_tasks; i++)
        left += !summary->tasks[i].finished;
    if (left > 0)
        (void)fprintf(stream, "%s%zu left", words ? ", " : "", left);
    *ret_left = left;
}

static void print_closing(const struct summary *summary, FILE *stream, bool colour) {
    size_t resumed = 0, left = 0;
    for (size_t i = 0; i < summary->n_tasks; i++)
        resumed += summary->tasks[i].resumed;
    char time[UNITS_TEXT_BYTES];
    if (summary->interrupted)
        (void)fputs("Interrupted: ", stream);
    print_counts(summary, stream, colour, &left);
    if (resumed == summary->n_tasks && resumed > 0)
        (void)fputs(", nothing was left to do", stream);
    else
        (void)fprintf(stream, " in %s", units_format_duration(summary->wall_ms, time));
    if (resumed > 0 && resumed < summary->n_tasks)
        (void)fprintf(stream, " (%zu done before)", resumed);
    (void)fputs("; results in ", stream);
    (void)text_print(stream, summary->out, TEXT_UNLIMITED, TEXT_CUT_END);
    (void)fputc('\n', stream);
    if (resumed == summary->n_tasks && resumed > 0)
        (void)fputs("To do it all again, add --redo.\n", stream);
    if (left > 0)
        (void)fprintf(stream, "Run the same command again to continue:\n    %s\n",
                      summary->command);
}

int summary_print(const struct summary *summary, FILE *stream, size_t width, bool colour,
                  struct failure *failure) {
    size_t n_ok = 0;
    for (size_t i = 0; i < summary->n_tasks; i++)
        n_ok += is_ok(&summary->tasks[i]);
    bool with_ok = n_ok <= SUMMARY_OK_ROWS;
    if (!with_ok)
        print_ok_line(summary, stream);
    int r = print_table(summary, stream, width, colour, with_ok);
    for (int kind = 0; r == 0 && kind < ADVICE_KIND_COUNT; kind++)
        r = print_kind(summary, (enum advice_kind)kind, stream, width, colour);
    if (r < 0)
        return failure_set(failure, r, "the summary: out of memory");
    (void)fputc('\n', stream);
    print_closing(summary, stream, colour);
    if (fflush(stream) == EOF || ferror(stream))
        return failure_set_errno(failure, errno ? -errno : -EIO, "the summary cannot be printed");
    return 0;
}
