/* What the owner may ask: what runs, how much of all is done, and why a task waits. */
#include "supervisor/engine/engine_state.h"

#include "common/units.h"

#include <string.h>

size_t engine_look(const struct engine *engine, struct engine_view *ret, size_t most) {
    for (size_t i = 0; i < engine->n_running && i < most; i++) {
        const struct engine_slot *slot = engine->running[i];
        struct attempt_view look;
        attempt_look(slot->attempt, &look);
        const bool is_silent = slot->task->kind == TASK_COMMAND && !look.stage[0];
        ret[i] = (struct engine_view){
            .line = slot->line,
            .task = slot->task,
            .context = slot->context,
            .stage = is_silent ? "running" : look.stage, /* a command need not tell of stages */
            .fraction = look.fraction,
            .memory_bytes = look.memory_bytes,
            .reserved_bytes = slot->reserved_bytes,
            .elapsed_ms = look.elapsed_ms,
            .attempt = attempt_number(slot->attempt),
            .is_stopping = slot->state != TASK_STATE_RUNNING,
        };
    }
    return engine->n_running;
}

void engine_look_add_work(const struct engine_slot *slot, struct engine_work *work) {
    if (slot->forecast.time_ms > 0) {
        work->known_ms += (double)slot->forecast.time_ms;
        work->n_known++;
    } else {
        work->n_unknown++;
    }
}

void engine_tell_totals(const struct engine *engine, struct engine_totals *ret) {
    const struct engine_work *done = &engine->work_done;
    struct engine_work all = *done;
    for (const struct engine_line *line = engine->lines; line; line = line->next)
        for (const struct engine_slot *slot = line->first; slot; slot = slot->next)
            engine_look_add_work(slot, &all);
    const double usual = all.n_known > 0 ? all.known_ms / (double)all.n_known : 1;
    *ret = (struct engine_totals){
        .n_running = engine->n_running,
        .n_recording = engine->n_recording,
        .reserved_bytes = engine_queue_reserved(engine),
        .budget_bytes = engine->budget_bytes,
        .work = all.known_ms + usual * (double)all.n_unknown,
        .work_done = done->known_ms + usual * (double)done->n_unknown,
        .notice = engine->notice[0] ? engine->notice : NULL,
    };
    for (size_t i = 0; i < engine->n_running; i++) {
        const struct engine_slot *slot = engine->running[i];
        struct attempt_view look;
        attempt_look(slot->attempt, &look);
        if (look.fraction > 0)
            ret->work_done += look.fraction *
                              (slot->forecast.time_ms > 0 ? (double)slot->forecast.time_ms : usual);
    }
}

const struct engine_shortage *engine_tell_shortage(const struct engine *engine) {
    return &engine->shortage;
}

const char *engine_tell_groups(const struct engine *engine) { return engine->groups.level.text; }

char *engine_take_memory_words(struct engine *engine) { return STEAL_PTR(engine->memory_words); }

/* ---- why ---- */

/* What holds up the whole line; false: nothing does. */
static bool why_line(const struct engine_line *line, char text[ENGINE_WHY_BYTES]) {
    const struct engine *engine = line->engine;
    char bytes[UNITS_TEXT_BYTES];
    if (engine->level > 0)
        (void)snprintf(text, ENGINE_WHY_BYTES, "registrar is stopping; it goes on after the start");
    else if (engine->notice[0] && (engine->disk_full || engine->pressure.is_held ||
                                   engine->memory_short || line->space_needed > 0))
        (void)snprintf(text, ENGINE_WHY_BYTES, "%s", engine->notice);
    else if (line->is_held)
        (void)snprintf(text, ENGINE_WHY_BYTES, "its batch is held");
    else if (line->space_needed > 0)
        (void)snprintf(text, ENGINE_WHY_BYTES, "%s has no room: it waits for %s",
                       line->settings.out, units_format_size(line->space_needed, bytes));
    else if (line->is_full)
        (void)snprintf(text, ENGINE_WHY_BYTES, "its batch uses the %s that it may use",
                       units_format_size(line->settings.memory_bytes, bytes));
    else if (!engine_line_is_open(line))
        (void)snprintf(text, ENGINE_WHY_BYTES, "its batch runs the %d at once that it may run",
                       line->settings.jobs);
    else
        return false;
    return true;
}

static void why_slot(struct engine_slot *slot, char text[ENGINE_WHY_BYTES]) {
    const struct engine *engine = engine_of(slot);
    const uint64_t reserved = engine_queue_reserved(engine);
    const uint64_t budget = engine->budget_bytes;
    char need[UNITS_TEXT_BYTES], left[UNITS_TEXT_BYTES], all[UNITS_TEXT_BYTES];
    switch (engine_queue_why(slot)) {
    case ADMISSION_WAITS_FOR_JOB:
        (void)snprintf(text, ENGINE_WHY_BYTES, "as many tasks run as may run at once (%d)",
                       engine->settings.limits.jobs);
        break;
    case ADMISSION_WAITS_FOR_MEMORY:
        (void)snprintf(text, ENGINE_WHY_BYTES, "it needs %s, and of %s only %s are free",
                       units_format_size(slot->reserved_bytes, need),
                       units_format_size(budget, all),
                       units_format_size(budget > reserved ? budget - reserved : 0, left));
        break;
    case ADMISSION_WAITS_TO_BE_ALONE:
        (void)snprintf(text, ENGINE_WHY_BYTES,
                       "of its kind nothing is known: it starts when nothing else runs");
        break;
    case ADMISSION_WAITS_FOR_LARGE:
        (void)snprintf(text, ENGINE_WHY_BYTES, "a task that needs all of the memory runs");
        break;
    default:
        (void)snprintf(text, ENGINE_WHY_BYTES, "others come first");
        break;
    }
}

bool engine_why(const struct engine_line *line, const char *id, char text[ENGINE_WHY_BYTES]) {
    for (struct engine_slot *slot = line->first; slot; slot = slot->next) {
        if (slot->state != TASK_STATE_WAITING || strcmp(slot->task->id, id) != 0)
            continue;
        if (!why_line(line, text))
            why_slot(slot, text);
        return true;
    }
    return false;
}
