/* See engine.h. Every change of a task's state goes through step(), which asks the table and does
 * the action; nothing else changes a state. Jobs and memory are free again as soon as an attempt is
 * over, while its records are still on their way to disk; the task is finished, and told, when they
 * are there.
 */
#include "supervisor/engine/engine.h"

#include "common/clock.h"
#include "common/units.h"
#include "supervisor/engine/admission.h"
#include "supervisor/engine/attempt.h"
#include "supervisor/engine/interrupt.h"
#include "supervisor/engine/record.h"
#include "supervisor/engine/retry.h"
#include "supervisor/ledger/ledger_commit.h"
#include "supervisor/report/live_view.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    ENGINE_TICK_MS = 1000,
    ENGINE_LAST_SWEEP_MS = 3000,
    ENGINE_LAST_SWEEP_PAUSE_MS = 2,
    ENGINE_LEAST_SPACE_BYTES = 64 << 20, /* below it a task's failure is the disk's */
};

struct slot {
    struct engine *engine;
    size_t index; /* of the task */
    enum task_state state;
    struct attempt *attempt;  /* while it runs */
    int tries;                /* in this run */
    int attempts;             /* in all runs */
    enum task_event recorded; /* what to do once its records are on disk */
    char *line;               /* and what to say then; owned */
};

struct engine {
    const struct engine_request *request;
    struct engine_outcome *outcome;
    uv_loop_t loop;
    uv_timer_t tick;
    struct interrupt interrupt;
    struct attempt_host host;
    struct ledger_commit *commit;
    struct live_view *view;
    struct slot *slots; /* one per task */
    struct admission_candidate *waiting;
    size_t n_waiting;
    struct slot **running;
    struct live_view_task *view_tasks; /* as many as jobs */
    size_t n_running;
    size_t n_recording;
    uint64_t reserved_bytes;
    int64_t started_ms;
    char batch_id[32];
    int level;             /* of interruption */
    bool disk_full;        /* says the ledger */
    uint64_t space_needed; /* a worker failed for lack of it: wait until it is there; 0: no */
    bool ending;           /* the last record is on its way */
    bool closed;           /* handles are closing */
    size_t ok, problems;   /* finished */
    double weight_total, weight_done; /* of forecast time, for the ETA */
    char notice[FAILURE_TEXT_BYTES];
};

static const struct task *task_of(const struct slot *slot) {
    return &slot->engine->request->tasks->items[slot->index];
}

static struct engine_result *result_of(const struct slot *slot) {
    return &slot->engine->outcome->results[slot->index];
}

static uint64_t reservation_of(const struct slot *slot) {
    return slot->engine->request->preflight->tasks[slot->index].memory_bytes;
}

/* A forecast of 0 is unknown: such tasks weigh alike. */
static double weight_of(const struct slot *slot) {
    int64_t ms = slot->engine->request->preflight->tasks[slot->index].time_ms;
    return ms > 0 ? (double)ms : 1;
}

static void step(struct slot *slot, enum task_event event);
static void go_on(struct engine *engine);

/* ---- the view ---- */

static void take_snapshot(void *context, struct live_view_snapshot *ret) {
    struct engine *engine = context;
    double done = engine->weight_done;
    for (size_t i = 0; i < engine->n_running; i++) {
        struct attempt_view look;
        attempt_look(engine->running[i]->attempt, &look);
        engine->view_tasks[i] = (struct live_view_task){
            .id = task_of(engine->running[i])->id,
            .stage = look.stage,
            .fraction = look.fraction,
            .memory_bytes = look.memory_bytes,
            .elapsed_ms = look.elapsed_ms,
            .attempt = attempt_number(engine->running[i]->attempt),
        };
        if (look.fraction > 0)
            done += look.fraction * weight_of(engine->running[i]);
    }
    int64_t elapsed_ms = clock_monotonic_ms() - engine->started_ms;
    size_t total = engine->request->tasks->count;
    *ret = (struct live_view_snapshot){
        .running = engine->view_tasks,
        .n_running = engine->n_running,
        .total = total,
        .ok = engine->ok,
        .problems = engine->problems,
        .left = total - engine->ok - engine->problems - engine->n_running,
        .elapsed_ms = elapsed_ms,
        .eta_ms =
            done > 0 ? (int64_t)((double)elapsed_ms * (engine->weight_total - done) / done) : -1,
        .notice = engine->notice[0] ? engine->notice : NULL,
    };
}

/* The event's line, told once the record is on disk. Out of memory: it is not told. */
static void prepare_line(struct slot *slot, const struct attempt_result *result, const char *more) {
    char wall[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES], used[2 * UNITS_TEXT_BYTES + 8] = "";
    const char *reason = result->judgement.reason;
    if (result->peak_rss_bytes > 0) /* something ran */
        (void)snprintf(used, sizeof(used), "  %s  %s", units_format_duration(result->wall_ms, wall),
                       units_format_size(result->peak_rss_bytes, peak));
    free(slot->line);
    if (asprintf(&slot->line, "%-9s %s%s%s%s%s", verdict_name(result->judgement.verdict),
                 task_of(slot)->id, used, reason[0] ? "  " : "", reason, more) < 0)
        slot->line = NULL;
}

static void tell_line(struct slot *slot) {
    if (slot->line)
        live_view_event(slot->engine->view, "%s", slot->line);
    free(slot->line);
    slot->line = NULL;
}

/* A notice stays in the live view until it is replaced or cleared, and is an event too. */
static void notify(struct engine *engine, const char *text) {
    if (strcmp(engine->notice, text) == 0)
        return;
    (void)snprintf(engine->notice, sizeof(engine->notice), "%s", text);
    live_view_event(engine->view, "%s", text);
}

/* ---- the ledger ---- */

static void fail_internally(struct engine *engine, const char *what) {
    if (engine->outcome->fault.code == 0)
        (void)failure_set(&engine->outcome->fault, -ENOTRECOVERABLE, "a fault of registrar: %s",
                          what);
}

static void append(struct engine *engine, const char *event, json_t *fields,
                   ledger_commit_done_cb done, void *context) {
    if (!fields)
        fail_internally(engine, "a record could not be made");
    ledger_commit_append(engine->commit, event, fields ? fields : json_object(), done, context,
                         NULL);
}

static void on_recorded(void *context, uint64_t seq) {
    (void)seq;
    struct slot *slot = context;
    struct engine *engine = slot->engine;
    step(slot, slot->recorded);
    go_on(engine);
}

static void remember(struct slot *slot, struct attempt_result *result) {
    const struct verdict_judgement *judgement = &result->judgement;
    struct engine_result *kept = result_of(slot);
    free(kept->reason);
    json_decref(kept->evidence);
    *kept = (struct engine_result){
        .verdict = judgement->verdict,
        .attempts = slot->attempts,
        .wall_ms = result->wall_ms,
        .peak_rss_bytes = result->peak_rss_bytes,
        .reason = judgement->reason[0] ? strdup(judgement->reason) : NULL,
        .evidence = judgement->verdict == VERDICT_OK ? NULL : json_incref(judgement->evidence),
    };
}

/* True when the failure is the disk's: the task waits for room and has lost no try by it. */
static bool wants_space(struct engine *engine, size_t index,
                        const struct verdict_judgement *judgement) {
    struct statvfs system;
    const char *out = engine->request->options->out;
    if (judgement->verdict != VERDICT_FAILED || strcmp(judgement->cause, "environment") != 0 ||
        statvfs(out, &system) < 0)
        return false;
    uint64_t free_bytes = (uint64_t)system.f_bavail * system.f_frsize;
    if (free_bytes >= ENGINE_LEAST_SPACE_BYTES)
        return false;
    uint64_t task_bytes = engine->request->preflight->tasks[index].disk_bytes;
    engine->space_needed =
        task_bytes > ENGINE_LEAST_SPACE_BYTES ? task_bytes : ENGINE_LEAST_SPACE_BYTES;
    char left[UNITS_TEXT_BYTES], needed[UNITS_TEXT_BYTES], text[FAILURE_TEXT_BYTES];
    (void)snprintf(text, sizeof(text),
                   "the disk that holds %s is full (%s left): nothing new is started until %s are "
                   "free; free some space there and the batch continues by itself",
                   out, units_format_size(free_bytes, left),
                   units_format_size(engine->space_needed, needed));
    notify(engine, text);
    return true;
}

static void record(struct slot *slot, int number, const struct attempt_result *result) {
    struct engine *engine = slot->engine;
    bool final = slot->recorded == TASK_EVENT_RECORDED_FINAL;
    if (number > 0)
        append(engine, "attempt_end",
               record_attempt_end(task_of(slot), number, result, reservation_of(slot)),
               final ? NULL : on_recorded, slot);
    if (!final)
        return;
    CLEANUP_JSON json_t *identity = resume_identity(task_of(slot));
    append(engine, "task_end", record_task_end(task_of(slot), slot->attempts, result, identity),
           on_recorded, slot);
}

static void leave_running(struct slot *slot) {
    struct engine *engine = slot->engine;
    for (size_t i = 0; i < engine->n_running; i++)
        if (engine->running[i] == slot) {
            engine->running[i] = engine->running[--engine->n_running];
            engine->reserved_bytes -= reservation_of(slot);
            break;
        }
    attempt_close(slot->attempt);
    slot->attempt = NULL;
}

/* The attempt is over: verdict, what comes next, and both into the ledger. */
static void judge(struct slot *slot) {
    struct engine *engine = slot->engine;
    struct attempt_result result;
    attempt_judge(slot->attempt, &result);
    int number = attempt_number(slot->attempt);
    const struct retry_facts facts = {
        .verdict = result.judgement.verdict,
        .is_command = task_of(slot)->kind == TASK_COMMAND,
        .cause = result.judgement.cause,
        .tries = slot->tries,
        .retries = engine->request->options->retries,
    };
    bool no_space = wants_space(engine, slot->index, &result.judgement);
    if (no_space)
        slot->tries--; /* the disk failed, not the task */
    bool again = no_space || retry_wanted(&facts);
    const char *more = "";
    slot->recorded = TASK_EVENT_RECORDED_FINAL;
    if (result.judgement.verdict == VERDICT_CANCELLED || (again && engine->level > 0)) {
        slot->recorded = TASK_EVENT_RECORDED_LEFT;
    } else if (again) {
        slot->recorded = TASK_EVENT_RECORDED_RETRY;
        more = no_space ? "; waits for room" : "; trying again";
    }
    remember(slot, &result);
    prepare_line(slot, &result, more);
    leave_running(slot);
    engine->n_recording++;
    record(slot, number, &result);
    attempt_result_free(&result);
}

/* A broken pair: no attempt is made, its reason is its verdict. */
static void refuse(struct slot *slot) {
    struct attempt_result result = {.inputs = json_array(), .outputs = json_array()};
    result.judgement.verdict = VERDICT_FAILED;
    result.judgement.cause = "input";
    (void)snprintf(result.judgement.reason, sizeof(result.judgement.reason), "%s",
                   task_of(slot)->broken);
    remember(slot, &result);
    prepare_line(slot, &result, "");
    slot->recorded = TASK_EVENT_RECORDED_FINAL;
    slot->engine->n_recording++;
    record(slot, 0, &result);
    attempt_result_free(&result);
}

/* ---- states ---- */

static void on_attempt_event(void *context, enum task_event event) {
    struct slot *slot = context;
    struct engine *engine = slot->engine;
    step(slot, event);
    go_on(engine);
}

static void start(struct slot *slot) {
    struct engine *engine = slot->engine;
    slot->tries++;
    slot->attempts++;
    slot->attempt =
        attempt_start(&engine->host, task_of(slot), slot->attempts, on_attempt_event, slot);
    if (!slot->attempt) {
        fail_internally(engine, "no memory to start a task");
        return; /* go_on ends the run; the task stays without a verdict */
    }
    engine->running[engine->n_running++] = slot;
    engine->reserved_bytes += reservation_of(slot);
    if (attempt_pid(slot->attempt) == 0) {
        step(slot, TASK_EVENT_OVER);
        return;
    }
    append(engine, "attempt_start",
           record_attempt_start(task_of(slot), slot->attempt, reservation_of(slot)), NULL, NULL);
}

static enum verdict_stop stop_of(const struct slot *slot, enum task_event event) {
    if (event == TASK_EVENT_LIMIT)
        return attempt_limit(slot->attempt);
    return event == TASK_EVENT_BREACH ? VERDICT_STOP_BREACH : VERDICT_STOP_USER;
}

static void publish(struct slot *slot) {
    struct engine *engine = slot->engine;
    struct engine_result *result = result_of(slot);
    result->finished = true;
    if (result->verdict == VERDICT_OK)
        engine->ok++;
    else
        engine->problems++;
    engine->weight_done += weight_of(slot);
}

static void requeue(struct slot *slot) {
    struct engine *engine = slot->engine;
    engine->waiting[engine->n_waiting++] = (struct admission_candidate){
        .task = slot->index, .memory_bytes = reservation_of(slot), .tries = slot->tries};
    admission_sort(engine->waiting, engine->n_waiting);
}

static void step(struct slot *slot, enum task_event event) {
    struct engine *engine = slot->engine;
    struct task_state_step todo = task_state_step(slot->state, event);
    if (slot->state == TASK_STATE_RECORDING && todo.next != TASK_STATE_RECORDING) {
        engine->n_recording--;
        tell_line(slot);
    }
    slot->state = todo.next;
    switch (todo.action) {
    case TASK_ACTION_NONE:
    case TASK_ACTION_LEAVE: /* nothing runs; it has no task_end, so the next run does it */
        break;
    case TASK_ACTION_START:
        start(slot);
        break;
    case TASK_ACTION_TERMINATE:
        attempt_terminate(slot->attempt, stop_of(slot, event), engine->interrupt.who);
        break;
    case TASK_ACTION_KILL:
        attempt_kill(slot->attempt, stop_of(slot, event), engine->interrupt.who);
        break;
    case TASK_ACTION_JUDGE:
        if (event == TASK_EVENT_REFUSE)
            refuse(slot);
        else
            judge(slot);
        break;
    case TASK_ACTION_PUBLISH:
        publish(slot);
        break;
    case TASK_ACTION_REQUEUE:
        requeue(slot);
        break;
    default:
        fail_internally(engine, "a task's event came in a state that forbids it");
        break;
    }
}

/* ---- the run ---- */

static void cancel_all(struct engine *engine, enum task_event event) {
    engine->n_waiting = 0;
    for (size_t i = 0; i < engine->request->tasks->count; i++)
        step(&engine->slots[i], event);
}

static void close_all(struct engine *engine) {
    if (engine->closed)
        return;
    engine->closed = true;
    for (size_t i = 0; i < engine->n_running; i++)
        attempt_close(engine->running[i]->attempt);
    uv_close((uv_handle_t *)&engine->tick, NULL);
    interrupt_close(&engine->interrupt);
    live_view_close(engine->view);
    engine->view = NULL;
    ledger_commit_close(engine->commit);
    engine->commit = NULL;
}

static void on_all_recorded(void *context, uint64_t seq) {
    (void)seq;
    close_all(context);
}

static void admit(struct engine *engine) {
    while (engine->level == 0 && !engine->disk_full && engine->space_needed == 0 &&
           engine->outcome->fault.code == 0) {
        const struct admission_room room = {
            .jobs = engine->request->preflight->jobs,
            .running = (int)engine->n_running,
            .budget_bytes = engine->request->preflight->memory_budget_bytes,
            .reserved_bytes = engine->reserved_bytes,
        };
        ptrdiff_t at = admission_pick(engine->waiting, engine->n_waiting, &room);
        if (at < 0)
            return;
        struct slot *slot = &engine->slots[engine->waiting[at].task];
        engine->n_waiting--;
        memmove(engine->waiting + at, engine->waiting + at + 1,
                (engine->n_waiting - (size_t)at) * sizeof(*engine->waiting));
        step(slot, TASK_EVENT_ADMIT);
    }
}

/* After anything that happened: start what may start, and end when all is done. */
static void go_on(struct engine *engine) {
    if (engine->closed || engine->ending)
        return;
    admit(engine);
    bool broken = engine->outcome->ledger_lost || engine->outcome->fault.code != 0;
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
    append(engine, "batch",
           record_batch_end(engine->batch_id, engine->level > 0,
                            clock_monotonic_ms() - engine->started_ms),
           on_all_recorded, engine);
}

static void on_interrupt(void *context, int level, const char *who) {
    struct engine *engine = context;
    (void)who;
    engine->level = level;
    if (level == 1) {
        notify(engine, "stopping: workers are asked to stop at a checkpoint; press Ctrl-C again to "
                       "end them at once");
        cancel_all(engine, TASK_EVENT_CANCEL);
    } else if (level == 2) {
        cancel_all(engine, TASK_EVENT_CANCEL_NOW);
    } else {
        engine->outcome->unrecorded = engine->n_recording;
        close_all(engine);
    }
    go_on(engine);
}

static void on_ledger_state(void *context, bool full, bool fatal, const char *text) {
    struct engine *engine = context;
    engine->disk_full = full;
    engine->outcome->ledger_lost |= fatal;
    notify(engine, text);
    if (!full && !fatal)
        engine->notice[0] = '\0'; /* told once; all is well again */
    go_on(engine);
}

static void look_for_space(struct engine *engine) {
    struct statvfs system;
    if (engine->space_needed == 0 || statvfs(engine->request->options->out, &system) < 0 ||
        (uint64_t)system.f_bavail * system.f_frsize < engine->space_needed)
        return;
    engine->space_needed = 0;
    notify(engine, "there is room on the disk again: the batch continues");
    engine->notice[0] = '\0';
}

static void on_tick(uv_timer_t *timer) {
    struct engine *engine = timer->data;
    orphans_reap(engine->host.children.orphans);
    look_for_space(engine);
    go_on(engine);
}

/* ---- setting up, and taking down ---- */

static int allocate(struct engine *engine) {
    const struct engine_request *request = engine->request;
    size_t n = request->tasks->count;
    size_t jobs = (size_t)request->preflight->jobs;
    engine->outcome->results = calloc(n + 1, sizeof(*engine->outcome->results));
    engine->outcome->n_results = n;
    engine->slots = calloc(n + 1, sizeof(*engine->slots));
    engine->waiting = calloc(n + 1, sizeof(struct admission_candidate));
    engine->running = calloc(jobs + 1, sizeof(struct slot *));
    engine->view_tasks = calloc(jobs + 1, sizeof(*engine->view_tasks));
    if (!engine->outcome->results || !engine->slots || !engine->waiting || !engine->running ||
        !engine->view_tasks)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        engine->slots[i] = (struct slot){
            .engine = engine,
            .index = i,
            .attempts = resume_attempts(request->resume, request->tasks->items[i].id),
        };
    return 0;
}

static void queue_tasks(struct engine *engine) {
    const struct engine_request *request = engine->request;
    for (size_t i = 0; i < request->tasks->count; i++) {
        struct slot *slot = &engine->slots[i];
        if (request->finished[i]) {
            slot->state = TASK_STATE_FINISHED;
            engine->ok++; /* counted with what is done; its own verdict is the summary's */
            continue;
        }
        engine->weight_total += weight_of(slot);
        if (request->tasks->items[i].broken)
            step(slot, TASK_EVENT_REFUSE);
        else
            engine->waiting[engine->n_waiting++] =
                (struct admission_candidate){.task = i, .memory_bytes = reservation_of(slot)};
    }
    admission_sort(engine->waiting, engine->n_waiting);
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
        .worker_memory_bytes = request->options->worker_memory_bytes,
    };
    int r = launch_base_init(&host->launch);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start the batch");
    r = child_host_open(&engine->loop, &host->children, failure);
    if (r == 0)
        r = ledger_commit_open(&engine->loop, request->store, on_ledger_state, engine,
                               &engine->commit, failure);
    if (r == 0)
        r = live_view_open(&engine->loop, STDERR_FILENO, request->options->quiet, take_snapshot,
                           engine, &engine->view, failure);
    if (r == 0)
        r = interrupt_open(&engine->loop, &engine->interrupt, on_interrupt, engine, failure);
    return r;
}

/* Helpers that tasks started and that showed no token were spared while others ran. */
static void sweep_the_rest(struct engine *engine) {
    int64_t until_ms = clock_monotonic_ms() + ENGINE_LAST_SWEEP_MS;
    pid_t one;
    while (engine->host.children.orphans &&
           orphans_sweep(engine->host.children.orphans, 0, &one) > 0 &&
           clock_monotonic_ms() < until_ms)
        (void)poll(NULL, 0, ENGINE_LAST_SWEEP_PAUSE_MS);
}

static void take_down(struct engine *engine) {
    sweep_the_rest(engine);
    child_host_close(&engine->host.children);
    launch_base_free(&engine->host.launch);
    for (size_t i = 0; engine->slots && i < engine->request->tasks->count; i++) {
        engine->outcome->interrupted |= engine->slots[i].state != TASK_STATE_FINISHED;
        free(engine->slots[i].line);
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
    append(engine, "batch",
           record_batch_start(engine->batch_id, request->options->out, request->tasks->count,
                              request->preflight->jobs, request->preflight->threads),
           NULL, NULL);
    queue_tasks(engine);
    go_on(engine);
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
    *outcome = (struct engine_outcome){0};
}
