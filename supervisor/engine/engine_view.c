/* What is told of a running batch: the live view's snapshot, a line per event, a notice. A line of
 * an attempt is made when it is judged and told when its record is on disk. */
#include "supervisor/engine/engine_state.h"

#include "common/units.h"

#include <string.h>

/* Forecast time of this run's tasks; what has no forecast takes as long as the others usually. */
struct work {
    double usual, total, done;
};

static double weight_of(const struct engine_slot *slot, double usual) {
    return slot->forecast.time_ms > 0 ? (double)slot->forecast.time_ms : usual;
}

static struct work all_work(const struct engine *engine) {
    const struct engine_request *request = engine->request;
    struct work work = {.usual = 1};
    double known = 0;
    size_t n_known = 0;
    for (size_t i = 0; i < request->tasks->count; i++)
        if (!request->finished[i] && engine->slots[i].forecast.time_ms > 0) {
            known += (double)engine->slots[i].forecast.time_ms;
            n_known++;
        }
    if (n_known > 0)
        work.usual = known / (double)n_known;
    for (size_t i = 0; i < request->tasks->count; i++) {
        if (request->finished[i])
            continue;
        const double weight = weight_of(&engine->slots[i], work.usual);
        work.total += weight;
        if (engine->slots[i].state == TASK_STATE_FINISHED)
            work.done += weight;
    }
    return work;
}

void engine_view_snapshot(void *context, struct live_view_snapshot *ret) {
    struct engine *engine = context;
    struct work work = all_work(engine);
    for (size_t i = 0; i < engine->n_running; i++) {
        struct attempt_view look;
        const struct task *task = engine_state_task(engine->running[i]);
        attempt_look(engine->running[i]->attempt, &look);
        bool is_silent = task->kind == TASK_COMMAND && !look.stage[0];
        engine->view_tasks[i] = (struct live_view_task){
            .id = task->id,
            .stage = is_silent ? "running" : look.stage, /* a command need not tell of stages */
            .fraction = look.fraction,
            .memory_bytes = look.memory_bytes,
            .reserved_bytes = engine->running[i]->reserved_bytes,
            .elapsed_ms = look.elapsed_ms,
            .attempt = attempt_number(engine->running[i]->attempt),
        };
        if (look.fraction > 0)
            work.done += look.fraction * weight_of(engine->running[i], work.usual);
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
        .eta_ms = work.done > 0
                      ? (int64_t)((double)elapsed_ms * (work.total - work.done) / work.done)
                      : -1,
        .reserved_bytes = engine_queue_reserved(engine),
        .budget_bytes = engine->budget_bytes,
        .notice = engine->notice[0] ? engine->notice : NULL,
    };
}

void engine_view_prepare(struct engine_slot *slot, const struct attempt_result *result,
                         const char *more) {
    char wall[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES], used[2 * UNITS_TEXT_BYTES + 8] = "";
    const char *reason = result->judgement.reason;
    if (result->peak_rss_bytes > 0) /* something ran */
        (void)snprintf(used, sizeof(used), "  %s  %s", units_format_duration(result->wall_ms, wall),
                       units_format_size(result->peak_rss_bytes, peak));
    free(slot->line);
    if (asprintf(&slot->line, "%-9s %s%s%s%s%s", verdict_name(result->judgement.verdict),
                 engine_state_task(slot)->id, used, reason[0] ? "  " : "", reason, more) < 0)
        slot->line = NULL;
}

void engine_view_tell(struct engine_slot *slot) {
    if (slot->line)
        live_view_event(slot->engine->view, "%s", slot->line);
    free(slot->line);
    slot->line = NULL;
}

void engine_view_notify(struct engine *engine, const char *text) {
    if (strcmp(engine->notice, text) == 0)
        return;
    (void)snprintf(engine->notice, sizeof(engine->notice), "%s", text);
    live_view_event(engine->view, "%s", text);
}

void engine_view_end_notice(struct engine *engine, const char *text) {
    engine_view_notify(engine, text);
    engine->notice[0] = '\0';
}
