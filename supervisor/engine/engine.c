/* See engine.h. Opening and closing, and what keeps it all going: admission, the ledger's state,
 * and a tick for what nobody tells of (room on a disk, memory that others gave back), which stands
 * still while there is nothing to do. A single task's life is in engine_task.c.
 */
#include "supervisor/engine/engine.h"

#include "supervisor/engine/engine_state.h"
#include "supervisor/engine/record.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum {
    ENGINE_TICK_MS = 1000,
    ENGINE_GRACE_MS = 10 * 1000, /* between SIGTERM and SIGKILL */
    ENGINE_LAST_SWEEP_MS = 3000,
    ENGINE_LAST_SWEEP_PAUSE_MS = 2,
};

/* ---- faults and records ---- */

void engine_fail(struct engine *engine, const char *what) {
    if (engine->fault.code == 0)
        (void)failure_set(&engine->fault, -ENOTRECOVERABLE, "a fault of registrar: %s", what);
}

struct child_host *engine_host(struct engine *engine) {
    return &engine->host.children;
}

const struct failure *engine_fault(const struct engine *engine) { return &engine->fault; }

void engine_append(struct engine *engine, const char *event, json_t *fields,
                   ledger_commit_done_cb done, void *context) {
    if (!fields)
        engine_fail(engine, "a record could not be made");
    ledger_commit_append(engine->settings.commit, event, fields ? fields : json_object(), done,
                         context, NULL);
}

void engine_record_start(struct engine *engine, const char *command, const char *out,
                         size_t n_tasks, int threads) {
    const struct record_batch batch = {
        .id = engine->batch_id,
        .command = command,
        .out = out,
        .n_tasks = n_tasks,
        .jobs = engine->settings.limits.jobs,
        .threads = threads,
        .budget_bytes = engine->settings.limits.memory_bytes,
        .cgroup = groups_to_json(&engine->groups),
    };
    engine_append(engine, "batch", record_batch_start(&batch), NULL, NULL);
}

void engine_record_end(struct engine *engine, ledger_commit_done_cb done, void *context) {
    engine_append(engine, "batch",
                  record_batch_end(engine->batch_id, engine->level > 0,
                                   clock_monotonic_ms() - engine->started_ms),
                  done, context);
}

/* ---- going on ---- */

static void on_tick(uv_timer_t *timer) {
    struct engine *engine = timer->data;
    orphans_reap(engine->host.children.orphans);
    engine_line_look_for_space(engine);
    engine_go_on(engine);
}

/* Whether anything may change without being told: something runs, or what may start waits. */
static bool wants_tick(const struct engine *engine) {
    if (engine->n_running > 0 || engine->pressure.is_held)
        return true;
    for (const struct engine_line *line = engine->lines; line; line = line->next)
        if (line->n_waiting > 0 && (engine_line_is_open(line) || line->space_needed > 0))
            return true;
    return false;
}

void engine_wake(struct engine *engine) {
    const bool is_wanted = !engine->closed && wants_tick(engine);
    if (is_wanted == (uv_is_active((uv_handle_t *)&engine->tick) != 0))
        return;
    if (is_wanted)
        (void)uv_timer_start(&engine->tick, on_tick, ENGINE_TICK_MS, ENGINE_TICK_MS);
    else
        (void)uv_timer_stop(&engine->tick); /* neither can fail */
}

static void admit(struct engine *engine) {
    while (engine->level == 0 && !engine->disk_full && !engine->pressure.is_held &&
           engine->fault.code == 0) {
        struct engine_slot *slot = engine_queue_take(engine);
        if (!slot)
            return;
        engine_task_step(slot, TASK_EVENT_ADMIT);
    }
}

/* After anything that happened: start what may start, and tell when nothing is left. */
void engine_go_on(struct engine *engine) {
    if (engine->closed)
        return;
    do
        admit(engine);
    while (engine->level == 0 && engine->handlers.refill(engine->handlers.context));
    engine_watch_update(engine);
    if ((engine->ledger_lost || engine->fault.code != 0) && engine->level == 0) {
        engine->level = 1;
        engine_line_step_all(engine, TASK_EVENT_CANCEL);
    }
    engine_wake(engine);
    if (engine->n_slots == engine->n_recording && engine->handlers.quiet)
        engine->handlers.quiet(engine->handlers.context, engine->n_recording);
}

void engine_stop(struct engine *engine, int level, const char *who) {
    if (engine->level == 0)
        (void)snprintf(engine->who, sizeof(engine->who), "%s", who);
    engine->level = level;
    engine_line_step_all(engine, level > 1 ? TASK_EVENT_CANCEL_NOW : TASK_EVENT_CANCEL);
}

void engine_notify(struct engine *engine, const char *text) { engine_tell_notice(engine, text); }

void engine_ledger_state(struct engine *engine, bool full, bool fatal, const char *text) {
    engine->disk_full = full;
    engine->ledger_lost |= fatal;
    if (full || fatal)
        engine_tell_notice(engine, text);
    else
        engine_tell_end_notice(engine, text);
    engine_go_on(engine);
}

/* ---- opening and closing ---- */

static int make_room(struct engine *engine, int jobs) {
    const size_t n = jobs > 0 ? (size_t)jobs + 1 : 2;
    if (n <= engine->running_capacity)
        return 0;
    struct engine_slot **running = realloc(engine->running, n * sizeof(struct engine_slot *));
    if (running)
        engine->running = running;
    struct pressure_task *pressed = realloc(engine->pressed, n * sizeof(*pressed));
    if (pressed)
        engine->pressed = pressed;
    if (!running || !pressed)
        return -ENOMEM;
    engine->running_capacity = n;
    return 0;
}

void engine_set_limits(struct engine *engine, const struct engine_limits *limits) {
    if (make_room(engine, limits->jobs) < 0) {
        engine_fail(engine, "no memory for more jobs");
        return;
    }
    engine->settings.limits = *limits;
    engine->settings.limits.jobs = limits->jobs > 0 ? limits->jobs : 1;
    engine->budget_bytes = limits->memory_bytes;
    engine->budget_read_ms = 0;
    engine->marks = pressure_marks(limits->available_bytes);
    engine->is_stale = true;
}

void engine_set_confined(struct engine *engine, bool is_confined) {
    engine->host.launch.is_unconfined = !is_confined;
}

static void on_trace_failed(void *context, const struct failure *failure) {
    engine_tell(context, NULL, "no memory trace: %s", failure->text);
}

static int open_parts(struct engine *engine, struct failure *failure) {
    const struct engine_settings *settings = &engine->settings;
    struct attempt_host *host = &engine->host;
    host->grace_ms = ENGINE_GRACE_MS;
    host->launch = (struct launch_base){
        .worker = settings->worker,
        .ledger_id = ledger_store_id(settings->store),
        .is_unconfined = settings->is_unconfined,
    };
    engine_set_limits(engine, &settings->limits);
    int r = engine->fault.code < 0 ? -ENOMEM : launch_base_init(&host->launch);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start the batch");
    (void)snprintf(engine->batch_id, sizeof(engine->batch_id), "%llx",
                   (unsigned long long)host->launch.run_name);
    r = child_host_open(settings->loop, &host->children, failure);
    if (r < 0)
        return r;
    groups_open(host->launch.ledger_id, &engine->groups);
    host->children.tree = engine->groups.tree;
    r = trace_open(settings->loop, TRACE_ROOT, settings->sample_interval_ms, on_trace_failed,
                   engine, &host->trace, failure);
    if (r == 0 && (r = engine_watch_open(engine)) < 0)
        (void)failure_set_errno(failure, r, "cannot start the batch");
    return r == 0 ? engine_memory_open(engine, failure) : r;
}

int engine_open(const struct engine_settings *settings, const struct engine_handlers *handlers,
                struct engine **ret, struct failure *failure) {
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return failure_set_errno(failure, -ENOMEM, "cannot start the batch");
    engine->settings = *settings;
    engine->handlers = *handlers;
    engine->started_ms = clock_monotonic_ms();
    (void)uv_timer_init(settings->loop, &engine->tick); /* cannot fail */
    engine->tick.data = engine;
    *ret = engine; /* on error too: its handles take a turn of the loop to close */
    const int r = open_parts(engine, failure);
    if (r < 0)
        engine_close(engine);
    return r;
}

void engine_close(struct engine *engine) {
    if (engine->closed)
        return;
    engine->closed = true;
    for (size_t i = 0; i < engine->n_running; i++)
        attempt_close(STEAL_PTR(engine->running[i]->attempt));
    engine_memory_close(engine);
    trace_close(STEAL_PTR(engine->host.trace));
    uv_close((uv_handle_t *)&engine->tick, NULL);
    engine_watch_close(engine);
    engine_line_return_all(engine);
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

void engine_free(struct engine *engine) {
    if (!engine)
        return;
    sweep_the_rest(engine);
    groups_close(&engine->groups);
    child_host_close(&engine->host.children);
    launch_base_free(&engine->host.launch);
    while (engine->lines)
        engine_line_close(engine->lines);
    free(engine->waiting);
    free(engine->running);
    free(engine->pressed);
    free(engine->memory_words);
    free(engine);
}
