/* One task through its states. Every change goes through engine_task_step, which asks the table and
 * does the action (a lack of memory for an attempt is the one exception). Jobs and memory are free
 * again as soon as an attempt is over, while its records are still on their way to disk; the task
 * is finished, and told, when they are there.
 */
#include "supervisor/engine/engine_state.h"

#include "common/tmpfs.h"
#include "common/units.h"
#include "supervisor/batch/resume.h"
#include "supervisor/engine/enforce.h"
#include "supervisor/engine/record.h"
#include "supervisor/engine/retry.h"
#include "supervisor/service/as_user.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    ENGINE_TASK_LEAST_SPACE_BYTES = 64 << 20, /* with less, a worker's failure is the disk's */
    ENGINE_TASK_LOG_BYTES = 1 << 20,
    ENGINE_TASK_MORE_BYTES = 160,
};

/* ---- the end of an attempt ---- */

static void on_recorded(void *context, uint64_t seq) {
    struct engine_slot *slot = context;
    struct engine *engine = engine_of(slot);
    if (slot->result)
        slot->result->seq = seq;
    /* the user may have asked to stop while the record was on its way */
    if (slot->recorded == TASK_EVENT_RECORDED_RETRY && (engine->level > 0 || slot->is_cancelled))
        slot->recorded = TASK_EVENT_RECORDED_LEFT;
    engine_task_step(slot, slot->recorded);
    engine_go_on(engine);
}

static void remember(struct engine_slot *slot, struct attempt_result *result) {
    const struct verdict_judgement *judgement = &result->judgement;
    if (!slot->result && !(slot->result = calloc(1, sizeof(*slot->result)))) {
        engine_fail(engine_of(slot), "no memory for a result");
        return;
    }
    struct engine_result *kept = slot->result;
    free(kept->reason);
    json_decref(kept->evidence);
    *kept = (struct engine_result){
        .verdict = judgement->verdict,
        .tries = slot->started,
        .wall_ms = result->wall_ms,
        .peak_rss_bytes = result->peak_rss_bytes,
        .reason = judgement->reason[0] ? strdup(judgement->reason) : NULL,
        .evidence = judgement->verdict == VERDICT_OK ? NULL : json_incref(judgement->evidence),
    };
}

/* Room that the task needs before it is worth trying again. A command's own needs are unknown. */
static uint64_t least_space(const struct engine_slot *slot) {
    uint64_t bytes = slot->planned->disk_bytes;
    uint64_t least =
        slot->task->kind == TASK_ALIGN ? ENGINE_TASK_LEAST_SPACE_BYTES : ENGINE_TASK_LOG_BYTES;
    return bytes > least ? bytes : least;
}

/* True when the failure is the disk's: the task waits for room and has lost no try by it. A command
 * that failed may have a hundred reasons; only one whose log could not be written counts. */
static bool wants_space(const struct engine_slot *slot, const struct attempt_result *result) {
    struct statvfs system;
    const struct engine_line_settings *settings = &slot->line->settings;
    const char *out = settings->out;
    struct failure failure;
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    bool is_worker = slot->task->kind == TASK_ALIGN && result->start_code == 0 &&
                     result->judgement.verdict == VERDICT_FAILED &&
                     strcmp(result->judgement.cause, "environment") == 0;
    if ((!is_worker && result->start_code != -ENOSPC) ||
        as_user_enter(settings->credentials, &as_user, &failure) < 0 || statvfs(out, &system) < 0)
        return false;
    uint64_t free_bytes = (uint64_t)system.f_bavail * system.f_frsize;
    uint64_t most = is_worker ? ENGINE_TASK_LEAST_SPACE_BYTES : least_space(slot);
    if (free_bytes >= most || system.f_blocks == 0) /* 0: it knows no limit */
        return false;                               /* something else: waiting would not help */
    slot->line->space_needed = least_space(slot);
    engine_of(slot)->is_stale = true;
    char left[UNITS_TEXT_BYTES], needed[UNITS_TEXT_BYTES], text[FAILURE_TEXT_BYTES];
    const bool is_ram = tmpfs_holds(out);
    (void)snprintf(text, sizeof(text),
                   "%s that holds %s%s is full (%s left): nothing new is started until %s are "
                   "free; %s and the batch continues by itself",
                   is_ram ? "the tmpfs (RAM and no disk)" : "the disk",
                   settings->batch ? "the results of " : "", /* others hear of it too */
                   settings->batch ? settings->batch : out, units_format_size(free_bytes, left),
                   units_format_size(slot->line->space_needed, needed),
                   is_ram ? TMPFS_REMEDY : "free some space there");
    engine_tell_notice(engine_of(slot), text);
    return true;
}

static struct record_forecast expected_of(const struct engine_slot *slot) {
    const struct engine_line_settings *settings = &slot->line->settings;
    return (struct record_forecast){
        .forecast = &slot->forecast,
        .reserved_bytes = slot->reserved_bytes,
        .size = slot->planned->need.size,
        .threads = settings->threads,
        .cap_bytes = settings->cap_bytes,
        .is_pair = slot->task->kind == TASK_ALIGN,
    };
}

/* Whose it is, where the ledger is that of many. */
static json_t *stamp(const struct engine_slot *slot, json_t *record) {
    const struct engine_line_settings *settings = &slot->line->settings;
    CLEANUP_JSON json_t *owned = record;
    if (!owned || !settings->batch)
        return STEAL_PTR(owned);
    CLEANUP_JSON json_t *whose =
        json_pack("{s:s, s:s}", "batch", settings->batch, "user", settings->user);
    return whose && json_object_update(owned, whose) == 0 ? STEAL_PTR(owned) : NULL;
}

static void record(struct engine_slot *slot, int number, const struct attempt_result *result) {
    struct engine *engine = engine_of(slot);
    bool final = slot->recorded == TASK_EVENT_RECORDED_FINAL;
    const struct record_forecast expected = expected_of(slot);
    if (number > 0)
        engine_append(engine, "attempt_end",
                      stamp(slot, record_attempt_end(slot->task, number, result, &expected)),
                      final ? NULL : on_recorded, slot);
    if (!final)
        return;
    CLEANUP_JSON json_t *identity = resume_identity(slot->task);
    engine_append(engine, "task_end",
                  stamp(slot, record_task_end(slot->task, slot->attempts, result, identity)),
                  on_recorded, slot);
}

/* A line that was closed for what it used may be open again. */
static void leave_running(struct engine_slot *slot) {
    struct engine *engine = engine_of(slot);
    struct engine_line *line = slot->line;
    engine->is_stale |= !engine_line_is_open(line);
    line->is_full = false;
    line->n_running--;
    for (size_t i = 0; i < engine->n_running; i++)
        if (engine->running[i] == slot) {
            engine->running[i] = engine->running[--engine->n_running];
            break;
        }
    engine_variants_run(slot, false);
    attempt_close(slot->attempt);
    slot->attempt = NULL;
}

/* Where memory ran out, the next try has more of it; the ledger and the user are told. */
static void give_more(struct engine_slot *slot, struct attempt_result *result,
                      const struct retry_choice *choice, char *more, size_t size) {
    const uint64_t declared = slot->task->memory_bytes;
    const uint64_t budget = engine_line_budget(slot->line);
    char bytes[UNITS_TEXT_BYTES], was[UNITS_TEXT_BYTES] = "";
    slot->is_alone |= choice->step == RETRY_ALONE;
    if (choice->step == RETRY_LARGER)
        slot->floor_bytes = choice->floor_bytes;
    const uint64_t next = slot->is_alone ? budget : slot->floor_bytes;
    (void)units_format_size(declared, was);
    (void)snprintf(more, size, "; trying again %s %s%s%s%s",
                   slot->is_alone ? "alone, with all" : "with", units_format_size(next, bytes),
                   declared > 0 ? " (the manifest declares " : "", declared > 0 ? was : "",
                   declared > 0 ? ")" : "");
    json_t *step = json_pack("{s:s, s:I}", "step", retry_step_name(choice->step), "reserved_bytes",
                             (json_int_t)next);
    if (step) /* out of memory: the evidence lacks it */
        (void)json_object_set_new(result->judgement.evidence, "next", step);
}

/* The last of several: what was tried is part of the story. An attempt that ended otherwise, as it
 * had all of the memory, has its own. */
static void tell_chances(const struct engine_slot *slot, bool is_oom,
                         struct attempt_result *result) {
    char bytes[UNITS_TEXT_BYTES];
    char *reason = result->judgement.reason;
    const size_t used = strlen(reason);
    if (is_oom && slot->is_alone && slot->ooms > 1)
        (void)snprintf(reason + used, sizeof(result->judgement.reason) - used,
                       "%sit ran out of memory %d times, the last time alone, with all %s",
                       used > 0 ? "; " : "", slot->ooms,
                       units_format_size(slot->reserved_bytes, bytes));
}

static struct retry_choice choose(struct engine_slot *slot, const struct attempt_result *result) {
    const struct verdict_judgement *judgement = &result->judgement;
    const bool is_likely_oom = json_is_true(json_object_get(judgement->evidence, "likely_oom"));
    uint64_t held = result->peak_rss_bytes;
    held = held < slot->reserved_bytes ? slot->reserved_bytes : held;
    held = held < result->limit_bytes ? result->limit_bytes : held;
    slot->ooms += retry_is_oom(judgement->verdict, is_likely_oom);
    return retry_choose(&(struct retry_facts){
        .verdict = judgement->verdict,
        .is_command = slot->task->kind == TASK_COMMAND,
        .cause = judgement->cause,
        .tries = slot->tries,
        .retries = slot->line->settings.retries,
        .is_likely_oom = is_likely_oom,
        .ooms = slot->ooms,
        .was_alone = slot->is_alone,
        .held_bytes = held,
        .budget_bytes = engine_line_budget(slot->line),
    });
}

/* It gave way to others and lost no try by it. It starts again when what it was seen to hold, and
 * some, is there. */
static void give_way(struct engine_slot *slot, const struct attempt_result *result) {
    const uint64_t budget = engine_line_budget(slot->line);
    const uint64_t peak = result->peak_rss_bytes;
    slot->tries--;
    slot->stops++;
    if (peak > slot->reserved_bytes)
        slot->floor_bytes = peak + peak / 4 < budget ? peak + peak / 4 : budget;
}

/* What follows the attempt; more: what to say of it. */
static enum task_event decide(struct engine_slot *slot, struct attempt_result *result, char *more,
                              size_t size) {
    const bool is_cancelled = result->judgement.verdict == VERDICT_CANCELLED;
    bool again = true;
    more[0] = '\0';
    if (slot->is_cancelled)
        return TASK_EVENT_RECORDED_FINAL; /* however it ended, it is the last */
    if (is_cancelled && result->stop == VERDICT_STOP_MEMORY) {
        give_way(slot, result);
    } else if (wants_space(slot, result)) {
        slot->tries--; /* the disk failed, not the task */
        (void)snprintf(more, size, "; waits for room");
    } else {
        const int ooms_before = slot->ooms;
        const struct retry_choice choice = choose(slot, result);
        again = choice.step != RETRY_NO && !is_cancelled;
        if (choice.step == RETRY_AGAIN)
            (void)snprintf(more, size, "; trying again");
        else if (again && engine_of(slot)->level == 0)
            give_more(slot, result, &choice, more, size);
        else if (!again)
            tell_chances(slot, slot->ooms > ooms_before, result);
    }
    if (again && engine_of(slot)->level == 0)
        return TASK_EVENT_RECORDED_RETRY;
    more[0] = '\0';
    return again || is_cancelled ? TASK_EVENT_RECORDED_LEFT : TASK_EVENT_RECORDED_FINAL;
}

static void tell_over(const struct engine_slot *slot, const struct attempt_result *result) {
    const struct engine_handlers *handlers = &engine_of(slot)->handlers;
    if (handlers->over)
        handlers->over(handlers->context, slot->line, slot->context, slot->reserved_bytes,
                       result->wall_ms);
}

/* The attempt is over: verdict, what comes next, and both into the ledger. */
static void judge(struct engine_slot *slot) {
    struct engine *engine = engine_of(slot);
    struct attempt_result result;
    char more[ENGINE_TASK_MORE_BYTES];
    attempt_judge(slot->attempt, &result);
    int number = attempt_number(slot->attempt);
    slot->recorded = decide(slot, &result, more, sizeof(more));
    remember(slot, &result);
    engine_tell_prepare(slot, &result, more);
    engine_memory_after(slot, &result);
    tell_over(slot, &result);
    leave_running(slot);
    engine->n_recording++;
    slot->line->n_recording++;
    record(slot, number, &result);
    engine_queue_learn(slot, &result);
    attempt_result_free(&result);
}

/* A broken pair, or what can never fit: no attempt is made, its reason is its verdict. */
static void refuse(struct engine_slot *slot) {
    struct attempt_result result = {.inputs = json_array(), .outputs = json_array()};
    result.judgement.verdict = VERDICT_FAILED;
    result.judgement.cause = slot->refusal ? "environment" : "input";
    (void)snprintf(result.judgement.reason, sizeof(result.judgement.reason), "%s",
                   slot->refusal ? slot->refusal : slot->task->broken);
    remember(slot, &result);
    engine_tell_prepare(slot, &result, "");
    slot->recorded = TASK_EVENT_RECORDED_FINAL;
    slot->line->n_waiting--;
    engine_of(slot)->n_recording++;
    slot->line->n_recording++;
    record(slot, 0, &result);
    attempt_result_free(&result);
}

/* ---- states ---- */

static void on_attempt_event(void *context, enum task_event event) {
    struct engine_slot *slot = context;
    struct engine *engine = engine_of(slot);
    engine_task_step(slot, event);
    engine_go_on(engine);
}

/* --redo means from the images on. A further try after a crash may use what this run made. */
static void forget_stages(const struct engine_slot *slot) {
    struct failure failure = {0};
    if (slot->line->settings.is_redo && slot->started == 0 &&
        launch_forget_stages(&slot->line->attempt.launch, slot->task, &failure) < 0)
        engine_tell_notice(engine_of(slot), failure.text);
}

/* What the kernel holds the next attempt to. */
static uint64_t limit_of(const struct engine_slot *slot) {
    const struct preflight_task *planned = slot->planned;
    const enum forecast_basis basis = slot->forecast.basis;
    return enforce_limit(&(struct enforce_facts){
        .declared_bytes = slot->task->memory_bytes,
        .reserved_bytes = slot->reserved_bytes,
        .is_assumed = slot->forecast.is_guess,
        .is_uncertain =
            basis == FORECAST_HISTORY &&
            (slot->forecast.is_beyond || slot->forecast.n_attempts < ENFORCE_FEW_ATTEMPTS),
        .file_bytes = forecast_file_bytes(&planned->need),
        .results_in_ram_bytes = planned->is_in_ram ? planned->disk_bytes : 0,
    });
}

static void start(struct engine_slot *slot) {
    struct engine *engine = engine_of(slot);
    struct engine_line *line = slot->line;
    forget_stages(slot);
    slot->tries++;
    slot->attempts++;
    slot->started++;
    line->n_waiting--;
    engine_memory_before(slot);
    /* results in RAM count towards the limit, and those for others are not planned for */
    CLEANUP_JSON json_t *variants = slot->planned->is_in_ram ? NULL : engine_variants_params(slot);
    const struct attempt_request request = {.task = slot->task,
                                            .number = slot->attempts,
                                            .variants = variants,
                                            .memory_limit_bytes = limit_of(slot),
                                            .event = on_attempt_event,
                                            .context = slot};
    slot->attempt = attempt_start(&engine->host, &line->attempt, &request);
    if (!slot->attempt) {
        engine_fail(engine, "no memory to start a task");
        engine_line_return(slot, false); /* nothing was started; engine_go_on ends the run */
        return;
    }
    engine->running[engine->n_running++] = slot;
    line->n_running++;
    engine_variants_run(slot, true);
    if (engine->handlers.started)
        engine->handlers.started(engine->handlers.context, line, slot->context,
                                 slot->reserved_bytes);
    engine->is_stale |= !engine_line_is_open(line);
    if (attempt_pid(slot->attempt) == 0) {
        engine_task_step(slot, TASK_EVENT_OVER);
        return;
    }
    const struct record_forecast expected = expected_of(slot);
    engine_append(engine, "attempt_start",
                  stamp(slot, record_attempt_start(slot->task, slot->attempt, &expected)), NULL,
                  NULL);
}

static enum verdict_stop stop_of(const struct engine_slot *slot, enum task_event event) {
    if (event == TASK_EVENT_LIMIT)
        return attempt_limit(slot->attempt);
    if (event == TASK_EVENT_PRESSURE)
        return VERDICT_STOP_MEMORY;
    return event == TASK_EVENT_BREACH ? VERDICT_STOP_BREACH : VERDICT_STOP_USER;
}

static void publish(struct engine_slot *slot) {
    engine_look_add_work(slot, &engine_of(slot)->work_done);
    engine_line_return(slot, true);
}

static void leave(struct engine_slot *slot, enum task_event event) {
    slot->line->n_waiting -= event == TASK_EVENT_CANCEL || event == TASK_EVENT_CANCEL_NOW;
    engine_line_return(slot, false);
}

void engine_task_step(struct engine_slot *slot, enum task_event event) {
    struct engine *engine = engine_of(slot);
    struct task_state_step todo = task_state_step(slot->state, event);
    if (slot->state == TASK_STATE_RECORDING && todo.next != TASK_STATE_RECORDING) {
        engine->n_recording--;
        slot->line->n_recording--;
        engine_tell_now(slot);
    }
    slot->state = todo.next;
    switch (todo.action) {
    case TASK_ACTION_NONE:
        break;
    case TASK_ACTION_LEAVE: /* nothing runs; it has no task_end, so the next run does it */
        leave(slot, event);
        break;
    case TASK_ACTION_START:
        start(slot);
        break;
    case TASK_ACTION_TERMINATE:
        attempt_terminate(slot->attempt, stop_of(slot, event),
                          event == TASK_EVENT_PRESSURE ? engine->shortage_words : engine->who);
        break;
    case TASK_ACTION_KILL:
        attempt_kill(slot->attempt, stop_of(slot, event), engine->who);
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
        slot->line->n_waiting++;
        engine_queue_add(slot);
        break;
    default:
        engine_fail(engine, "a task's event came in a state that forbids it");
        break;
    }
}
