/* Fair share between users: who has used least is next. Pure.
 *
 * What counts is memory held times time held (byte-seconds of reservations), and it fades with a
 * half-life: whoever used the machine all of yesterday does not wait behind everybody for ever. The
 * decayed sum is kept with the time at which it was true; u(t) = u(t0) * 2^-((t - t0) / half-life).
 */
#ifndef SUPERVISOR_SERVICE_FAIR_SHARE_H
#define SUPERVISOR_SERVICE_FAIR_SHARE_H

#include <stdbool.h>
#include <stdint.h>

enum { FAIR_SHARE_HALF_LIFE_MS = 24 * 3600 * 1000 };

struct fair_share {
    double used;   /* byte-seconds, as they counted at at_ms */
    int64_t at_ms; /* wall clock */
};

/* What counts at `now`. A clock that was set back does not make it grow. */
double fair_share_at(const struct fair_share *share, int64_t now_ms, int64_t half_life_ms);
/* So much more, at `now`. */
void fair_share_add(struct fair_share *share, double byte_seconds, int64_t now_ms,
                    int64_t half_life_ms);

/* A batch in the line. */
struct fair_share_rank {
    double used;   /* its user's, at the time of comparing */
    uint64_t user; /* who: ties between users go by their oldest batch, so users never mix */
    int priority;
    uint64_t order;      /* of submission */
    uint64_t user_order; /* the least order of the same user's batches in the line */
};
/* Below 0: a is before b. A strict order. */
int fair_share_compare(const struct fair_share_rank *a, const struct fair_share_rank *b);

#endif
