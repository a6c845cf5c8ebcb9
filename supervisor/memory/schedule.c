/* See schedule.h. Whoever ends next makes room for the largest that fits. Of very large batches
 * only the bounds are taken (all the work shared out; all the memory filled; the longest task):
 * with thousands of tasks they are reached within a per cent. */
#include "supervisor/memory/schedule.h"

#include <errno.h>
#include <stdbool.h>

enum { PLAYED_LIMIT = 2000 };

struct seat {
    int64_t end_ms;
    uint64_t memory_bytes;
};

static int prefer(const void *a, const void *b) {
    const struct schedule_task *left = a, *right = b;
    if (left->memory_bytes != right->memory_bytes)
        return left->memory_bytes > right->memory_bytes ? -1 : 1;
    return (left->time_ms < right->time_ms) - (left->time_ms > right->time_ms);
}

static int64_t bound(const struct schedule_task *tasks, size_t count, int jobs, uint64_t budget) {
    double work = 0, filled = 0, longest = 0;
    for (size_t i = 0; i < count; i++) {
        const double ms = (double)tasks[i].time_ms;
        work += ms / jobs;
        if (budget > 0)
            filled += ms * ((double)tasks[i].memory_bytes / (double)budget);
        longest = ms > longest ? ms : longest;
    }
    const double most = work > filled ? work : filled;
    return (int64_t)(most > longest ? most : longest);
}

/* So many of the smallest fit at once. */
static int most_at_once(const struct schedule_task *sorted, size_t count, int jobs,
                        uint64_t budget) {
    uint64_t used = 0;
    int n = 0;
    for (size_t i = count; i-- > 0 && n < jobs; n++) {
        const uint64_t memory = sorted[i].memory_bytes;
        if (n > 0 && budget > 0 && (used > budget || memory > budget - used))
            break;
        used += memory;
    }
    return n;
}

struct play {
    const struct schedule_task *tasks;
    size_t count, first; /* none before it waits */
    bool *is_started;
    struct seat *seats;
    size_t n_running;
    uint64_t used, budget;
    int64_t now_ms;
};

static bool start_one(struct play *play) {
    while (play->first < play->count && play->is_started[play->first])
        play->first++;
    for (size_t i = play->first; i < play->count; i++) {
        const uint64_t memory = play->tasks[i].memory_bytes;
        const bool fits = play->n_running == 0 || play->budget == 0 ||
                          (play->used <= play->budget && memory <= play->budget - play->used);
        if (play->is_started[i] || !fits)
            continue;
        play->is_started[i] = true;
        play->used += memory;
        play->seats[play->n_running++] =
            (struct seat){play->now_ms + play->tasks[i].time_ms, memory};
        return true;
    }
    return false;
}

/* And whatever ends at the same time. */
static void end_next(struct play *play) {
    int64_t next_ms = INT64_MAX;
    size_t left = 0;
    for (size_t i = 0; i < play->n_running; i++)
        next_ms = play->seats[i].end_ms < next_ms ? play->seats[i].end_ms : next_ms;
    for (size_t i = 0; i < play->n_running; i++) {
        if (play->seats[i].end_ms > next_ms)
            play->seats[left++] = play->seats[i];
        else
            play->used -= play->seats[i].memory_bytes;
    }
    play->n_running = left;
    play->now_ms = next_ms;
}

int schedule_play(struct schedule_task *tasks, size_t count, int jobs, uint64_t budget_bytes,
                  int64_t *ret_ms, int *ret_at_once) {
    const size_t n_seats = jobs > 0 ? (size_t)jobs : 1;
    if (count > 1)
        qsort(tasks, count, sizeof(*tasks), prefer);
    if (count > PLAYED_LIMIT) {
        *ret_ms = bound(tasks, count, (int)n_seats, budget_bytes);
        *ret_at_once = most_at_once(tasks, count, (int)n_seats, budget_bytes);
        return 0;
    }
    CLEANUP_FREE bool *is_started = calloc(count + 1, sizeof(*is_started));
    CLEANUP_FREE struct seat *seats = calloc(n_seats, sizeof(*seats));
    if (!is_started || !seats)
        return -ENOMEM;
    struct play play = {.tasks = tasks,
                        .count = count,
                        .is_started = is_started,
                        .seats = seats,
                        .budget = budget_bytes};
    size_t most = 0;
    do {
        while (play.n_running < n_seats && start_one(&play))
            most = play.n_running > most ? play.n_running : most;
        if (play.n_running > 0)
            end_next(&play);
    } while (play.n_running > 0 || play.first < count);
    *ret_ms = play.now_ms;
    *ret_at_once = (int)most;
    return 0;
}
