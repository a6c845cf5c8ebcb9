/* See foreground.h. One line with all tasks; the live view, Ctrl-C, and the end, which is the last
 * record's arrival on disk. */
#include "supervisor/engine/foreground.h"

#include "common/clock.h"
#include "supervisor/engine/interrupt.h"
#include "supervisor/report/live_view.h"

#include <errno.h>
#include <string.h>

struct foreground {
    const struct foreground_request *request;
    struct foreground_outcome *outcome;
    uv_loop_t loop;
    struct interrupt interrupt;
    struct ledger_commit *commit;
    struct live_view *view;
    struct engine *engine;
    struct engine_line *line;
    struct engine_view *running; /* as many as jobs, as the next */
    struct live_view_task *view_tasks;
    int64_t started_ms;
    size_t ok, problems; /* finished */
    int level;           /* of interruption */
    bool disk_full;
    bool ending; /* the last record is on its way */
    bool closed; /* handles are closing */
};

/* A pre-flight with nothing to start may say 0. */
static int jobs_of(const struct foreground_request *request) {
    return request->preflight->jobs > 0 ? request->preflight->jobs : 1;
}

static void close_all(struct foreground *run) {
    if (run->closed)
        return;
    run->closed = true;
    if (run->engine)
        engine_close(run->engine);
    interrupt_close(&run->interrupt);
    live_view_close(STEAL_PTR(run->view));
    ledger_commit_close(STEAL_PTR(run->commit));
}

/* ---- the engine's handlers ---- */

static void on_result(void *context, struct engine_line *line, void *task_context,
                      struct engine_result *result) {
    struct foreground *run = context;
    struct engine_result *kept = task_context;
    (void)line;
    *kept = *result;
    result->reason = NULL; /* kept */
    result->evidence = NULL;
    run->outcome->interrupted |= !kept->finished;
    if (kept->finished && kept->verdict == VERDICT_OK)
        run->ok++;
    else if (kept->finished)
        run->problems++;
}

static bool on_refill(void *context) {
    (void)context;
    return false; /* all are there from the beginning */
}

static void on_event(void *context, const struct engine_line *line, const struct task *task,
                     const char *text) {
    const struct foreground *run = context;
    (void)line;
    (void)task;
    if (run->view)
        live_view_event(run->view, "%s", text);
}

static void on_all_recorded(void *context, uint64_t seq) {
    (void)seq;
    close_all(context);
}

static bool is_broken(const struct foreground *run) {
    return run->outcome->ledger_lost || engine_fault(run->engine)->code != 0;
}

static void on_quiet(void *context, size_t n_recording) {
    struct foreground *run = context;
    if (run->closed)
        return;
    if (run->ending) {
        if (is_broken(run) || run->disk_full)
            close_all(run); /* every result is on disk: the last record is not worth the wait */
        return;
    }
    if (is_broken(run) || (run->disk_full && run->level > 1)) {
        run->outcome->unrecorded = n_recording;
        close_all(run);
        return;
    }
    if (n_recording > 0)
        return;
    run->ending = true; /* its sync proves all before it durable */
    engine_record_end(run->engine, on_all_recorded, run);
}

/* ---- what comes from outside ---- */

static void on_interrupt(void *context, int level, const char *who) {
    struct foreground *run = context;
    run->level = level;
    if (level > 2) {
        struct engine_totals totals;
        engine_tell_totals(run->engine, &totals);
        run->outcome->unrecorded = totals.n_recording;
        close_all(run);
        return;
    }
    if (level == 1)
        engine_notify(run->engine,
                      "stopping at the next checkpoint; press Ctrl-C again to stop at once");
    engine_stop(run->engine, level, who);
    engine_go_on(run->engine);
}

static void on_ledger_state(void *context, bool full, bool fatal, const char *text) {
    struct foreground *run = context;
    run->disk_full = full;
    run->outcome->ledger_lost |= fatal;
    engine_ledger_state(run->engine, full, fatal, text);
}

static void snapshot(void *context, struct live_view_snapshot *ret) {
    struct foreground *run = context;
    struct engine_totals totals;
    const size_t n = engine_look(run->engine, run->running, (size_t)jobs_of(run->request));
    engine_tell_totals(run->engine, &totals);
    for (size_t i = 0; i < n; i++)
        run->view_tasks[i] = (struct live_view_task){
            .id = run->running[i].task->id,
            .stage = run->running[i].stage,
            .fraction = run->running[i].fraction,
            .memory_bytes = run->running[i].memory_bytes,
            .reserved_bytes = run->running[i].reserved_bytes,
            .elapsed_ms = run->running[i].elapsed_ms,
            .attempt = run->running[i].attempt,
        };
    const int64_t elapsed_ms = clock_monotonic_ms() - run->started_ms;
    const size_t total = run->request->tasks->count;
    const double rest = totals.work - totals.work_done;
    *ret = (struct live_view_snapshot){
        .running = run->view_tasks,
        .n_running = n,
        .total = total,
        .ok = run->ok,
        .problems = run->problems,
        .left = total - run->ok - run->problems - n,
        .elapsed_ms = elapsed_ms,
        .eta_ms =
            totals.work_done > 0 ? (int64_t)((double)elapsed_ms * rest / totals.work_done) : -1,
        .reserved_bytes = totals.reserved_bytes,
        .budget_bytes = totals.budget_bytes,
        .notice = totals.notice,
    };
}

/* ---- setting up, and taking down ---- */

static int allocate(struct foreground *run) {
    const size_t n = run->request->tasks->count;
    const size_t jobs = (size_t)jobs_of(run->request);
    run->outcome->results = calloc(n + 1, sizeof(*run->outcome->results));
    run->outcome->n_results = n;
    run->running = calloc(jobs + 1, sizeof(*run->running));
    run->view_tasks = calloc(jobs + 1, sizeof(*run->view_tasks));
    return run->outcome->results && run->running && run->view_tasks ? 0 : -ENOMEM;
}

static size_t count_attempted(const struct foreground_request *request) {
    size_t n = 0;
    for (size_t i = 0; i < request->tasks->count; i++)
        n += !request->finished[i] && !request->tasks->items[i].broken;
    return n;
}

static int open_engine(struct foreground *run, struct failure *failure) {
    const struct foreground_request *request = run->request;
    const struct options *options = request->options;
    const struct preflight *preflight = request->preflight;
    const struct engine_settings settings = {
        .loop = &run->loop,
        .store = request->store,
        .commit = run->commit,
        .model = request->model,
        .worker = request->worker,
        .limits =
            {
                .jobs = jobs_of(request),
                .memory_bytes = preflight->memory_budget_bytes,
                .available_bytes = preflight->machine.available_bytes,
                .is_forced = options->force,
            },
        .sample_interval_ms = options->sample_interval_ms,
        .memory_trace = options->memory_trace ? count_attempted(request) : 0,
    };
    const struct engine_handlers handlers = {
        .context = run,
        .result = on_result,
        .refill = on_refill,
        .quiet = on_quiet,
        .event = on_event,
    };
    const int r = engine_open(&settings, &handlers, &run->engine, failure);
    if (r < 0)
        return r;
    run->line = engine_line_open(run->engine, &(struct engine_line_settings){
                                                  .out = options->out,
                                                  .timeout_ms = options->timeout_ms,
                                                  .stall_timeout_ms = options->stall_timeout_ms,
                                                  .retries = options->retries,
                                                  .threads = preflight->threads,
                                                  .cap_bytes = preflight->cap_bytes,
                                                  .is_forced = options->force,
                                                  .is_redo = options->redo,
                                              });
    return run->line ? 0 : failure_set_errno(failure, -ENOMEM, "cannot start the batch");
}

static int open_parts(struct foreground *run, struct failure *failure) {
    const struct foreground_request *request = run->request;
    int r = allocate(run);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start the batch");
    r = ledger_commit_open(&run->loop, request->store, on_ledger_state, run, &run->commit, failure);
    if (r == 0)
        r = open_engine(run, failure);
    if (r == 0)
        r = live_view_open(&run->loop, STDERR_FILENO, request->options->quiet, snapshot, run,
                           &run->view, failure);
    if (r == 0)
        r = interrupt_open(&run->loop, &run->interrupt, on_interrupt, run, failure);
    return r;
}

static void count_finished(struct foreground *run, const char *id) {
    const json_t *end = resume_last_end(run->request->resume, id);
    const char *verdict = json_string_value(json_object_get(end, "verdict"));
    if (verdict && strcmp(verdict, verdict_name(VERDICT_OK)) == 0)
        run->ok++;
    else
        run->problems++;
}

static int add_tasks(struct foreground *run, struct failure *failure) {
    const struct foreground_request *request = run->request;
    for (size_t i = 0; i < request->tasks->count; i++) {
        const struct task *task = &request->tasks->items[i];
        if (request->finished[i])
            count_finished(run, task->id);
        else if (engine_add(run->line, task, &request->preflight->tasks[i],
                            resume_attempts(request->resume, task->id),
                            &run->outcome->results[i]) < 0)
            return failure_set_errno(failure, -ENOMEM, "cannot start the batch");
    }
    return 0;
}

static int start(struct foreground *run, struct failure *failure) {
    const struct foreground_request *request = run->request;
    const int r = open_parts(run, failure);
    if (r < 0)
        return r;
    engine_record_start(run->engine, request->command, request->options->out, request->tasks->count,
                        request->preflight->threads);
    return add_tasks(run, failure);
}

static void take_results(struct foreground *run) {
    struct foreground_outcome *outcome = run->outcome;
    outcome->wall_ms = clock_monotonic_ms() - run->started_ms;
    if (!run->engine)
        return;
    outcome->fault = *engine_fault(run->engine);
    outcome->shortage = *engine_tell_shortage(run->engine);
    outcome->groups = strdup(engine_tell_groups(run->engine)); /* without memory: not told */
    outcome->memory_words = engine_take_memory_words(run->engine);
    engine_free(run->engine);
}

int foreground_run(const struct foreground_request *request, struct foreground_outcome *ret,
                   struct failure *failure) {
    *ret = (struct foreground_outcome){0};
    struct foreground run = {
        .request = request, .outcome = ret, .started_ms = clock_monotonic_ms()};
    int r = uv_loop_init(&run.loop);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start the batch");
    r = start(&run, failure);
    if (r < 0)
        close_all(&run);
    else
        engine_go_on(run.engine);
    (void)uv_run(&run.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&run.loop);
    take_results(&run);
    free(run.running);
    free(run.view_tasks);
    if (r < 0)
        foreground_outcome_free(ret);
    return r;
}

void foreground_outcome_free(struct foreground_outcome *outcome) {
    for (size_t i = 0; i < outcome->n_results; i++) {
        free(outcome->results[i].reason);
        json_decref(outcome->results[i].evidence);
    }
    free(outcome->results);
    free(outcome->memory_words);
    free(outcome->groups);
    *outcome = (struct foreground_outcome){0};
}
