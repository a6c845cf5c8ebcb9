/* See pressure.h. The marks lie below what the budget leaves to the machine, so that tasks that
 * keep to their reservations never meet them.
 */
#include "supervisor/memory/pressure.h"

enum {
    HOLD_SHARE = 32, /* of what was available at the start: as much as the budget leaves */
    LEAST_HOLD_BYTES = 32 << 20, /* in less, nothing can be done in time */
    LEAST_HOLD_SHARE = 8,        /* but a small group needs its memory */
};
static const uint64_t most_hold_bytes = (uint64_t)2 << 30;

struct pressure_marks pressure_marks(uint64_t available_bytes) {
    uint64_t least = available_bytes / LEAST_HOLD_SHARE;
    uint64_t hold = available_bytes / HOLD_SHARE;
    least = least > LEAST_HOLD_BYTES ? (uint64_t)LEAST_HOLD_BYTES : least;
    hold = hold < least ? least : hold;
    hold = hold > most_hold_bytes ? most_hold_bytes : hold;
    return (struct pressure_marks){
        .hold_bytes = hold,
        .stop_bytes = hold / 2,
        .critical_bytes = hold / 4,
    };
}

static bool is_stalled(const struct pressure_facts *facts) {
    return facts->stall_ms > 0 && facts->now_ms - facts->stall_ms < PRESSURE_STALL_MS;
}

static bool is_short(const struct pressure_marks *marks, const struct pressure_facts *facts) {
    return facts->available_bytes < marks->hold_bytes ||
           (is_stalled(facts) && facts->available_bytes / 4 < marks->hold_bytes);
}

/* To hold was not enough. */
static bool must_stop(const struct pressure_state *state, const struct pressure_marks *marks,
                      const struct pressure_facts *facts) {
    const bool has_waited = facts->now_ms - state->held_ms >= PRESSURE_PAUSE_MS;
    return facts->available_bytes < marks->stop_bytes ||
           (has_waited && is_stalled(facts) && facts->available_bytes / 2 < marks->hold_bytes);
}

/* The one to stop; n_tasks: none. */
static size_t choose(const struct pressure_state *state, const struct pressure_facts *facts,
                     bool is_critical) {
    size_t best = facts->n_tasks, n_free = 0;
    const bool is_early = state->stop_ms > 0 && facts->now_ms - state->stop_ms < PRESSURE_PAUSE_MS;
    for (size_t i = 0; i < facts->n_tasks; i++) {
        const struct pressure_task *task = &facts->tasks[i];
        if (task->is_stopping && !is_critical)
            return facts->n_tasks; /* what it holds is on its way */
        if (task->is_stopping)
            continue;
        n_free++;
        if (!task->keeps_progress && !is_critical)
            continue;
        if (best == facts->n_tasks || task->keeps_progress > facts->tasks[best].keeps_progress ||
            (task->keeps_progress == facts->tasks[best].keeps_progress &&
             task->age_ms <= facts->tasks[best].age_ms))
            best = i;
    }
    if (is_early || best == facts->n_tasks)
        return facts->n_tasks;
    const bool is_last = n_free == 1;
    if (is_last && (!is_critical || facts->tasks[best].stops >= PRESSURE_MOST_STOPS))
        return facts->n_tasks;
    return best;
}

/* While held, and not short now. */
static bool is_over(const struct pressure_state *state, const struct pressure_marks *marks,
                    const struct pressure_facts *facts) {
    const int64_t calm_ms = facts->now_ms - state->short_ms;
    if (facts->available_bytes / 2 >= marks->hold_bytes)
        return calm_ms >= PRESSURE_CALM_MS;
    return facts->n_tasks == 0 && calm_ms >= PRESSURE_EMPTY_MS;
}

struct pressure_step pressure_decide(const struct pressure_state *state,
                                     const struct pressure_marks *marks,
                                     const struct pressure_facts *facts) {
    struct pressure_step step = {.action = PRESSURE_GO_ON, .next = *state};
    if (!is_short(marks, facts)) {
        if (state->is_held && is_over(state, marks, facts)) {
            step.action = PRESSURE_RESUME;
            step.next.is_held = false;
        }
        return step;
    }
    step.next.short_ms = facts->now_ms;
    if (!state->is_held) {
        step.action = PRESSURE_HOLD;
        step.next.is_held = true;
        step.next.held_ms = facts->now_ms;
        return step;
    }
    if (!must_stop(state, marks, facts))
        return step;
    step.task = choose(state, facts, facts->available_bytes < marks->critical_bytes);
    if (step.task < facts->n_tasks) {
        step.action = PRESSURE_STOP;
        step.next.stop_ms = facts->now_ms;
    }
    return step;
}
