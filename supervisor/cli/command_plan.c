/* registrar plan: what a run would do and need. Reads; never writes, not even OUT. */
#include "common/names.h"
#include "common/units.h"
#include "supervisor/batch/discover.h"
#include "supervisor/batch/manifest.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/options.h"
#include "supervisor/memory/preflight.h"
#include "supervisor/memory/probe.h"
#include "supervisor/report/table.h"
#include "supervisor/report/terminal.h"

#include <errno.h>

static const struct table_column columns[] = {
    {.title = "TASK", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
    {.title = "KIND", .shrinks = true, .cut = TEXT_CUT_END},
    {.title = "MEMORY", .right = true},
    {.title = "TIME", .right = true},
    {.title = "DISK", .right = true},
};

struct plan {
    struct options options;
    struct task_list tasks;
    struct preflight preflight;
    char *worker;
};

static void plan_free(struct plan *plan) {
    options_free(&plan->options);
    task_list_free(&plan->tasks);
    preflight_free(&plan->preflight);
    free(plan->worker);
}

/* Why the task cannot be done, or NULL. */
static const char *problem_of(const struct plan *plan, size_t i) {
    return plan->tasks.items[i].broken ? plan->tasks.items[i].broken
                                       : plan->preflight.tasks[i].error;
}

static size_t count_problems(const struct plan *plan) {
    size_t n = 0;
    for (size_t i = 0; i < plan->tasks.count; i++)
        n += problem_of(plan, i) != NULL;
    return n;
}

static void free_table(struct table **table) { table_close(*table); }

static int print_table(const struct plan *plan, size_t width) {
    CLEANUP(free_table) struct table *table = table_open(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < plan->tasks.count; i++) {
        const struct preflight_task *predicted = &plan->preflight.tasks[i];
        char text[UNITS_TEXT_BYTES];
        if (problem_of(plan, i))
            continue;
        table_cell(table, "%s", plan->tasks.items[i].id);
        table_cell(table, "%s", plan->tasks.items[i].kind_name);
        table_cell(table, "%s", units_format_size(predicted->memory_bytes, text));
        table_cell(table, "%s",
                   predicted->time_ms ? units_format_duration(predicted->time_ms, text) : "-");
        table_cell(table, "%s",
                   predicted->disk_bytes ? units_format_size(predicted->disk_bytes, text) : "-");
    }
    return table_print(table, stdout, width, terminal_has_colour(STDOUT_FILENO));
}

static void print_totals(const struct plan *plan, size_t n_problems) {
    const struct preflight *preflight = &plan->preflight;
    const size_t n = plan->tasks.count - n_problems;
    char text[UNITS_TEXT_BYTES];
    (void)printf("\n%zu task%s, %d at once, %d thread%s each", n, n == 1 ? "" : "s",
                 preflight->jobs, preflight->threads, preflight->threads == 1 ? "" : "s");
    if (preflight->time_ms > 0)
        (void)printf(", about %s", units_format_duration(preflight->time_ms, text));
    (void)printf("\n\n");
}

static void print_problems(const struct plan *plan, size_t n_problems, size_t width) {
    if (n_problems == 0)
        return;
    (void)printf("\n%zu task%s cannot be done:\n", n_problems, n_problems == 1 ? "" : "s");
    for (size_t i = 0; i < plan->tasks.count; i++) {
        if (!problem_of(plan, i))
            continue;
        (void)printf("  %s\n      ", plan->tasks.items[i].id);
        text_wrap(stdout, problem_of(plan, i), 6, width);
    }
}

static int print_json(const struct plan *plan) {
    CLEANUP_JSON json_t *value = preflight_to_json(&plan->preflight, &plan->tasks);
    if (!value || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) < 0)
        return -ENOMEM;
    (void)putchar('\n'); /* main checks stdout at the end */
    return 0;
}

static int print_plan(const struct plan *plan, size_t n_problems) {
    const size_t columns_there = terminal_size(STDOUT_FILENO).columns;
    const bool is_terminal = terminal_can_redraw(STDOUT_FILENO);
    int r = print_table(plan, is_terminal ? columns_there : TEXT_UNLIMITED);
    if (r < 0)
        return r;
    print_totals(plan, n_problems);
    preflight_print(&plan->preflight, &plan->options, stdout);
    print_problems(plan, n_problems, columns_there);
    return 0;
}

static int make_plan(int argc, char **argv, struct plan *plan, struct failure *failure) {
    int r = options_parse(argc, argv, &plan->options, failure);
    if (r == 0)
        r = plan->options.manifest ? manifest_read(&plan->options, &plan->tasks, failure)
                                   : discover_tasks(&plan->options, &plan->tasks, failure);
    return r;
}

static int fail(const struct failure *failure, int status) {
    (void)fprintf(stderr, "registrar: %s\n", failure->text);
    return status;
}

int command_plan(int argc, char **argv) {
    CLEANUP(plan_free) struct plan plan = {0};
    struct failure failure = {0};
    if (make_plan(argc, argv, &plan, &failure) < 0)
        return fail(&failure, EXIT_USAGE);
    int r = probe_find_worker(&plan.worker, &failure);
    if (r == 0)
        r = preflight_run(&plan.options, &plan.tasks, NULL, plan.worker, &plan.preflight, &failure);
    if (r < 0)
        return fail(&failure, EXIT_INTERNAL);
    const size_t n_problems = count_problems(&plan);
    r = plan.options.json ? print_json(&plan) : print_plan(&plan, n_problems);
    if (r < 0)
        return fail(&(struct failure){.text = "out of memory while printing the plan"},
                    EXIT_INTERNAL);
    if (preflight_level(&plan.preflight) == PREFLIGHT_REFUSED && !plan.options.force)
        return EXIT_REFUSED;
    return n_problems > 0 ? EXIT_SOME_FAILED : EXIT_ALL_OK;
}
