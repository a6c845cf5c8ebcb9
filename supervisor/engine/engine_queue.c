/* Who waits, in which order, and how much memory there is for them. The model is asked again when
 * it has learned something that matters; until then nothing is sorted anew, so ten thousand tasks
 * cost what a thousand do, tenfold. The machine is looked at while others use it too: what they
 * take is not there for us, and what our own tasks hold does not count against us twice. */
#include "supervisor/engine/engine_state.h"

#include "common/units.h"
#include "supervisor/engine/packing.h"

#include <errno.h>
#include <string.h>

enum {
    BUDGET_AGE_MS = 500,
    SPARE_SHARE = 32,      /* of what was available at the start: left to the machine */
    LEAST_LEFT_SHARE = 10, /* of its time is left to a task that takes longer than forecast */
    SURE_ATTEMPTS = 8,     /* before a forecast alone refuses a task */
};

/* ---- forecasts ---- */

/* The margin may reach above the budget, what is forecast must not. The interval may once there is
 * a history; before that, such a task waits until more is known. */
static bool may_be_cut(const struct forecast *forecast, uint64_t budget) {
    const uint64_t bound = forecast->counted_bytes - forecast->margin_bytes;
    const bool is_sure =
        forecast->basis != FORECAST_HISTORY || forecast->n_attempts >= SURE_ATTEMPTS;
    return forecast->basis != FORECAST_ONE_SIZE && forecast->predicted_bytes <= budget &&
           (is_sure || bound <= budget);
}

static void forecast_slot(struct engine_slot *slot) {
    const struct engine_line_settings *settings = &slot->line->settings;
    const uint64_t budget = engine_line_budget(slot->line);
    const struct preflight_task *planned = slot->planned;
    if (planned->error) { /* it fails at once, and needs next to nothing */
        slot->forecast = (struct forecast){.basis = FORECAST_HEADERS};
        slot->reserved_bytes = 0;
        return;
    }
    struct forecast_task need = planned->need;
    if (need.floor_bytes < slot->floor_bytes)
        need.floor_bytes = slot->floor_bytes;
    slot->forecast = forecast_make(&need, engine_of(slot)->settings.model, settings->threads,
                                   settings->cap_bytes);
    slot->reserved_bytes = slot->forecast.reserved_bytes;
    if (slot->forecast.basis == FORECAST_UNKNOWN)
        slot->reserved_bytes = budget;
    if (slot->reserved_bytes > budget && may_be_cut(&slot->forecast, budget))
        slot->reserved_bytes = budget;
    if (slot->is_alone && slot->reserved_bytes < budget)
        slot->reserved_bytes = budget;
}

/* Where the reservation was cut to the budget or raised to what is seen, it counts as it is. */
static bool is_cut(const struct engine_slot *slot) {
    return slot->reserved_bytes != slot->forecast.reserved_bytes;
}

static uint64_t counted_of(const struct engine_slot *slot) {
    return is_cut(slot) ? slot->reserved_bytes : slot->forecast.counted_bytes;
}

static uint64_t margin_of(const struct engine_slot *slot) {
    return is_cut(slot) ? 0 : slot->forecast.margin_bytes;
}

/* line NULL: all that run. */
static struct admission_load load_of(const struct engine *engine, const struct engine_line *line) {
    struct admission_load load = {0};
    for (size_t i = 0; i < engine->n_running; i++)
        if (!line || engine->running[i]->line == line)
            admission_load_add(&load, counted_of(engine->running[i]),
                               margin_of(engine->running[i]));
    return load;
}

uint64_t engine_queue_reserved(const struct engine *engine) {
    const struct admission_load load = load_of(engine, NULL);
    return admission_load_bytes(&load);
}

static struct admission_candidate candidate_of(struct engine_slot *slot) {
    static const enum admission_stage stages[FORECAST_BASIS_COUNT] = {
        [FORECAST_UNKNOWN] = ADMISSION_UNKNOWN, [FORECAST_ONE_SIZE] = ADMISSION_LEARNING,
        [FORECAST_HISTORY] = ADMISSION_KNOWN,   [FORECAST_HEADERS] = ADMISSION_KNOWN,
        [FORECAST_DECLARED] = ADMISSION_KNOWN,
    };
    const struct forecast_task *need = &slot->planned->need;
    return (struct admission_candidate){
        .task = slot->order,
        .owner = slot,
        .rank = slot->line->rank,
        .memory_bytes = counted_of(slot),
        .margin_bytes = margin_of(slot),
        .time_ms = slot->forecast.time_ms,
        .tries = slot->tries,
        .is_beside = engine_variants_are_busy(slot),
        .stage = stages[slot->forecast.basis],
        .kind = need->kind,
        .size = need->size,
    };
}

static struct admission_candidate *line(const struct engine *engine) {
    return engine->waiting + engine->first_waiting;
}

/* Learned on the way: it would need more than there is for the whole batch, margins aside. */
static bool is_hopeless(const struct engine_slot *slot) {
    return slot->forecast.basis == FORECAST_HISTORY && !slot->line->settings.is_forced &&
           slot->forecast.n_attempts >= SURE_ATTEMPTS && !slot->forecast.is_guess &&
           slot->forecast.predicted_bytes > engine_line_budget(slot->line);
}

static void refuse(struct engine_slot *slot) {
    char need[UNITS_TEXT_BYTES], budget[UNITS_TEXT_BYTES];
    const uint64_t bytes = engine_line_budget(slot->line);
    if (asprintf(
            &slot->refusal,
            "it can never fit: by %zu attempts of its kind it needs %s, and all tasks together "
            "may use %s; raise --memory, or use a machine with more",
            slot->forecast.n_attempts, units_format_size(slot->forecast.predicted_bytes, need),
            units_format_size(bytes, budget)) < 0)
        slot->refusal = NULL; /* tried after all, alone */
    else
        engine_task_step(slot, TASK_EVENT_REFUSE);
}

/* ---- the line ---- */

/* Anew, from all lines that are not held. */
static void fill(struct engine *engine) {
    engine->first_waiting = 0;
    engine->n_waiting = 0;
    engine->is_stale = false;
    for (struct engine_line *of = engine->lines; of; of = of->next) {
        for (struct engine_slot *slot = of->first; slot && engine_line_is_open(of);
             slot = slot->next) {
            if (slot->state != TASK_STATE_WAITING)
                continue;
            forecast_slot(slot);
            if (is_hopeless(slot))
                refuse(slot);
            if (slot->state == TASK_STATE_WAITING)
                engine->waiting[engine->n_waiting++] = candidate_of(slot);
        }
    }
    admission_sort(engine->waiting, engine->n_waiting);
}

int engine_queue_grow(struct engine *engine) {
    if (engine->n_slots <= engine->capacity)
        return 0;
    const size_t capacity = engine->n_slots + engine->n_slots / 2 + 16;
    struct admission_candidate *waiting =
        realloc(engine->waiting, capacity * sizeof(struct admission_candidate));
    if (!waiting)
        return -ENOMEM;
    engine->waiting = waiting;
    engine->capacity = capacity;
    return 0;
}

void engine_queue_add(struct engine_slot *slot) {
    struct engine *engine = engine_of(slot);
    forecast_slot(slot);
    if (engine->is_stale || !engine_line_is_open(slot->line)) {
        engine->is_stale = true; /* it will be found */
        return;
    }
    const struct admission_candidate one = candidate_of(slot);
    const size_t at = admission_place(line(engine), engine->n_waiting, &one);
    /* never more than all tasks wait, so there is room at one end */
    memmove(engine->waiting, line(engine), engine->n_waiting * sizeof(one));
    engine->first_waiting = 0;
    memmove(engine->waiting + at + 1, engine->waiting + at, (engine->n_waiting - at) * sizeof(one));
    engine->waiting[at] = one;
    engine->n_waiting++;
}

/* Closes the gap from the shorter side. */
static void take_out(struct engine *engine, size_t at) {
    struct admission_candidate *candidates = line(engine);
    engine->n_waiting--;
    if (at > engine->n_waiting / 2) {
        memmove(candidates + at, candidates + at + 1,
                (engine->n_waiting - at) * sizeof(*candidates));
        return;
    }
    memmove(candidates + 1, candidates, at * sizeof(*candidates));
    engine->first_waiting++;
}

/* ---- what there is ---- */

static void read_budget(struct engine *engine) {
    const struct engine_limits *limits = &engine->settings.limits;
    const int64_t now_ms = clock_monotonic_ms();
    struct machine machine;
    struct failure failure;
    uint64_t own = 0;
    /* when nothing of ours runs, what is there may all have gone to others: it is looked at anew */
    const bool is_fresh = engine->n_running > 0 && now_ms - engine->budget_read_ms < BUDGET_AGE_MS;
    if (limits->is_forced || is_fresh)
        return;
    engine->budget_read_ms = now_ms;
    if (machine_read(MACHINE_PROC_ROOT, MACHINE_CGROUP_ROOT, &machine, &failure) < 0)
        return; /* it could be read in the pre-flight: what was then, counts */
    for (size_t i = 0; i < engine->n_running; i++) {
        struct attempt_view look;
        attempt_look(engine->running[i]->attempt, &look);
        own += look.memory_bytes;
    }
    const uint64_t share = limits->available_bytes / SPARE_SHARE;
    const uint64_t spare = share > engine->marks.hold_bytes ? share : engine->marks.hold_bytes;
    engine->available_bytes = machine.available_bytes;
    const uint64_t there = machine.available_bytes + own;
    const uint64_t now = there > spare ? there - spare : 0;
    engine->budget_bytes = now < limits->memory_bytes ? now : limits->memory_bytes;
}

/* Nothing of ours runs, and yet there is no room: others have it. Waiting is all that helps. */
static bool is_short(struct engine *engine, const struct engine_slot *slot) {
    static const char back[] = "there is memory again: the batch continues";
    char need[UNITS_TEXT_BYTES], left[UNITS_TEXT_BYTES], text[FAILURE_TEXT_BYTES];
    const bool is_taken = engine->n_running == 0 &&
                          engine->budget_bytes < engine->settings.limits.memory_bytes &&
                          slot->reserved_bytes > engine->budget_bytes &&
                          slot->forecast.predicted_bytes > engine->available_bytes;
    if (is_taken != engine->memory_short && !is_taken)
        engine_tell_end_notice(engine, back);
    engine->memory_short = is_taken;
    if (!is_taken)
        return false;
    (void)snprintf(text, sizeof(text),
                   "other programs have the memory: %s needs %s, %s are there; nothing new is "
                   "started until it fits",
                   slot->task->id, units_format_size(slot->reserved_bytes, need),
                   units_format_size(engine->available_bytes, left));
    if (!engine->notice[0])
        engine_tell_notice(engine, text);
    return true;
}

/* Its batch may use only so much, and has started what fits into that. */
static bool is_over_share(struct engine_slot *slot) {
    struct engine_line *of = slot->line;
    struct admission_load load = load_of(of->engine, of);
    if (of->settings.memory_bytes == 0 || of->n_running == 0)
        return false;
    admission_load_add(&load, counted_of(slot), margin_of(slot));
    return admission_load_bytes(&load) > of->settings.memory_bytes;
}

static struct admission_room room_of(const struct engine *engine) {
    return (struct admission_room){
        .jobs = engine->settings.limits.jobs,
        .running = (int)engine->n_running,
        .budget_bytes = engine->budget_bytes > 0 ? engine->budget_bytes : 1,
        .load = load_of(engine, NULL),
        .passed_over = engine->passed_over,
        .overtaken = engine->overtaken,
    };
}

enum admission_wait engine_queue_why(struct engine_slot *slot) {
    const struct admission_room room = room_of(engine_of(slot));
    const struct admission_candidate candidate = candidate_of(slot);
    return admission_why(&candidate, &room);
}

/* The start that ends the batch soonest, of those that are forecast; -1: it cannot be told. */
static ptrdiff_t pack(const struct engine *engine, size_t n_known,
                      const struct admission_room *room) {
    struct packing_running running[PACKING_MOST_JOBS];
    if (room->jobs > PACKING_MOST_JOBS)
        return -1;
    for (size_t i = 0; i < engine->n_running; i++) {
        const struct engine_slot *slot = engine->running[i];
        struct attempt_view look;
        attempt_look(slot->attempt, &look);
        const int64_t left_ms = slot->forecast.time_ms - look.elapsed_ms;
        const int64_t least_ms = slot->forecast.time_ms / LEAST_LEFT_SHARE;
        running[i] = (struct packing_running){
            .memory_bytes = counted_of(slot),
            .margin_bytes = margin_of(slot),
            .left_ms = left_ms > least_ms ? left_ms : least_ms,
        };
    }
    return packing_pick(line(engine), n_known, running, room);
}

static ptrdiff_t pick(const struct engine *engine) {
    const struct admission_room room = room_of(engine);
    const ptrdiff_t at = admission_pick(line(engine), engine->n_waiting, &room);
    const size_t n_known = admission_known(line(engine), engine->n_waiting);
    if (at < 0 || (size_t)at >= n_known || admission_is_overdue(&room))
        return at;
    const ptrdiff_t better = pack(engine, n_known, &room);
    return better < 0 ? at : better;
}

/* Who was passed over by it. */
static void count_turns(struct engine *engine, size_t at, uint32_t first_rank, uint32_t rank) {
    engine->passed_over = at == 0 ? 0 : engine->passed_over + 1;
    engine->overtaken = rank == first_rank ? 0 : engine->overtaken + 1;
}

struct engine_slot *engine_queue_take(struct engine *engine) {
    for (;;) {
        if (engine->is_stale)
            fill(engine);
        if (engine->n_waiting == 0)
            return NULL;
        read_budget(engine);
        const ptrdiff_t at = pick(engine);
        if (at < 0)
            return NULL;
        struct engine_slot *slot = line(engine)[at].owner;
        forecast_slot(slot); /* what was no news for the line may be all the same for this one */
        if (is_short(engine, slot))
            return NULL;
        if (is_over_share(slot)) {
            slot->line->is_full = engine->is_stale = true;
            continue;
        }
        const uint32_t first_rank = line(engine)[0].rank;
        take_out(engine, (size_t)at);
        if (is_hopeless(slot))
            refuse(slot);
        if (slot->state != TASK_STATE_WAITING)
            continue;
        count_turns(engine, (size_t)at, first_rank, slot->line->rank);
        return slot;
    }
}

/* ---- learning ---- */

/* What runs is forecast anew too: a bound that was far too large makes room as soon as it is known
 * to be. It never falls below what the task is seen to hold. */
static void forecast_running(struct engine *engine) {
    for (size_t i = 0; i < engine->n_running; i++) {
        struct engine_slot *slot = engine->running[i];
        struct attempt_view look;
        attempt_look(slot->attempt, &look);
        forecast_slot(slot);
        if (slot->reserved_bytes < look.memory_bytes)
            slot->reserved_bytes = look.memory_bytes;
    }
}

void engine_queue_learn(struct engine_slot *slot, const struct attempt_result *result) {
    struct engine *engine = engine_of(slot);
    struct model *model = engine->settings.model;
    const enum verdict verdict = result->judgement.verdict;
    const struct forecast_task *need = &slot->planned->need;
    char now[CLOCK_TEXT_BYTES];
    if (slot->planned->error)
        return;
    const struct model_observation seen = {
        .kind = need->kind,
        .size = need->size,
        .peak_bytes = result->peak_rss_bytes,
        .predicted_bytes = slot->forecast.predicted_bytes,
        .prior_bytes = slot->forecast.prior_bytes,
        .wall_ms = result->wall_ms,
        .prior_ms = slot->forecast.prior_ms,
        .is_whole = (verdict == VERDICT_OK || verdict == VERDICT_DOUBTFUL) && !result->is_shared,
        .is_first = slot->attempts == 1,
        .time = clock_rfc3339(now),
    };
    if (model_observe(model, &seen) < 0 || !model_refresh(model) || engine->level > 0)
        return; /* out of memory: what was known still holds */
    forecast_running(engine);
    fill(engine);
}
