/* See admission.h. The sorted candidates are segments of one stage and number of tries (and of
 * is_beside), and in each
 * the reservations fall; so what fits is found by bisection, however many wait. */
#include "supervisor/engine/admission.h"

#include <stdbool.h>
#include <stdlib.h>

enum {
    PATIENCE = 2, /* times the jobs: how often the first in line may be passed over */
    /* Of an unknown kind, the task that half of the others are smaller than runs first: what it
     * needs bounds the larger ones well enough, even where memory grows with the square of the
     * size, and it is not the longest where time goes with size. tests/unit/test_careful_start.c
     * has tried others. */
    FIRST_SHARE = 2,
};

void admission_load_add(struct admission_load *load, uint64_t memory_bytes, uint64_t margin_bytes) {
    const uint64_t sure = memory_bytes > margin_bytes ? memory_bytes - margin_bytes : 0;
    load->sure_bytes = load->sure_bytes > UINT64_MAX - sure ? UINT64_MAX : load->sure_bytes + sure;
    if (load->margin_bytes < memory_bytes - sure)
        load->margin_bytes = memory_bytes - sure;
}

uint64_t admission_load_bytes(const struct admission_load *load) {
    const uint64_t most = UINT64_MAX - load->margin_bytes;
    return load->sure_bytes > most ? UINT64_MAX : load->sure_bytes + load->margin_bytes;
}

static bool fits(const struct admission_room *room, const struct admission_candidate *one) {
    struct admission_load load = room->load;
    admission_load_add(&load, one->memory_bytes, one->margin_bytes);
    return admission_load_bytes(&load) <= room->budget_bytes;
}

static int prefer(const void *a, const void *b) {
    const struct admission_candidate *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    if (left->tries != right->tries)
        return left->tries < right->tries ? -1 : 1;
    if (left->is_beside != right->is_beside)
        return right->is_beside ? -1 : 1;
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
        if (one->rank == first->rank && one->tries == first->tries &&
            one->is_beside == first->is_beside && one->stage == first->stage &&
            (one->stage != ADMISSION_UNKNOWN || one->kind == first->kind))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first in [low, high), where reservations fall, that fits; high: none. */
static size_t first_fitting(const struct admission_candidate *candidates, size_t low, size_t high,
                            const struct admission_room *room) {
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (fits(room, &candidates[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The room beside the smallest of the segment, one for each other free job, as far as they fit. */
static struct admission_room beside_small(const struct admission_candidate *candidates, size_t low,
                                          size_t high, const struct admission_room *room) {
    struct admission_room less = *room;
    int others = room->jobs - room->running - 1;
    for (size_t i = high; i-- > low + 1 && others-- > 0 && fits(&less, &candidates[i]);)
        admission_load_add(&less.load, candidates[i].memory_bytes, candidates[i].margin_bytes);
    return less;
}

/* The one to start in [low, high), or high. */
static size_t pick_in_segment(const struct admission_candidate *candidates, size_t low, size_t high,
                              const struct admission_room *room) {
    if (candidates[low].stage == ADMISSION_UNKNOWN)
        return room->running == 0 ? low + (high - low - 1) / FIRST_SHARE : high;
    if (candidates[low].stage == ADMISSION_LEARNING) {
        const struct admission_room less = beside_small(candidates, low, high, room);
        const size_t at = first_fitting(candidates, low, high, &less);
        if (at < high)
            return at;
        if (fits(room, &candidates[high - 1]))
            return high - 1;
    }
    return first_fitting(candidates, low, high, room);
}

/* The end of the first rank. */
static size_t rank_end(const struct admission_candidate *candidates, size_t count) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (candidates[middle].rank == candidates[0].rank)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool admission_is_overdue(const struct admission_room *room) {
    return room->passed_over >= PATIENCE * room->jobs;
}

size_t admission_known(const struct admission_candidate *candidates, size_t count) {
    return count > 0 && candidates[0].stage == ADMISSION_KNOWN ? segment_end(candidates, 0, count)
                                                               : 0;
}

ptrdiff_t admission_pick(const struct admission_candidate *candidates, size_t count,
                         const struct admission_room *room) {
    if (room->running >= room->jobs || count == 0)
        return -1;
    if (room->budget_bytes == 0)
        return 0;
    if (room->running > 0 && admission_load_bytes(&room->load) > room->budget_bytes)
        return -1; /* a task above the budget runs, by force: alone */
    /* nothing waits for what does not fit into the empty budget either: it comes last, or more is
     * known of it by then */
    if (admission_is_overdue(room) && candidates[0].stage == ADMISSION_KNOWN &&
        candidates[0].memory_bytes <= room->budget_bytes && !fits(room, &candidates[0]))
        return room->running == 0 ? 0 : -1;
    if (room->running > 0 && room->overtaken >= PATIENCE * room->jobs)
        count = rank_end(candidates, count);
    for (size_t low = 0; low < count;) {
        const size_t high = segment_end(candidates, low, count);
        const size_t at = pick_in_segment(candidates, low, high, room);
        if (at < high)
            return (ptrdiff_t)at;
        low = high;
    }
    if (room->running > 0)
        return -1;
    /* alone: the largest, but of what has only a bound, that with the least */
    return candidates[0].stage == ADMISSION_LEARNING
               ? (ptrdiff_t)segment_end(candidates, 0, count) - 1
               : 0;
}

enum admission_wait admission_why(const struct admission_candidate *candidate,
                                  const struct admission_room *room) {
    if (room->running >= room->jobs)
        return ADMISSION_WAITS_FOR_JOB;
    if (room->running == 0 || room->budget_bytes == 0)
        return ADMISSION_WAITS_FOR_TURN;
    if (admission_load_bytes(&room->load) > room->budget_bytes)
        return ADMISSION_WAITS_FOR_LARGE;
    if (candidate->stage == ADMISSION_UNKNOWN)
        return ADMISSION_WAITS_TO_BE_ALONE;
    return fits(room, candidate) ? ADMISSION_WAITS_FOR_TURN : ADMISSION_WAITS_FOR_MEMORY;
}
