/* What starts next. Pure.
 *
 * A task starts when a job is free and its reservation fits into what is left of the budget. What a
 * history bounds (its interval) adds up in full. The margins on top are there for the one that is
 * unlike its history: of all that run at once, the largest margin is kept free, not their sum. So
 * the reservations, each with its margin, may add up to a few per cent more than the budget.
 * Large ones first, so that the night does not end with one large task alone; where the largest
 * does not fit, a smaller one that does takes the place (backfill; packing.h finds the best).
 * Whoever stands first in line is passed over only so often: then nothing starts until it fits, so
 * that none starves. Further tries come after all first tries: what keeps crashing holds up nobody.
 * A variant of a pair of which another one runs comes after all others of its tries: it would only
 * wait for what that one makes.
 *
 * Candidates of several lines have ranks: a lower rank goes first, and a higher one takes what is
 * left over. It may do so only so often while the first rank can start nothing; then what runs is
 * left to end until it can.
 *
 * Careful start: of a kind of which nothing is known, one task of middling size runs alone. When
 * one size is known, the others have bounds in proportion, mostly far too large; the largest that
 * leaves room for small ones on all other jobs starts with them, so that little time is lost until
 * two sizes make a line. A task above the whole budget (run with --force) runs alone.
 */
#ifndef SUPERVISOR_ENGINE_ADMISSION_H
#define SUPERVISOR_ENGINE_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum admission_stage {
    ADMISSION_UNKNOWN,  /* of its kind nothing is known: alone */
    ADMISSION_LEARNING, /* how its kind grows is not known */
    ADMISSION_KNOWN,
};

struct admission_candidate {
    uint64_t task;         /* its place in the batch: ties go by it */
    void *owner;           /* the caller's */
    uint32_t rank;         /* of its line */
    uint64_t memory_bytes; /* what is counted of the reservation; UNKNOWN: the whole budget,
                              whatever stands here */
    uint64_t margin_bytes; /* of it: the margin */
    int64_t time_ms;       /* 0: not known */
    int tries;             /* already made in this run */
    bool is_beside;        /* a variant of its pair runs, for whose results it would wait */
    enum admission_stage stage;
    size_t kind; /* UNKNOWN: one after the other, by kind and size of the input */
    double size;
};

/* What runs, added up. */
struct admission_load {
    uint64_t sure_bytes;   /* the reservations without their margins */
    uint64_t margin_bytes; /* the largest */
};

struct admission_room {
    int jobs, running;
    uint64_t budget_bytes; /* 0: no limit */
    struct admission_load load;
    int passed_over; /* how often the first in line was passed over */
    int overtaken;   /* how often one of another rank went before the first one's */
};

void admission_load_add(struct admission_load *load, uint64_t memory_bytes, uint64_t margin_bytes);
uint64_t admission_load_bytes(const struct admission_load *load);

/* Sorts into the order of preference. */
void admission_sort(struct admission_candidate *candidates, size_t count);
/* Where one more belongs in the sorted candidates. */
size_t admission_place(const struct admission_candidate *candidates, size_t count,
                       const struct admission_candidate *one);
/* How many of them, from the first on, are known and of equal tries. */
size_t admission_known(const struct admission_candidate *candidates, size_t count);
/* The first in line was passed over as often as it may be. */
bool admission_is_overdue(const struct admission_room *room);
/* The place in the sorted candidates of the one to start now; -1: none. */
ptrdiff_t admission_pick(const struct admission_candidate *candidates, size_t count,
                         const struct admission_room *room);

enum admission_wait {
    ADMISSION_WAITS_FOR_TURN, /* others come first */
    ADMISSION_WAITS_FOR_JOB,
    ADMISSION_WAITS_FOR_MEMORY,
    ADMISSION_WAITS_TO_BE_ALONE, /* of its kind nothing is known */
    ADMISSION_WAITS_FOR_LARGE,   /* one that runs needs more than the budget, by force */
    ADMISSION_WAIT_COUNT
};
/* Why that candidate does not start now. */
enum admission_wait admission_why(const struct admission_candidate *candidate,
                                  const struct admission_room *room);

#endif
