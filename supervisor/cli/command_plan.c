/* registrar plan: what a run would do and need. Reads; never writes, not even OUT. What a ledger in
 * OUT says is finished is left out, as run would. */
#include "common/names.h"
#include "common/units.h"
#include "supervisor/batch/discover.h"
#include "supervisor/batch/manifest.h"
#include "supervisor/batch/resume.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/cli/options.h"
#include "supervisor/ledger/ledger_store.h"
#include "supervisor/memory/preflight.h"
#include "supervisor/memory/probe.h"
#include "supervisor/memory/watch.h"
#include "supervisor/process/cgroup_level.h"
#include "supervisor/report/table.h"
#include "supervisor/report/terminal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

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
    struct model *model;
    char *worker;
    bool *wanted; /* per task: not finished in an earlier run */
    struct cgroup_level level;
    size_t n_finished, n_problems;
};

static void plan_free(struct plan *plan) {
    options_free(&plan->options);
    task_list_free(&plan->tasks);
    preflight_free(&plan->preflight);
    model_close(plan->model);
    free(plan->worker);
    free(plan->wanted);
}

/* Why the task cannot be done, or NULL. */
static const char *problem_of(const struct plan *plan, size_t i) {
    return plan->tasks.items[i].broken ? plan->tasks.items[i].broken
                                       : plan->preflight.tasks[i].error;
}

static void free_table(struct table **table) { table_close(*table); }

static int print_table(const struct plan *plan, size_t width) {
    CLEANUP(free_table) struct table *table = table_open(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < plan->tasks.count; i++) {
        const struct preflight_task *predicted = &plan->preflight.tasks[i];
        char text[UNITS_TEXT_BYTES];
        if (problem_of(plan, i) || !plan->wanted[i])
            continue;
        table_cell(table, "%s", plan->tasks.items[i].id);
        table_cell(table, "%s", plan->tasks.items[i].kind_name);
        table_cell(table, "%s",
                   predicted->forecast.basis == FORECAST_UNKNOWN
                       ? "-"
                       : units_format_size(predicted->memory_bytes, text));
        table_cell(table, "%s",
                   predicted->time_ms ? units_format_duration(predicted->time_ms, text) : "-");
        table_cell(table, "%s",
                   predicted->disk_bytes ? units_format_size(predicted->disk_bytes, text) : "-");
    }
    return table_print(table, stdout, width, terminal_has_colour(STDOUT_FILENO));
}

/* When it would be done if it were started now; of another machine nobody knows when that is. */
static void print_end(const struct plan *plan) {
    const struct preflight *preflight = &plan->preflight;
    char text[32];
    struct tm local;
    const time_t end = time(NULL) + (time_t)(preflight->time_ms / 1000);
    if (preflight->time_ms < 60000 || !localtime_r(&end, &local) ||
        strftime(text, sizeof(text), "%a %H:%M", &local) == 0)
        return;
    (void)printf(" (started now, until %s)", text);
}

static void print_totals(const struct plan *plan, size_t width) {
    const struct preflight *preflight = &plan->preflight;
    const size_t n = plan->tasks.count - plan->n_problems - plan->n_finished;
    char text[UNITS_TEXT_BYTES];
    if (plan->n_finished > 0)
        (void)printf("%s%zu task%s finished already (--redo does them again)\n", n ? "\n" : "",
                     plan->n_finished, plan->n_finished == 1 ? " is" : "s are");
    if (n == 0)
        return;
    (void)printf("\n%zu task%s to do, ", n, n == 1 ? "" : "s");
    if (preflight->at_once < preflight->most_at_once)
        (void)printf("%d (large) to %d (small) at once", preflight->at_once,
                     preflight->most_at_once);
    else
        (void)printf("%d at once", preflight->at_once);
    (void)printf(", %d thread%s each", preflight->threads, preflight->threads == 1 ? "" : "s");
    if (preflight->time_ms > 0)
        (void)printf(", %s %s", preflight->n_untimed > 0 ? "more than" : "about",
                     units_format_duration(preflight->time_ms, text));
    print_end(plan);
    (void)printf("\n\n");
    preflight_print(preflight, &plan->tasks, &plan->options, stdout);
    if (plan->options.assume_memory_bytes > 0 || plan->options.assume_cpus > 0)
        return; /* what holds there is not known */
    (void)printf("Limits: ");
    text_wrap(stdout, plan->level.text, 8, width);
}

static void print_problems(const struct plan *plan, size_t width) {
    if (plan->n_problems == 0)
        return;
    (void)printf("\n%zu task%s cannot be done:\n", plan->n_problems,
                 plan->n_problems == 1 ? "" : "s");
    for (size_t i = 0; i < plan->tasks.count; i++) {
        if (!problem_of(plan, i))
            continue;
        (void)printf("  %s\n      ", plan->tasks.items[i].id);
        text_wrap(stdout, problem_of(plan, i), 6, width);
    }
}

static int print_json(const struct plan *plan) {
    CLEANUP_JSON json_t *value = preflight_to_json(&plan->preflight, &plan->tasks);
    json_t *limits = json_pack("{s:s, s:s}", "level", cgroup_level_name(plan->level.kind), "text",
                               plan->level.text);
    if (!value || json_object_set_new(value, "limits", limits) < 0 ||
        json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) < 0)
        return -ENOMEM;
    (void)putchar('\n'); /* main checks stdout at the end */
    return 0;
}

static int print_plan(const struct plan *plan) {
    const size_t columns_there = terminal_size(STDOUT_FILENO).columns;
    const bool is_terminal = terminal_can_redraw(STDOUT_FILENO);
    int r = print_table(plan, is_terminal ? columns_there : TEXT_UNLIMITED);
    if (r < 0)
        return r;
    print_totals(plan, columns_there);
    print_problems(plan, columns_there);
    return 0;
}

static int find_tasks(int argc, char **argv, struct plan *plan, struct failure *failure) {
    int r = options_parse(argc, argv, &plan->options, failure);
    if (r == 0)
        r = plan->options.manifest ? manifest_read(&plan->options, &plan->tasks, failure)
                                   : discover_tasks(&plan->options, &plan->tasks, failure);
    return r;
}

static void close_resume(struct resume **resume) { resume_close(*resume); }

struct readers {
    struct resume *resume; /* NULL: what is finished does not matter */
    struct model *model;
};

static int replay(void *context, const json_t *record, struct failure *failure) {
    const struct readers *readers = context;
    int r = model_replay(readers->model, record, failure);
    return r < 0 || !readers->resume ? r : resume_replay(readers->resume, record, failure);
}

/* The ledger in OUT, if there is one. */
static int read_ledger(const struct plan *plan, struct resume *resume, struct failure *failure) {
    CLEANUP_FREE char *path = names_format("%s/ledger.jsonl", plan->options.out);
    if (!path)
        return failure_set(failure, -ENOMEM, "out of memory");
    if (access(path, F_OK) < 0)
        return 0;
    struct readers readers = {plan->options.redo ? NULL : resume, plan->model};
    return ledger_store_read(path, replay, &readers, failure);
}

/* Of a step that may have asked a worker about files. */
static int worker_status(const struct failure *failure) {
    return failure->code == -EPROTO ? complaint_worker_status() : EXIT_INTERNAL;
}

/* Returns the exit status. */
static int leave_out_finished(struct plan *plan, struct failure *failure) {
    const size_t n = plan->tasks.count;
    CLEANUP_FREE bool *finished = calloc(n + 1, sizeof(*finished));
    CLEANUP(close_resume) struct resume *resume = NULL;
    plan->wanted = calloc(n + 1, sizeof(*plan->wanted));
    if (!finished || !plan->wanted) {
        (void)failure_set(failure, -ENOMEM, "out of memory");
        return EXIT_INTERNAL;
    }
    if (resume_open(&resume, failure) < 0 || model_open(&plan->model, failure) < 0)
        return EXIT_INTERNAL;
    if (read_ledger(plan, resume, failure) < 0)
        return EXIT_LEDGER;
    if (resume_decide(resume, &plan->tasks, plan->options.out, plan->worker, finished, failure) < 0)
        return worker_status(failure);
    for (size_t i = 0; i < n; i++) {
        plan->wanted[i] = !finished[i];
        plan->n_finished += finished[i] && !plan->tasks.items[i].broken;
    }
    return EXIT_ALL_OK;
}

static int predict(struct plan *plan, struct failure *failure) {
    int r = preflight_run(&plan->options, &plan->tasks, plan->wanted, plan->worker, plan->model,
                          &plan->preflight, failure);
    for (size_t i = 0; r == 0 && i < plan->tasks.count; i++)
        plan->n_problems += problem_of(plan, i) != NULL;
    return r;
}

/* Returns the exit status; where it is not one of a plan, the failure says why. */
static int make_plan(int argc, char **argv, struct plan *plan, struct failure *failure) {
    if (find_tasks(argc, argv, plan, failure) < 0)
        return EXIT_USAGE;
    if (probe_find_worker(&plan->worker, failure) < 0)
        return complaint_worker_status();
    const int status = leave_out_finished(plan, failure);
    if (status != EXIT_ALL_OK)
        return status;
    return predict(plan, failure) < 0 ? worker_status(failure) : EXIT_ALL_OK;
}

/* The line tells what is missing, beside the limits: stall events. */
static void add_watch(struct cgroup_level *level) {
    const struct watch_place place = watch_here(level);
    char missing[WATCH_TEXT_BYTES];
    const size_t used = strlen(level->text);
    if (watch_missing(&place, missing))
        (void)snprintf(level->text + used, sizeof(level->text) - used, "; %s", missing);
}

int command_plan(int argc, char **argv) {
    CLEANUP(plan_free) struct plan plan = {0};
    struct failure failure = {0};
    const int status = make_plan(argc, argv, &plan, &failure);
    if (status != EXIT_ALL_OK)
        return complaint_tell(complaint_wants_json(argc, argv), status, &failure);
    const struct cgroup_level_place here = cgroup_level_here();
    cgroup_level_find(&here, &plan.level);
    add_watch(&plan.level);
    const int r = plan.options.json ? print_json(&plan) : print_plan(&plan);
    if (r < 0) {
        (void)failure_set(&failure, r, "out of memory while printing the plan");
        return complaint_tell(false, EXIT_INTERNAL, &failure);
    }
    if (preflight_level(&plan.preflight) == PREFLIGHT_REFUSED && !plan.options.force)
        return EXIT_REFUSED;
    return plan.n_problems > 0 ? EXIT_SOME_FAILED : EXIT_ALL_OK;
}
