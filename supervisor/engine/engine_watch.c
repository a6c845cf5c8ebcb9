/* When memory runs short while tasks run: nothing new is admitted, then the youngest gives way, and
 * all goes on when there is room. What is done is decided by memory/pressure.h; who has the memory
 * is told, for the user can do most about it.
 */
#include "supervisor/engine/engine_state.h"

#include "common/units.h"
#include "supervisor/engine/record.h"
#include "supervisor/memory/consumers.h"
#include "supervisor/memory/machine.h"

#include <errno.h>

static void say_shortage(struct engine *engine, const struct watch_look *look) {
    char left[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES];
    (void)snprintf(engine->shortage_words, sizeof(engine->shortage_words), "%s left of %s",
                   units_format_size(look->available_bytes, left),
                   units_format_size(look->total_bytes, total));
}

/* Who else has memory; "" when that cannot be told. */
static void find_consumers(struct engine *engine, const char *group) {
    pid_t *ours = calloc(engine->n_running + 1, sizeof(*ours));
    struct engine_shortage *told = &engine->shortage;
    for (size_t i = 0; ours && i < engine->n_running; i++)
        ours[i] = attempt_pid(engine->running[i]->attempt);
    if (ours)
        consumers_describe(MACHINE_PROC_ROOT, group, ours, engine->n_running, told->others);
    free(ours);
}

static void hold(struct engine *engine, const char *group) {
    struct engine_shortage *told = &engine->shortage;
    char text[FAILURE_TEXT_BYTES];
    find_consumers(engine, group);
    told->n_holds++;
    (void)snprintf(text, sizeof(text), "memory runs short, %s: nothing new is started%s%s",
                   engine->shortage_words, told->others[0] ? "; others have: " : "", told->others);
    engine_tell_notice(engine, text);
    engine_append(engine, "note", record_note(text), NULL, NULL);
}

static void stop(struct engine *engine, struct engine_slot *slot) {
    const bool is_pair = slot->task->kind == TASK_ALIGN;
    char text[FAILURE_TEXT_BYTES];
    engine->shortage.n_stops++;
    (void)snprintf(text, sizeof(text), "memory runs short, %s: %s %s", engine->shortage_words,
                   slot->task->id,
                   is_pair ? "stops at its checkpoint and continues when there is room"
                           : "is stopped and starts anew when there is room");
    engine_tell_notice(engine, text);
    engine_task_step(slot, TASK_EVENT_PRESSURE);
}

static void act(struct engine *engine, const struct pressure_step *step, const char *group) {
    engine->pressure = step->next;
    switch (step->action) {
    case PRESSURE_HOLD:
        hold(engine, group);
        break;
    case PRESSURE_STOP:
        stop(engine, engine->running[step->task]);
        break;
    case PRESSURE_RESUME:
        engine_tell_end_notice(engine, "there is memory again: the batch continues");
        engine_go_on(engine);
        break;
    default:
        break;
    }
}

static void fill_tasks(const struct engine *engine) {
    for (size_t i = 0; i < engine->n_running; i++) {
        const struct engine_slot *slot = engine->running[i];
        struct attempt_view look;
        attempt_look(slot->attempt, &look);
        engine->pressed[i] = (struct pressure_task){
            .age_ms = look.elapsed_ms,
            .keeps_progress = slot->task->kind == TASK_ALIGN,
            .is_stopping = slot->state != TASK_STATE_RUNNING,
            .stops = slot->stops,
        };
    }
}

static void on_look(void *context) {
    struct engine *engine = context;
    struct pressure_step step;
    struct watch_look look;
    do {
        /* while nothing of ours runs, what is little is no hurry */
        const uint64_t little_bytes = engine->n_running > 0 ? engine->marks.hold_bytes : 0;
        if (engine->closed || engine->level > 0 || !watch_look(engine->watch, little_bytes, &look))
            return;
        struct engine_shortage *told = &engine->shortage;
        if (told->n_holds > 0 && look.available_bytes < told->least_bytes)
            told->least_bytes = look.available_bytes;
        say_shortage(engine, &look);
        fill_tasks(engine);
        const struct pressure_facts facts = {
            .now_ms = clock_monotonic_ms(),
            .available_bytes = look.available_bytes,
            .stall_ms = look.stall_ms,
            .tasks = engine->pressed,
            .n_tasks = engine->n_running,
        };
        step = pressure_decide(&engine->pressure, &engine->marks, &facts);
        act(engine, &step, look.group);
    } while (step.action == PRESSURE_HOLD); /* which may not be enough */
}

int engine_watch_open(struct engine *engine) {
    const struct watch_place place = watch_here(&engine->groups.level);
    engine->shortage.least_bytes = UINT64_MAX;
    return watch_open(engine->settings.loop, &place, on_look, engine, &engine->watch);
}

void engine_watch_update(struct engine *engine) {
    if (engine->n_running == 0 && engine->pressure.is_held && engine->settings.limits.is_forced) {
        engine->pressure.is_held = false;
        engine_tell_end_notice(engine, "the batch continues by --force, short of memory or not");
    }
    watch_want(engine->watch, engine->n_running > 0 || engine->pressure.is_held);
}

void engine_watch_close(struct engine *engine) {
    watch_close(engine->watch);
    engine->watch = NULL;
}
