/* See fair_share.h. */
#include "supervisor/service/fair_share.h"

#include <math.h>

double fair_share_at(const struct fair_share *share, int64_t now_ms, int64_t half_life_ms) {
    const int64_t age_ms = now_ms - share->at_ms;
    if (age_ms <= 0 || !(share->used > 0))
        return share->used;
    const int64_t half = half_life_ms > 0 ? half_life_ms : FAIR_SHARE_HALF_LIFE_MS;
    return share->used * exp2(-(double)age_ms / (double)half);
}

void fair_share_add(struct fair_share *share, double byte_seconds, int64_t now_ms,
                    int64_t half_life_ms) {
    share->used = fair_share_at(share, now_ms, half_life_ms);
    if (now_ms > share->at_ms)
        share->at_ms = now_ms;
    if (byte_seconds > 0 && isfinite(byte_seconds))
        share->used += byte_seconds;
}

static int order_u64(uint64_t a, uint64_t b) { return (a > b) - (a < b); }

int fair_share_compare(const struct fair_share_rank *a, const struct fair_share_rank *b) {
    if (a->user != b->user) {
        if (a->used != b->used)
            return a->used < b->used ? -1 : 1;
        const int oldest = order_u64(a->user_order, b->user_order);
        return oldest ? oldest : order_u64(a->user, b->user);
    }
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return order_u64(a->order, b->order);
}
