/* What starts next. Pure.
 *
 * A task starts when a job is free and its reservation fits into what is left of the budget. Large
 * ones first, so that the night does not end with one large task alone; where the largest does not
 * fit, a smaller one that does takes the place (backfill). All tasks are there from the start and
 * the largest were first in line, so backfill delays them but cannot starve them for good: in the
 * end they run alone. Further tries come after all first tries: what keeps crashing holds up
 * nobody. A task above the whole budget (run with --force) runs alone.
 */
#ifndef SUPERVISOR_ENGINE_ADMISSION_H
#define SUPERVISOR_ENGINE_ADMISSION_H

#include <stddef.h>
#include <stdint.h>

struct admission_candidate {
    size_t task;           /* its place in the batch: ties go by it */
    uint64_t memory_bytes; /* the reservation */
    int tries;             /* already made in this run */
};

struct admission_room {
    int jobs, running;
    uint64_t budget_bytes; /* 0: no limit */
    uint64_t reserved_bytes;
};

/* Sorts into the order of preference. */
void admission_sort(struct admission_candidate *candidates, size_t count);
/* The place in the sorted candidates of the one to start now; -1: none. */
ptrdiff_t admission_pick(const struct admission_candidate *candidates, size_t count,
                         const struct admission_room *room);

#endif
