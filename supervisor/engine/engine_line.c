/* Lines and the tasks in them: added, cancelled, handed back. A line is held by its owner, or for
 * want of room on the disk that holds its output. */
#include "supervisor/engine/engine_state.h"

#include "supervisor/service/as_user.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

static void set_settings(struct engine_line *line, const struct engine_line_settings *settings) {
    line->settings = *settings;
    line->attempt = (struct attempt_line){
        .launch =
            {
                .out = settings->out,
                .threads = settings->threads,
                .worker_memory_bytes = settings->cap_bytes,
                .credentials = settings->credentials,
            },
        .timeout_ms = settings->timeout_ms,
        .stall_timeout_ms = settings->stall_timeout_ms,
    };
}

struct engine_line *engine_line_open(struct engine *engine,
                                     const struct engine_line_settings *settings) {
    struct engine_line *line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    line->engine = engine;
    set_settings(line, settings);
    line->next = engine->lines;
    if (line->next)
        line->next->previous = line;
    engine->lines = line;
    return line;
}

void engine_line_change(struct engine_line *line, const struct engine_line_settings *settings) {
    set_settings(line, settings);
    line->engine->is_stale = true;
}

void engine_line_close(struct engine_line *line) {
    struct engine *engine = line->engine;
    if (line->previous)
        line->previous->next = line->next;
    else
        engine->lines = line->next;
    if (line->next)
        line->next->previous = line->previous;
    free(line);
}

void *engine_line_context(const struct engine_line *line) { return line->settings.context; }

size_t engine_line_waiting(const struct engine_line *line) { return line->n_waiting; }

size_t engine_line_running(const struct engine_line *line) {
    return line->n_running + line->n_recording;
}

void engine_line_hold(struct engine_line *line, bool is_held) {
    line->engine->is_stale |= line->is_held != is_held;
    line->is_held = is_held;
}

void engine_line_rank(struct engine_line *line, uint32_t rank) {
    line->engine->is_stale |= line->rank != rank;
    line->rank = rank;
}

bool engine_line_is_open(const struct engine_line *line) {
    const struct engine_line_settings *settings = &line->settings;
    return !line->is_held && !line->is_full && line->space_needed == 0 &&
           (settings->jobs == 0 || line->n_running < (size_t)settings->jobs);
}

bool engine_line_may_start(const struct engine_line *line) { return engine_line_is_open(line); }

uint64_t engine_line_budget(const struct engine_line *line) {
    const uint64_t all = line->engine->settings.limits.memory_bytes;
    const uint64_t own = line->settings.memory_bytes;
    return own > 0 && own < all ? own : all;
}

void engine_line_look_for_space(struct engine *engine) {
    for (struct engine_line *line = engine->lines; line; line = line->next) {
        struct statvfs system;
        struct failure failure;
        CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
        if (line->space_needed == 0 ||
            as_user_enter(line->settings.credentials, &as_user, &failure) < 0 ||
            statvfs(line->settings.out, &system) < 0 ||
            (uint64_t)system.f_bavail * system.f_frsize < line->space_needed)
            continue;
        line->space_needed = 0;
        engine->is_stale = true;
        engine_tell_end_notice(engine, "there is room on the disk again: the batch continues");
    }
}

/* ---- tasks ---- */

int engine_add(struct engine_line *line, const struct task *task,
               const struct preflight_task *planned, int attempts, void *task_context) {
    struct engine *engine = line->engine;
    struct engine_slot *slot = calloc(1, sizeof(*slot));
    engine->n_slots++;
    if (!slot || engine_queue_grow(engine) < 0) {
        engine->n_slots--;
        free(slot);
        return -ENOMEM;
    }
    *slot = (struct engine_slot){
        .line = line,
        .previous = line->last,
        .task = task,
        .planned = planned,
        .context = task_context,
        .order = engine->n_added++,
        .attempts = attempts,
    };
    if (engine_variants_join(slot) < 0) {
        engine->n_slots--;
        free(slot);
        return -ENOMEM;
    }
    if (line->last)
        line->last->next = slot;
    else
        line->first = slot;
    line->last = slot;
    line->n_waiting++;
    engine->is_stale = true;
    if (task->broken)
        engine_task_step(slot, TASK_EVENT_REFUSE);
    return 0;
}

void engine_line_return(struct engine_slot *slot, bool is_finished) {
    struct engine_line *line = slot->line;
    const struct engine_handlers *handlers = &line->engine->handlers;
    struct engine_result none = {0}, *result = slot->result ? slot->result : &none;
    result->finished = is_finished;
    result->cancelled = slot->is_cancelled;
    result->attempts = slot->attempts;
    if (slot->previous)
        slot->previous->next = slot->next;
    else
        line->first = slot->next;
    if (slot->next)
        slot->next->previous = slot->previous;
    else
        line->last = slot->previous;
    line->engine->n_slots--;
    engine_variants_leave(slot, is_finished || slot->is_cancelled);
    handlers->result(handlers->context, line, slot->context, result);
    free(result->reason);
    json_decref(result->evidence);
    free(slot->result);
    free(slot->words);
    free(slot->refusal);
    free(slot);
}

static void step_line(struct engine_line *line, enum task_event event) {
    for (struct engine_slot *slot = line->first, *next = NULL; slot; slot = next) {
        next = slot->next; /* a task that waits is gone afterwards, and no other */
        engine_task_step(slot, event);
    }
}

void engine_line_step_all(struct engine *engine, enum task_event event) {
    engine->n_waiting = 0;
    for (struct engine_line *line = engine->lines; line; line = line->next)
        step_line(line, event);
}

void engine_line_return_all(struct engine *engine) {
    for (struct engine_line *line = engine->lines; line; line = line->next)
        while (line->first)
            engine_line_return(line->first, false);
}

static void cancel(struct engine_slot *slot, const char *who) {
    struct engine *engine = engine_of(slot);
    if (engine->level == 0)
        (void)snprintf(engine->who, sizeof(engine->who), "%s", who);
    engine->is_stale = true;
    slot->is_cancelled = true;
    engine_task_step(slot, TASK_EVENT_CANCEL);
}

bool engine_cancel(struct engine_line *line, const char *id, const char *who) {
    for (struct engine_slot *slot = line->first; slot; slot = slot->next)
        if (strcmp(slot->task->id, id) == 0) {
            cancel(slot, who);
            return true;
        }
    return false;
}

void engine_line_cancel(struct engine_line *line, const char *who) {
    for (struct engine_slot *slot = line->first, *next = NULL; slot; slot = next) {
        next = slot->next;
        cancel(slot, who);
    }
}
