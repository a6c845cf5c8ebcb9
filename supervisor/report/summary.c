/* The closing report for people; see summary.h.
 *
 * The order is that of a person's eyes, which rest on the last lines of a terminal: first the
 * table, then the problems by kind, worst knowledge last, then one line that says it all. Problems
 * of one kind share one advice, so that the next command is seen once and can be copied. */
#include "supervisor/report/summary.h"

#include "common/units.h"
#include "supervisor/report/advice.h"
#include "supervisor/report/command_line.h"
#include "supervisor/report/table.h"
#include "supervisor/report/verdict_style.h"

#include <errno.h>
#include <string.h>

enum {
    SUMMARY_QUIET_ROWS = 20,    /* more tasks that are ok or waiting become a line */
    SUMMARY_KIND_PROBLEMS = 12, /* of one kind, spelled out; the table has them all */
    SUMMARY_SAME_IDS = 8        /* named together for one and the same reason */
};

static bool is_ok(const struct task_result *task) {
    return task->finished && task->verdict == VERDICT_OK;
}

/* Nothing went wrong with it: it needs no row of its own when there are many. */
static bool is_quiet(const struct task_result *task) { return is_ok(task) || !task->finished; }

static enum text_style style_of(const struct task_result *task) {
    return task->finished ? verdict_style(task->verdict) : TEXT_FAINT;
}

/* A reason that begins with a file's path, from the file's name on: in a narrow table the folders,
 * which the task's id tells, would leave no room for what is wrong. The problems below say all. */
static const char *short_reason(const char *reason) {
    const char *end = *reason == '/' ? strstr(reason, ": ") : NULL;
    const char *name = end ? memrchr(reason, '/', (size_t)(end - reason)) : NULL;
    return name ? name + 1 : reason;
}

static void add_row(struct table *table, const struct task_result *task, bool with_tries) {
    char text[UNITS_TEXT_BYTES];
    bool ran = task->finished && task->attempts > 0;
    table_cell(table, "%s", task->id);
    table_cell(table, "%s", task->finished ? verdict_name(task->verdict) : "waiting");
    table_style(table, style_of(task));
    if (with_tries && task->tries > 0)
        table_cell(table, "%d", task->tries);
    else if (with_tries)
        table_cell(table, "-");
    table_cell(table, "%s", ran ? units_format_duration(task->wall_ms, text) : "-");
    table_cell(table, "%s",
               ran && task->peak_rss_bytes ? units_format_size(task->peak_rss_bytes, text) : "-");
    table_cell(table, "%s", task->reason ? short_reason(task->reason) : "");
}

static int print_table(const struct summary *summary, FILE *stream, size_t width, bool colour,
                       bool with_quiet) {
    static const struct table_column all[] = {
        {.title = "TASK", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
        {.title = "VERDICT"},
        {.title = "TRIES", .right = true},
        {.title = "TIME", .right = true},
        {.title = "MEMORY", .right = true},
        {.title = "REASON", .shrinks = true, .cut = TEXT_CUT_END},
    };
    enum { TRIES_COLUMN = 2 };
    struct table_column columns[ARRAY_LEN(all)];
    size_t n_columns = 0;
    bool with_tries = false; /* one try each is no news */
    for (size_t i = 0; i < summary->n_tasks; i++)
        with_tries = with_tries || summary->tasks[i].tries > 1;
    for (size_t c = 0; c < ARRAY_LEN(all); c++)
        if (with_tries || c != TRIES_COLUMN)
            columns[n_columns++] = all[c];
    struct table *table = table_open(columns, n_columns);
    for (size_t i = 0; i < summary->n_tasks; i++)
        if (with_quiet || !is_quiet(&summary->tasks[i]))
            add_row(table, &summary->tasks[i], with_tries);
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

/* A task of the kind that is being told, with all that is known of it. */
struct problem {
    const struct task_result *task; /* borrowed */
    char *evidence;                 /* owned */
    bool is_told;
};

struct problems {
    struct problem *items; /* owns */
    size_t count;
};

static void problems_free(struct problems *problems) {
    for (size_t i = 0; i < problems->count; i++)
        free(problems->items[i].evidence);
    free(problems->items);
}

static int collect(const struct summary *summary, enum advice_kind kind, struct problems *ret,
                   struct advice_group *group) {
    ret->items = calloc(summary->n_tasks + 1, sizeof(*ret->items));
    if (!ret->items)
        return -ENOMEM;
    for (size_t i = 0; i < summary->n_tasks; i++) {
        const struct task_result *task = &summary->tasks[i];
        if (advice_kind(task) != kind)
            continue;
        char *evidence = advice_evidence(task);
        if (!evidence)
            return -ENOMEM;
        ret->items[ret->count++] = (struct problem){.task = task, .evidence = evidence};
        advice_group_add(group, task);
    }
    return 0;
}

/* The ids of all that have the same evidence, marked as told. Returns how many that are. */
static size_t print_same_ids(struct problems *problems, size_t first, FILE *stream) {
    size_t same = 0;
    for (size_t i = first; i < problems->count; i++) {
        struct problem *problem = &problems->items[i];
        if (problem->is_told || strcmp(problem->evidence, problems->items[first].evidence) != 0)
            continue;
        problem->is_told = true;
        if (same < SUMMARY_SAME_IDS) {
            (void)fputs(same == 0 ? "  " : ", ", stream);
            (void)text_print(stream, problem->task->id, TEXT_UNLIMITED, TEXT_CUT_END);
        }
        same++;
    }
    if (same > SUMMARY_SAME_IDS)
        (void)fprintf(stream, " and %zu more", same - SUMMARY_SAME_IDS);
    (void)fputc('\n', stream);
    return same;
}

/* Problems with one and the same evidence: the ids, then all that is known, wrapped, then where to
 * look. Paths stay whole. */
static size_t print_problem(const struct summary *summary, struct problems *problems, size_t first,
                            FILE *stream, size_t width) {
    const struct task_result *task = problems->items[first].task;
    size_t same = print_same_ids(problems, first, stream);
    (void)fputs("      ", stream);
    text_wrap(stream, problems->items[first].evidence, 6, width);
    CLEANUP_FREE char *files = NULL;
    const char *where = task->log_path;
    if (task->verdict == VERDICT_DOUBTFUL) {
        if (asprintf(&files, "%s/%s", summary->out, task->id) < 0)
            files = NULL; /* out of memory: the line is left out */
        where = files;
    }
    if (where) {
        (void)fprintf(stream, "      %s: ", files ? "files" : "log");
        (void)text_print(stream, where, TEXT_UNLIMITED, TEXT_CUT_END);
        (void)fputs(same > 1 ? ", ...\n" : "\n", stream);
    }
    return same;
}

static int print_kind(const struct summary *summary, enum advice_kind kind, FILE *stream,
                      size_t width, bool colour) {
    CLEANUP(problems_free) struct problems problems = {0};
    struct advice_group group = {0};
    int r = collect(summary, kind, &problems, &group);
    if (r < 0 || group.count == 0)
        return r;
    struct advice advice = {0};
    r = advice_make(kind, &group, summary->command, &advice);
    if (r < 0)
        return r;
    enum text_style style = style_of(group.first);
    (void)fprintf(stream, "\n%s%zu %s%s\n", text_style(style, colour), group.count,
                  advice_title(kind), text_style(TEXT_PLAIN, colour));
    size_t told = 0;
    for (size_t i = 0, shown = 0; i < problems.count && shown < SUMMARY_KIND_PROBLEMS; i++) {
        if (problems.items[i].is_told)
            continue;
        told += print_problem(summary, &problems, i, stream, width);
        shown++;
    }
    if (group.count > told)
        (void)fprintf(stream, "  and %zu more, in the table above\n", group.count - told);
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
                      text_style(style_of(&like), styled), count, verdict_name(like.verdict),
                      text_style(TEXT_PLAIN, styled));
    }
    for (size_t i = 0; i < summary->n_tasks; i++)
        left += !summary->tasks[i].finished;
    if (left > 0)
        (void)fprintf(stream, "%s%zu left", words ? ", " : "", left);
    *ret_left = left;
}

/* Of the first that needs it, ready to type. */
static void print_pointer(const struct summary *summary, FILE *stream) {
    size_t i = 0;
    while (i < summary->n_tasks && advice_kind(&summary->tasks[i]) == ADVICE_NONE)
        i++;
    if (i == summary->n_tasks)
        return;
    CLEANUP_FREE char *id = command_line_quote_word(summary->tasks[i].id);
    CLEANUP_FREE char *out = command_line_quote_word(summary->out);
    if (id && out)
        (void)fprintf(stream, "For the whole story of one: registrar explain %s -o %s\n", id, out);
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
    print_pointer(summary, stream);
    if (left > 0)
        (void)fprintf(stream, "Run the same command again to continue:\n    %s\n",
                      summary->command);
}

int summary_print(const struct summary *summary, FILE *stream, size_t width, bool colour,
                  struct failure *failure) {
    size_t n_quiet = 0;
    for (size_t i = 0; i < summary->n_tasks; i++)
        n_quiet += is_quiet(&summary->tasks[i]);
    bool with_quiet = n_quiet <= SUMMARY_QUIET_ROWS;
    if (!with_quiet)
        print_ok_line(summary, stream);
    int r = print_table(summary, stream, width, colour, with_quiet);
    for (int kind = 0; r == 0 && kind < ADVICE_KIND_COUNT; kind++)
        r = print_kind(summary, (enum advice_kind)kind, stream, width, colour);
    if (r < 0)
        return failure_set(failure, r, "the summary: out of memory");
    if (summary->shortage) {
        (void)fprintf(stream, "\n%smemory ran short%s\n  ", text_style(TEXT_WARN, colour),
                      text_style(TEXT_PLAIN, colour));
        text_wrap(stream, summary->shortage, 2, width);
    }
    (void)fputc('\n', stream);
    print_closing(summary, stream, colour);
    if (fflush(stream) == EOF || ferror(stream))
        return failure_set_errno(failure, errno ? -errno : -EIO, "the summary cannot be printed");
    return 0;
}
