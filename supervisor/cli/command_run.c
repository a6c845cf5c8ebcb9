/* registrar run: finds the tasks, opens the ledger, settles what an earlier run left, leaves out
 * what is done, looks at memory and disk, runs the rest, and sums up. */
#include "common/atomic_file.h"
#include "common/kernel_support.h"
#include "common/names.h"
#include "common/units.h"
#include "supervisor/batch/discover.h"
#include "supervisor/batch/manifest.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"
#include "supervisor/engine/foreground.h"
#include "supervisor/engine/launch.h"
#include "supervisor/engine/leftovers.h"
#include "supervisor/engine/shared_store.h"
#include "supervisor/memory/probe.h"
#include "supervisor/page/page_read.h"
#include "supervisor/report/command_line.h"
#include "supervisor/report/summary.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"
#include "supervisor/service/hooks.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>

#define INTERRUPTED "interrupted; run the same command again to continue"

struct run {
    struct options options;
    const char *command; /* quoted; borrowed */
    struct task_list tasks;
    struct resume *resume;
    struct model *model;
    struct ledger_store *store;
    struct preflight preflight;
    struct foreground_outcome outcome;
    bool *finished, *wanted; /* per task */
    size_t n_wanted;
    char *worker;
    bool needs_worker; /* a pair is among the tasks */
    int64_t last_record_ms;
    struct failure failure;
};

static void run_free(struct run *run) {
    foreground_outcome_free(&run->outcome);
    preflight_free(&run->preflight);
    ledger_store_close(run->store);
    resume_close(run->resume);
    model_close(run->model);
    task_list_free(&run->tasks);
    options_free(&run->options);
    free(run->finished);
    free(run->wanted);
    free(run->worker);
}

/* The steps below return 0 or the exit status, and then have said why. */

static int fail(const struct run *run, int status) {
    return complaint_tell(run->options.json, status, &run->failure);
}

/* Of a step that may have asked a worker about files. */
static int fail_worker(const struct run *run) {
    return fail(run, run->failure.code == -EPROTO ? complaint_worker_status() : EXIT_INTERNAL);
}

static int find_tasks(struct run *run) {
    int r = run->options.manifest ? manifest_read(&run->options, &run->tasks, &run->failure)
                                  : discover_tasks(&run->options, &run->tasks, &run->failure);
    if (r < 0)
        return fail(run, EXIT_USAGE);
    for (size_t i = 0; i < run->tasks.count; i++)
        run->needs_worker |= run->tasks.items[i].kind == TASK_ALIGN;
    if (probe_find_worker(&run->worker, &run->failure) < 0 && run->needs_worker)
        return fail(run, complaint_worker_status());
    run->finished = calloc(run->tasks.count + 1, sizeof(bool));
    run->wanted = calloc(run->tasks.count + 1, sizeof(bool));
    if (!run->finished || !run->wanted) {
        (void)failure_set(&run->failure, -ENOMEM, "no memory for %zu tasks", run->tasks.count);
        return fail(run, EXIT_INTERNAL);
    }
    return 0;
}

static int replay(void *context, const json_t *record, struct failure *failure) {
    struct run *run = context;
    run->last_record_ms = leftovers_record_ms(record);
    int r = model_replay(run->model, record, failure);
    return r < 0 ? r : resume_replay(run->resume, record, failure);
}

static int open_ledger(struct run *run) {
    CLEANUP_FREE char *path = NULL;
    struct ledger_recovery recovery = {0};
    int ended;
    if (atomic_file_make_folders(run->options.out, &run->failure) < 0)
        return fail(run, EXIT_USAGE);
    if (asprintf(&path, "%s/ledger.jsonl", run->options.out) < 0 ||
        resume_open(&run->resume, &run->failure) < 0 || model_open(&run->model, &run->failure) < 0)
        return fail(run, EXIT_INTERNAL);
    int r = ledger_store_open(path, replay, run, &run->store, &recovery, &run->failure);
    if (r == 0)
        r = leftovers_settle(run->store, resume_open_attempts(run->resume),
                             resume_open_group(run->resume), run->last_record_ms, &ended,
                             &run->failure);
    if (r < 0)
        return fail(run, EXIT_LEDGER);
    if (recovery.warning[0])
        (void)fprintf(stderr, "registrar: %s\n", recovery.warning);
    if (recovery.set_aside_bytes > 0)
        (void)fprintf(stderr,
                      "registrar: the ledger's end was torn; its last %llu bytes are set aside in "
                      "%s and no finished result is lost\n",
                      (unsigned long long)recovery.set_aside_bytes, recovery.set_aside_path);
    if (ended > 0)
        (void)fprintf(stderr, "registrar: ended %d process(es) that an earlier run left behind\n",
                      ended);
    return 0;
}

/* A broken pair that is still broken in the same way needs no second record. */
static bool is_known_broken(const struct run *run, const struct task *task) {
    const json_t *end = resume_last_end(run->resume, task->id);
    const char *reason = json_string_value(json_object_get(end, "reason"));
    return task->broken && reason && strcmp(reason, task->broken) == 0;
}

static int choose_tasks(struct run *run) {
    if (!run->options.redo && resume_decide(run->resume, &run->tasks, run->options.out, run->worker,
                                            run->finished, &run->failure) < 0)
        return fail_worker(run);
    for (size_t i = 0; i < run->tasks.count; i++) {
        const struct task *task = &run->tasks.items[i];
        if (task->broken)
            run->finished[i] = !run->options.redo && is_known_broken(run, task);
        run->wanted[i] = !run->finished[i] && !task->broken;
        run->n_wanted += !run->finished[i];
    }
    return 0;
}

static bool is_group_finished(const struct run *run, size_t first) {
    const char *shared = run->tasks.items[first].shared;
    for (size_t i = first; i < run->tasks.count; i++) {
        const struct task *task = &run->tasks.items[i];
        if (!task->shared || strcmp(task->shared, shared) != 0)
            break;
        if (!run->finished[i])
            return false;
    }
    return true;
}

/* What variants shared in a run that died after the last of them had ended. */
static void remove_shared(const struct run *run) {
    for (size_t i = 0; i < run->tasks.count; i++) {
        const struct task *task = &run->tasks.items[i];
        const char *before = i > 0 ? run->tasks.items[i - 1].shared : NULL;
        struct failure failure = {0};
        if (!task->shared || (before && strcmp(before, task->shared) == 0) ||
            !is_group_finished(run, i))
            continue;
        if (shared_store_remove(run->options.out, task->shared, NULL, &failure) < 0)
            (void)fprintf(stderr, "registrar: %s\n", failure.text);
    }
}

/* A run that died as it wrote the memory.csv of a task that had ended. */
static void remove_half_written(const struct run *run) {
    for (size_t i = 0; i < run->tasks.count; i++) {
        CLEANUP_FREE char *path =
            run->finished[i]
                ? names_format("%s/%s/memory.csv.tmp", run->options.out, run->tasks.items[i].id)
                : NULL;
        if (path)
            (void)unlink(path); /* else its next attempt does */
    }
}

static int check_preflight(struct run *run) {
    const struct options *options = &run->options;
    if (preflight_run(options, &run->tasks, run->wanted, run->worker, run->model, &run->preflight,
                      &run->failure) < 0)
        return fail_worker(run);
    bool refused = preflight_level(&run->preflight) == PREFLIGHT_REFUSED && !options->force;
    if (!options->quiet || refused)
        preflight_print(&run->preflight, &run->tasks, options, stderr);
    const char *missing = run->needs_worker ? kernel_support_missing() : NULL;
    if (missing && !options->quiet)
        (void)fprintf(stderr, "registrar: %s\n", missing);
    if (refused && options->json) {
        CLEANUP_JSON json_t *plan = preflight_to_json(&run->preflight, &run->tasks);
        preflight_describe_refusal(&run->preflight, &run->failure);
        complaint_print_json(EXIT_REFUSED, run->failure.text, "plan", plan);
    }
    return refused ? EXIT_REFUSED : 0;
}

static int run_tasks(struct run *run) {
    const struct foreground_request request = {
        .options = &run->options,
        .tasks = &run->tasks,
        .finished = run->finished,
        .preflight = &run->preflight,
        .resume = run->resume,
        .model = run->model,
        .store = run->store,
        .worker = run->worker,
        .command = run->command,
    };
    (void)malloc_trim(0); /* of what was read, much more than the tasks stood in memory */
    if (foreground_run(&request, &run->outcome, &run->failure) < 0)
        return fail(run, EXIT_INTERNAL);
    return 0;
}

/* ---- the summary ---- */

struct results {
    struct task_result *items;
    char **log_paths; /* of items; owned */
    size_t count;
};

static void results_free(struct results *results) {
    for (size_t i = 0; results->log_paths && i < results->count; i++)
        free(results->log_paths[i]);
    free(results->log_paths);
    free(results->items);
}

static void fill_from_ledger(const struct run *run, size_t i, struct task_result *ret) {
    const json_t *end = resume_last_end(run->resume, run->tasks.items[i].id);
    const char *verdict = json_string_value(json_object_get(end, "verdict"));
    const char *reason = json_string_value(json_object_get(end, "reason"));
    ret->finished = verdict && verdict_parse(verdict, &ret->verdict) == 0;
    ret->resumed = true;
    ret->attempts = (int)json_integer_value(json_object_get(end, "attempts"));
    ret->wall_ms = (int64_t)(json_number_value(json_object_get(end, "wall_s")) * 1000);
    ret->peak_rss_bytes = (uint64_t)json_integer_value(json_object_get(end, "peak_rss_bytes"));
    ret->reason = reason ? reason : "";
}

static void fill_from_run(const struct engine_result *result, struct task_result *ret) {
    ret->finished = result->finished;
    ret->verdict = result->verdict;
    ret->attempts = result->attempts;
    ret->tries = result->tries;
    ret->wall_ms = result->wall_ms;
    ret->peak_rss_bytes = result->peak_rss_bytes;
    ret->reason = result->reason ? result->reason : "";
    ret->evidence = result->evidence;
}

static int gather_results(const struct run *run, struct results *ret) {
    size_t n = run->tasks.count;
    ret->items = calloc(n + 1, sizeof(*ret->items));
    ret->log_paths = calloc(n + 1, sizeof(*ret->log_paths));
    ret->count = n;
    if (!ret->items || !ret->log_paths)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct task_result *result = &ret->items[i];
        result->id = run->tasks.items[i].id;
        if (run->finished[i])
            fill_from_ledger(run, i, result);
        else
            fill_from_run(&run->outcome.results[i], result);
        bool is_problem = result->finished && result->verdict != VERDICT_OK;
        if (is_problem && result->attempts > 0) {
            ret->log_paths[i] = launch_log_path(run->options.out, result->id);
            result->log_path = ret->log_paths[i];
        }
    }
    return 0;
}

static int print_summary(struct run *run, const struct summary *summary) {
    const struct options *options = &run->options;
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/summary.json", options->out) < 0)
        return -ENOMEM;
    int r = 0;
    if (options->json)
        r = summary_print_json(summary, stdout, &run->failure);
    else
        r = summary_print(summary, stdout, terminal_size(STDOUT_FILENO).columns,
                          terminal_has_colour(STDOUT_FILENO), &run->failure);
    int written = summary_write(summary, path, &run->failure);
    return r < 0 ? r : written;
}

static int exit_status(const struct run *run, const struct results *results) {
    const struct foreground_outcome *outcome = &run->outcome;
    if (outcome->fault.code < 0) {
        (void)fprintf(stderr, "registrar: %s\n", outcome->fault.text);
        return EXIT_INTERNAL;
    }
    if (outcome->unrecorded > 0)
        (void)fprintf(stderr,
                      "registrar: %zu result(s) could not be recorded; those tasks run again\n",
                      outcome->unrecorded);
    if (outcome->ledger_lost)
        return EXIT_LEDGER;
    if (outcome->interrupted) {
        if (run->options.json) /* the summary for people has said so */
            (void)fprintf(stderr, "registrar: " INTERRUPTED "\n");
        return EXIT_INTERRUPTED;
    }
    for (size_t i = 0; i < results->count; i++)
        if (results->items[i].verdict != VERDICT_OK)
            return EXIT_SOME_FAILED;
    return EXIT_ALL_OK;
}

/* What ran short, who had it, what to do. Caller owns; NULL: nothing did. */
static char *describe_shortage(const struct engine_shortage *shortage) {
    char least[UNITS_TEXT_BYTES], *text = NULL;
    const char *others = shortage->others;
    if (shortage->n_holds == 0)
        return NULL;
    if (asprintf(&text,
                 "%d time%s, at worst %s were left; %d time%s a task gave way to be done "
                 "later.%s%s%s To be faster, close what is not needed, or keep the batch smaller "
                 "with --memory or --jobs.",
                 shortage->n_holds, shortage->n_holds == 1 ? "" : "s",
                 units_format_size(shortage->least_bytes, least), shortage->n_stops,
                 shortage->n_stops == 1 ? "" : "s", others[0] ? " Others had: " : "", others,
                 others[0] ? "." : "") < 0)
        return NULL; /* it stands in the ledger */
    return text;
}

/* The summary as text. Caller owns; NULL: out of memory, or unprintable. */
static char *summary_text(const struct summary *summary) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return NULL;
    const int r = summary_print_json(summary, stream, NULL);
    if (fclose(stream) != 0 || r < 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Its last line on stdout, but with --json. Without it all else stands; so it changes no status. */
static void write_report(const struct run *run) {
    struct failure failure = {0};
    CLEANUP_FREE char *ledger = names_format("%s/ledger.jsonl", run->options.out);
    CLEANUP_FREE char *path = names_format("%s/" PAGE_NAME, run->options.out);
    const struct page_request request = {
        .out = run->options.out,
        .read = page_read_run,
        .context = ledger,
        .embed_bytes = PAGE_EMBED_BYTES,
    };
    int r = ledger && path ? page_write(&request, NULL, &failure)
                           : failure_set_errno(&failure, -ENOMEM, "cannot write the report");
    if (r < 0) {
        (void)fprintf(stderr, "registrar: there is no report: %s\n", failure.text);
    } else if (!run->options.json) {
        (void)fputs("To look at it all: ", stdout); /* main checks stdout at the end */
        (void)text_print(stdout, path, TEXT_UNLIMITED, TEXT_CUT_END);
        (void)putchar('\n');
    }
}

/* --on-finish: how it ended is told and noted, and is no verdict. */
static void run_on_finish(struct run *run, const struct summary *summary) {
    const struct hooks_request request = {
        .event = HOOKS_ON_FINISH,
        .command = run->options.on_finish,
        .batch = "",
        .out = run->options.out,
        .cwd = run->options.out,
        .input = summary_text(summary),
        .limit_ms = HOOKS_DEFAULT_LIMIT_MS,
    };
    struct failure failure = {0};
    int r = request.input ? hooks_run_alone(&request, &failure)
                          : failure_set_errno(&failure, -ENOMEM, HOOKS_ON_FINISH);
    if (r < 0)
        (void)fprintf(stderr, "registrar: %s\n", failure.text);
    CLEANUP_JSON json_t *note =
        json_pack("{s:s}", "text", r < 0 ? failure.text : HOOKS_ON_FINISH " ended well");
    uint64_t seq;
    if (!note || ledger_store_append(run->store, "note", note, &seq, &failure) < 0 ||
        ledger_store_sync(run->store, &failure) < 0)
        (void)fprintf(stderr, "registrar: how it ended could not be noted: %s\n", failure.text);
}

static int sum_up(struct run *run) {
    CLEANUP(results_free) struct results results = {0};
    if (!run->command || gather_results(run, &results) < 0) {
        (void)failure_set(&run->failure, -ENOMEM,
                          "no memory for the summary; see registrar ledger");
        return fail(run, EXIT_INTERNAL);
    }
    CLEANUP_FREE char *shortage = describe_shortage(&run->outcome.shortage);
    const struct summary summary = {
        .shortage = shortage,
        .groups = run->outcome.groups,
        .tasks = results.items,
        .n_tasks = results.count,
        .wall_ms = run->outcome.wall_ms,
        .interrupted = run->outcome.interrupted,
        .out = run->options.out,
        .command = run->command,
    };
    /* the ledger has it all the same */
    bool untold = print_summary(run, &summary) < 0 && run->failure.code != -EPIPE;
    if (untold) /* stdout has had its JSON, or cannot take any */
        (void)complaint_tell(false, EXIT_INTERNAL, &run->failure);
    if (!untold)
        write_report(run);
    if (run->outcome.memory_words)
        (void)fputs(run->outcome.memory_words, stderr);
    int status = exit_status(run, &results);
    if (run->options.on_finish && (status == EXIT_ALL_OK || status == EXIT_SOME_FAILED))
        run_on_finish(run, &summary);
    return untold && status == EXIT_ALL_OK ? EXIT_INTERNAL : status;
}

/* Async-signal-safe calls only. A probe that runs dies with us. */
static void leave(int number) {
    (void)number;
    static const char text[] = "registrar: " INTERRUPTED "\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1); /* nobody left to tell */
    _exit(EXIT_INTERRUPTED);
}

static void leave_with_json(int number) {
    static const char text[] =
        "{\"version\": 1, \"error\": {\"exit\": 4, \"sentence\": \"" INTERRUPTED "\"}}\n";
    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    leave(number);
}

/* Until the engine takes over, nothing has started and a half-written record heals by itself. */
static void leave_on_signals(bool as_json) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction action = {.sa_handler = as_json ? leave_with_json : leave};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            (void)sigaction(numbers[i], &action, NULL); /* nohup's SIG_IGN stays */
    }
}

int command_run(int argc, char **argv) {
    /* before the parser reorders the words */
    CLEANUP_FREE char *command = command_line_of_registrar(argc, argv);
    CLEANUP(run_free) struct run run = {.command = command};
    if (options_parse(argc, argv, &run.options, &run.failure) < 0)
        return complaint_tell(complaint_wants_json(argc, argv), EXIT_USAGE, &run.failure);
    leave_on_signals(run.options.json);
    int status = find_tasks(&run);
    if (status == 0)
        status = open_ledger(&run);
    if (status == 0)
        status = choose_tasks(&run);
    if (status != 0)
        return status;
    remove_shared(&run);
    remove_half_written(&run);
    if (run.n_wanted > 0)
        status = check_preflight(&run);
    if (status == 0 && run.n_wanted > 0)
        status = run_tasks(&run);
    return status == 0 ? sum_up(&run) : status;
}
