/* See admission.h. The sorted candidates are segments of one stage and number of tries, and in each
 * the reservations fall; so what fits is found by bisection, however many wait. */
#include "supervisor/engine/admission.h"

#include <stdbool.h>
#include <stdlib.h>

enum {
    PATIENCE = 2, /* times the jobs: how often the first in line may be passed over */
    /* Of an unknown kind, the task that a quarter of the others are smaller than runs first: what
     * it needs bounds those tightly and the larger ones well enough, and it is short where time
     * goes with size. tests/unit/test_careful_start.c has tried others. */
    FIRST_SHARE = 4,
};

static int prefer(const void *a, const void *b) {
    const struct admission_candidate *left = a, *right = b;
    if (left->tries != right->tries)
        return left->tries < right->tries ? -1 : 1;
    if (left->stage != right->stage)
        return left->stage < right->stage ? -1 : 1;
    if (left->stage == ADMISSION_UNKNOWN && left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    if (left->stage == ADMISSION_UNKNOWN && (left->size < right->size || left->size > right->size))
        return left->size < right->size ? -1 : 1;
    if (left->stage != ADMISSION_UNKNOWN && left->memory_bytes != right->memory_bytes)
        return left->memory_bytes > right->memory_bytes ? -1 : 1;
    return left->task < right->task ? -1 : left->task > right->task;
}

void admission_sort(struct admission_candidate *candidates, size_t count) {
    if (count > 1)
        qsort(candidates, count, sizeof(*candidates), prefer);
}

size_t admission_place(const struct admission_candidate *candidates, size_t count,
                       const struct admission_candidate *one) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (prefer(&candidates[middle], one) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The end of the segment that begins at low. */
static size_t segment_end(const struct admission_candidate *candidates, size_t low, size_t count) {
    const struct admission_candidate *first = &candidates[low];
    size_t high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct admission_candidate *one = &candidates[middle];
        if (one->tries == first->tries && one->stage == first->stage &&
            (one->stage != ADMISSION_UNKNOWN || one->kind == first->kind))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first in [low, high), where reservations fall, that needs at most bytes; high: none. */
static size_t first_within(const struct admission_candidate *candidates, size_t low, size_t high,
                           uint64_t bytes) {
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (candidates[middle].memory_bytes > bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What the smallest of the segment, one for each other free job, need, as far as they fit. */
static uint64_t small_ones(const struct admission_candidate *candidates, size_t low, size_t high,
                           int others, uint64_t left) {
    uint64_t sum = 0;
    for (size_t i = high; i-- > low + 1 && others-- > 0;) {
        if (candidates[i].memory_bytes > left - sum)
            break;
        sum += candidates[i].memory_bytes;
    }
    return sum;
}

/* The one to start in [low, high), or high. */
static size_t pick_in_segment(const struct admission_candidate *candidates, size_t low, size_t high,
                              const struct admission_room *room, uint64_t left) {
    if (candidates[low].stage == ADMISSION_UNKNOWN)
        return room->running == 0 ? low + (high - low - 1) / FIRST_SHARE : high;
    if (candidates[low].stage == ADMISSION_LEARNING) {
        const int others = room->jobs - room->running - 1;
        const uint64_t small = small_ones(candidates, low, high, others, left);
        const size_t at = first_within(candidates, low, high, left - small);
        if (at < high)
            return at;
        if (candidates[high - 1].memory_bytes <= left)
            return high - 1;
    }
    return first_within(candidates, low, high, left);
}

ptrdiff_t admission_pick(const struct admission_candidate *candidates, size_t count,
                         const struct admission_room *room) {
    if (room->running >= room->jobs || count == 0)
        return -1;
    if (room->budget_bytes == 0)
        return 0;
    if (room->running > 0 && room->reserved_bytes > room->budget_bytes)
        return -1; /* a task above the budget runs, by force: alone */
    const uint64_t left =
        room->reserved_bytes < room->budget_bytes ? room->budget_bytes - room->reserved_bytes : 0;
    const bool is_held = room->passed_over >= PATIENCE * room->jobs;
    if (is_held && candidates[0].stage == ADMISSION_KNOWN && candidates[0].memory_bytes > left)
        return room->running == 0 ? 0 : -1;
    for (size_t low = 0; low < count;) {
        const size_t high = segment_end(candidates, low, count);
        const size_t at = pick_in_segment(candidates, low, high, room, left);
        if (at < high)
            return (ptrdiff_t)at;
        if (is_held)
            break;
        low = high;
    }
    return room->running == 0 ? 0 : -1;
}
