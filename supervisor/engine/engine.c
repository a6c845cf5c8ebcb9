/* See engine.h. The loop and what keeps it going: admission, interruption, the ledger's state, the
 * disk, and the end, which is the last record's arrival on disk. A single task's life is in
 * engine_task.c.
 */
#include "supervisor/engine/engine.h"

#include "supervisor/engine/engine_state.h"
#include "supervisor/engine/record.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    ENGINE_TICK_MS = 1000,
    ENGINE_LAST_SWEEP_MS = 3000,
    ENGINE_LAST_SWEEP_PAUSE_MS = 2,
};

/* ---- the run ---- */

void engine_fail(struct engine *engine, const char *what) {
    if (engine->outcome->fault.code == 0)
        (void)failure_set(&engine->outcome->fault, -ENOTRECOVERABLE, "a fault of registrar: %s",
                          what);
}

void engine_append(struct engine *engine, const char *event, json_t *fields,
                   ledger_commit_done_cb done, void *context) {
    if (!fields)
        engine_fail(engine, "a record could not be made");
    ledger_commit_append(engine->commit, event, fields ? fields : json_object(), done, context,
                         NULL);
}

static void cancel_all(struct engine *engine, enum task_event event) {
    engine_queue_clear(engine);
    for (size_t i = 0; i < engine->request->tasks->count; i++)
        engine_task_step(&engine->slots[i], event);
}

static void close_all(struct engine *engine) {
    if (engine->closed)
        return;
    engine->closed = true;
    for (size_t i = 0; i < engine->n_running; i++)
        attempt_close(engine->running[i]->attempt);
    engine_memory_close(engine);
    trace_close(STEAL_PTR(engine->host.trace));
    uv_close((uv_handle_t *)&engine->tick, NULL);
    interrupt_close(&engine->interrupt);
    engine_watch_close(engine);
    live_view_close(engine->view);
    engine->view = NULL;
    ledger_commit_close(engine->commit);
    engine->commit = NULL;
}

static void on_all_recorded(void *context, uint64_t seq) {
    (void)seq;
    close_all(context);
}

/* A pre-flight with nothing to start may say 0. */
static int jobs_of(const struct engine_request *request) {
    return request->preflight->jobs > 0 ? request->preflight->jobs : 1;
}

static void admit(struct engine *engine) {
    while (engine->level == 0 && !engine->disk_full && engine->space_needed == 0 &&
           !engine->pressure.is_held && engine->outcome->fault.code == 0) {
        struct engine_slot *slot = engine_queue_take(engine);
        if (!slot)
            return;
        engine_task_step(slot, TASK_EVENT_ADMIT);
    }
}

/* After anything that happened: start what may start, and end when all is done. */
void engine_go_on(struct engine *engine) {
    bool broken = engine->outcome->ledger_lost || engine->outcome->fault.code != 0;
    if (engine->closed)
        return;
    if (engine->ending) {
        if (broken || engine->disk_full)
            close_all(engine); /* every result is on disk: the last record is not worth the wait */
        return;
    }
    admit(engine);
    engine_watch_update(engine);
    broken |= engine->outcome->fault.code != 0;
    if (broken && engine->level == 0) {
        engine->level = 1;
        cancel_all(engine, TASK_EVENT_CANCEL);
    }
    if (engine->n_running > 0 || engine->n_waiting > 0)
        return;
    if (broken || (engine->disk_full && engine->level > 1)) {
        engine->outcome->unrecorded = engine->n_recording;
        close_all(engine);
        return;
    }
    if (engine->n_recording > 0)
        return;
    engine->ending = true; /* its sync proves all before it durable */
    engine_append(engine, "batch",
                  record_batch_end(engine->batch_id, engine->level > 0,
                                   clock_monotonic_ms() - engine->started_ms),
                  on_all_recorded, engine);
}

static void on_interrupt(void *context, int level, const char *who) {
    struct engine *engine = context;
    (void)who;
    engine->level = level;
    if (level == 1) {
        engine_view_notify(engine,
                           "stopping at the next checkpoint; press Ctrl-C again to stop at once");
        cancel_all(engine, TASK_EVENT_CANCEL);
    } else if (level == 2) {
        cancel_all(engine, TASK_EVENT_CANCEL_NOW);
    } else {
        engine->outcome->unrecorded = engine->n_recording;
        close_all(engine);
    }
    engine_go_on(engine);
}

static void on_ledger_state(void *context, bool full, bool fatal, const char *text) {
    struct engine *engine = context;
    engine->disk_full = full;
    engine->outcome->ledger_lost |= fatal;
    if (full || fatal)
        engine_view_notify(engine, text);
    else
        engine_view_end_notice(engine, text);
    engine_go_on(engine);
}

static void look_for_space(struct engine *engine) {
    struct statvfs system;
    if (engine->space_needed == 0 || statvfs(engine->request->options->out, &system) < 0 ||
        (uint64_t)system.f_bavail * system.f_frsize < engine->space_needed)
        return;
    engine->space_needed = 0;
    engine_view_end_notice(engine, "there is room on the disk again: the batch continues");
}

static void on_tick(uv_timer_t *timer) {
    struct engine *engine = timer->data;
    orphans_reap(engine->host.children.orphans);
    look_for_space(engine);
    engine_go_on(engine);
}

/* ---- setting up, and taking down ---- */

static int allocate(struct engine *engine) {
    const struct engine_request *request = engine->request;
    size_t n = request->tasks->count;
    size_t jobs = (size_t)jobs_of(request);
    engine->outcome->results = calloc(n + 1, sizeof(*engine->outcome->results));
    engine->outcome->n_results = n;
    engine->slots = calloc(n + 1, sizeof(*engine->slots));
    engine->waiting = calloc(n + 1, sizeof(struct admission_candidate));
    engine->running = calloc(jobs + 1, sizeof(struct engine_slot *));
    engine->view_tasks = calloc(jobs + 1, sizeof(*engine->view_tasks));
    if (!engine->outcome->results || !engine->slots || !engine->waiting || !engine->running ||
        !engine->view_tasks)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        engine->slots[i] = (struct engine_slot){
            .engine = engine,
            .index = i,
            .attempts = resume_attempts(request->resume, request->tasks->items[i].id),
        };
    return 0;
}

static void count_finished(struct engine *engine, const char *id) {
    const json_t *end = resume_last_end(engine->request->resume, id);
    const char *verdict = json_string_value(json_object_get(end, "verdict"));
    if (verdict && strcmp(verdict, verdict_name(VERDICT_OK)) == 0)
        engine->ok++;
    else
        engine->problems++;
}

static void queue_tasks(struct engine *engine) {
    const struct engine_request *request = engine->request;
    for (size_t i = 0; i < request->tasks->count; i++) {
        struct engine_slot *slot = &engine->slots[i];
        if (request->finished[i]) {
            slot->state = TASK_STATE_FINISHED;
            count_finished(engine, request->tasks->items[i].id);
            continue;
        }
        if (request->tasks->items[i].broken)
            engine_task_step(slot, TASK_EVENT_REFUSE);
    }
    engine_queue_fill(engine);
}

static void on_trace_failed(void *context, const struct failure *failure) {
    const struct engine *engine = context;
    live_view_event(engine->view, "no memory trace: %s", failure->text);
}

static int open_parts(struct engine *engine, struct failure *failure) {
    const struct engine_request *request = engine->request;
    struct attempt_host *host = &engine->host;
    host->timeout_ms = request->options->timeout_ms;
    host->stall_timeout_ms = request->options->stall_timeout_ms;
    host->grace_ms = OPTIONS_DEFAULT_GRACE_MS;
    host->launch = (struct launch_base){
        .worker = request->worker,
        .out = request->options->out,
        .ledger_id = ledger_store_id(request->store),
        .threads = request->preflight->threads,
        .worker_memory_bytes = request->preflight->cap_bytes,
    };
    int r = launch_base_init(&host->launch);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start the batch");
    r = child_host_open(&engine->loop, &host->children, failure);
    if (r < 0)
        return r;
    groups_open(host->launch.ledger_id, &engine->groups);
    host->children.tree = engine->groups.tree;
    r = ledger_commit_open(&engine->loop, request->store, on_ledger_state, engine, &engine->commit,
                           failure);
    if (r == 0)
        r = live_view_open(&engine->loop, STDERR_FILENO, request->options->quiet,
                           engine_view_snapshot, engine, &engine->view, failure);
    if (r == 0)
        r = trace_open(&engine->loop, TRACE_ROOT, request->options->sample_interval_ms,
                       on_trace_failed, engine, &host->trace, failure);
    if (r == 0 && (r = engine_watch_open(engine)) < 0)
        (void)failure_set_errno(failure, r, "cannot start the batch");
    if (r == 0)
        r = engine_memory_open(engine, failure);
    if (r == 0)
        r = interrupt_open(&engine->loop, &engine->interrupt, on_interrupt, engine, failure);
    return r;
}

/* Helpers that tasks started and that showed no token were spared while others ran. */
static void sweep_the_rest(struct engine *engine) {
    int64_t until_ms = clock_monotonic_ms() + ENGINE_LAST_SWEEP_MS;
    pid_t one;
    while (engine->host.children.orphans &&
           orphans_sweep(engine->host.children.orphans, 0, false, &one) > 0 &&
           clock_monotonic_ms() < until_ms)
        (void)poll(NULL, 0, ENGINE_LAST_SWEEP_PAUSE_MS);
}

static void take_down(struct engine *engine) {
    sweep_the_rest(engine);
    groups_close(&engine->groups);
    child_host_close(&engine->host.children);
    launch_base_free(&engine->host.launch);
    for (size_t i = 0; engine->slots && i < engine->request->tasks->count; i++) {
        engine->outcome->interrupted |= engine->slots[i].state != TASK_STATE_FINISHED;
        free(engine->slots[i].line);
        free(engine->slots[i].refusal);
    }
    free(engine->slots);
    free(engine->waiting);
    free(engine->running);
    free(engine->view_tasks);
}

static void run(struct engine *engine) {
    const struct engine_request *request = engine->request;
    (void)snprintf(engine->batch_id, sizeof(engine->batch_id), "%llx",
                   (unsigned long long)engine->host.launch.run_name);
    const struct record_batch batch = {
        .id = engine->batch_id,
        .command = request->command,
        .out = request->options->out,
        .n_tasks = request->tasks->count,
        .jobs = request->preflight->jobs,
        .threads = request->preflight->threads,
        .cgroup = groups_to_json(&engine->groups),
    };
    engine_append(engine, "batch", record_batch_start(&batch), NULL, NULL);
    queue_tasks(engine);
    engine_go_on(engine);
}

int engine_run(const struct engine_request *request, struct engine_outcome *ret,
               struct failure *failure) {
    *ret = (struct engine_outcome){0};
    struct engine engine = {.request = request, .outcome = ret, .started_ms = clock_monotonic_ms()};
    int r = uv_loop_init(&engine.loop);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start the batch");
    (void)uv_timer_init(&engine.loop, &engine.tick); /* neither can fail */
    engine.tick.data = &engine;
    (void)uv_timer_start(&engine.tick, on_tick, ENGINE_TICK_MS, ENGINE_TICK_MS);
    r = allocate(&engine);
    if (r < 0)
        (void)failure_set_errno(failure, r, "cannot start the batch");
    else
        r = open_parts(&engine, failure);
    if (r < 0)
        close_all(&engine);
    else
        run(&engine);
    (void)uv_run(&engine.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&engine.loop);
    take_down(&engine);
    ret->wall_ms = clock_monotonic_ms() - engine.started_ms;
    if (r < 0)
        engine_outcome_free(ret);
    return r;
}

void engine_outcome_free(struct engine_outcome *outcome) {
    for (size_t i = 0; i < outcome->n_results; i++) {
        free(outcome->results[i].reason);
        json_decref(outcome->results[i].evidence);
    }
    free(outcome->results);
    free(outcome->memory_words);
    *outcome = (struct engine_outcome){0};
}
