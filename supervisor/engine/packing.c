/* See packing.h. The shaken orders come from a generator that begins anew at each call, so that the
 * same batch is packed the same way. */
#include "supervisor/engine/packing.h"

#include <stdbool.h>
#include <string.h>

enum {
    SHAKEN_ORDERS = 16,
};

enum order_rule { BY_MEMORY, BY_TIME, BY_BOTH, BY_TIME_MOST, ORDER_RULE_COUNT };

struct play {
    const struct admission_candidate *tasks[PACKING_MOST_TASKS]; /* in the order that is tried */
    double keys[PACKING_MOST_TASKS];
    bool is_started[PACKING_MOST_TASKS];
    size_t count, first_waiting;
    struct packing_running running[PACKING_MOST_JOBS]; /* left_ms: the time on the play's clock */
    size_t n_running, jobs;
    uint64_t budget_bytes; /* 0: no limit */
    struct admission_load load;
};

/* In [0.5, 2). */
static double shake(uint64_t *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return 0.5 + 1.5 * ((double)(*state >> 11) / 0x1p53);
}

static double key_of(const struct admission_candidate *task, int rule, uint64_t *random) {
    const double memory = (double)task->memory_bytes, time = (double)task->time_ms;
    switch (rule) {
    case BY_MEMORY:
        return memory;
    case BY_TIME:
        return time;
    case BY_BOTH:
        return memory * time;
    case BY_TIME_MOST:
        return memory * time * time;
    default:
        return memory * time * shake(random);
    }
}

/* Stable: ties stay as admission sorted them. */
static void sort(struct play *play) {
    for (size_t i = 1; i < play->count; i++) {
        const struct admission_candidate *task = play->tasks[i];
        const double key = play->keys[i];
        size_t at = i;
        for (; at > 0 && play->keys[at - 1] < key; at--) {
            play->tasks[at] = play->tasks[at - 1];
            play->keys[at] = play->keys[at - 1];
        }
        play->tasks[at] = task;
        play->keys[at] = key;
    }
}

static bool fits(const struct play *play, const struct admission_candidate *task) {
    struct admission_load load = play->load;
    admission_load_add(&load, task->memory_bytes, task->margin_bytes);
    return play->budget_bytes == 0 || play->n_running == 0 ||
           admission_load_bytes(&load) <= play->budget_bytes;
}

/* The first that is started; NULL: none is. */
static const struct admission_candidate *start_all(struct play *play, int64_t now_ms) {
    const struct admission_candidate *first = NULL;
    while (play->first_waiting < play->count && play->is_started[play->first_waiting])
        play->first_waiting++;
    for (size_t i = play->first_waiting; i < play->count && play->n_running < play->jobs; i++) {
        const struct admission_candidate *task = play->tasks[i];
        if (play->is_started[i] || !fits(play, task))
            continue;
        play->is_started[i] = true;
        play->running[play->n_running++] = (struct packing_running){
            task->memory_bytes, task->margin_bytes, now_ms + task->time_ms};
        admission_load_add(&play->load, task->memory_bytes, task->margin_bytes);
        first = first ? first : task;
    }
    return first;
}

/* The one that ends next is gone. The time is then. */
static int64_t end_next(struct play *play) {
    size_t next = 0;
    for (size_t i = 1; i < play->n_running; i++)
        if (play->running[i].left_ms < play->running[next].left_ms)
            next = i;
    const int64_t now_ms = play->running[next].left_ms;
    play->running[next] = play->running[--play->n_running];
    play->load = (struct admission_load){0};
    for (size_t i = 0; i < play->n_running; i++)
        admission_load_add(&play->load, play->running[i].memory_bytes,
                           play->running[i].margin_bytes);
    return now_ms;
}

/* Returns when all have ended. */
static int64_t play_on(struct play *play, const struct admission_candidate **ret_first) {
    int64_t now_ms = 0;
    *ret_first = start_all(play, now_ms);
    while (play->n_running > 0) {
        now_ms = end_next(play);
        (void)start_all(play, now_ms); /* only the very first is of interest */
    }
    return now_ms;
}

static void begin(struct play *play, const struct admission_candidate *candidates, size_t count,
                  const struct packing_running *running, const struct admission_room *room) {
    *play = (struct play){
        .count = count < PACKING_MOST_TASKS ? count : PACKING_MOST_TASKS,
        .n_running = (size_t)room->running,
        .jobs = (size_t)room->jobs,
        .budget_bytes = room->budget_bytes,
        .load = room->load,
    };
    for (size_t i = 0; i < play->count; i++)
        play->tasks[i] = &candidates[i * count / play->count];
    if (room->running > 0)
        memcpy(play->running, running, (size_t)room->running * sizeof(*running));
}

static bool has_times(const struct play *play) {
    for (size_t i = 0; i < play->count; i++)
        if (play->tasks[i]->time_ms <= 0)
            return false;
    return true;
}

/* Of many tasks that all fit, any order is as good until few are left. */
static bool is_worth_it(const struct admission_candidate *candidates, size_t count,
                        const struct admission_room *room) {
    struct admission_load load = room->load;
    if (count <= PACKING_MOST_TASKS)
        return true;
    for (int i = 0; i < room->jobs - room->running && (size_t)i < count; i++)
        admission_load_add(&load, candidates[i].memory_bytes, candidates[i].margin_bytes);
    return room->budget_bytes > 0 && admission_load_bytes(&load) > room->budget_bytes;
}

/* How many come first that do not fit into the empty budget either: they are last, for more is
 * known of them by then. */
static size_t count_too_large(const struct admission_candidate *candidates, size_t count,
                              const struct admission_room *room) {
    size_t n = 0;
    while (n < count && room->budget_bytes > 0 && candidates[n].memory_bytes > room->budget_bytes)
        n++;
    return n;
}

ptrdiff_t packing_pick(const struct admission_candidate *all, size_t n_all,
                       const struct packing_running *running, const struct admission_room *room) {
    const size_t n_too_large = count_too_large(all, n_all, room);
    const struct admission_candidate *candidates = all + n_too_large, *best = NULL;
    const size_t count = n_all - n_too_large;
    int64_t best_ms = INT64_MAX;
    uint64_t random = 1;
    if (room->running >= room->jobs || room->jobs > PACKING_MOST_JOBS ||
        !is_worth_it(candidates, count, room))
        return -1;
    for (int rule = 0; rule < ORDER_RULE_COUNT + SHAKEN_ORDERS; rule++) {
        const struct admission_candidate *first;
        struct play play;
        begin(&play, candidates, count, running, room);
        if (!has_times(&play))
            return -1;
        for (size_t i = 0; i < play.count; i++)
            play.keys[i] = key_of(play.tasks[i], rule, &random);
        sort(&play);
        const int64_t end_ms = play_on(&play, &first);
        if (first && end_ms < best_ms) {
            best = first;
            best_ms = end_ms;
        }
    }
    return best ? best - all : -1;
}
