/* See enforce.h. Sums saturate: what does not fit into 64 bits is no limit, and none is what the
 * kernel makes of a number that large. */
#include "supervisor/engine/enforce.h"

static uint64_t add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

uint64_t enforce_limit(const struct enforce_facts *facts) {
    uint64_t limit = facts->declared_bytes;
    if (limit > 0) {
        limit = facts->reserved_bytes > limit ? facts->reserved_bytes : limit;
    } else {
        if (facts->is_assumed || facts->reserved_bytes == 0)
            return 0;
        const uint64_t share =
            facts->reserved_bytes / (facts->is_uncertain ? 1 : ENFORCE_ROOM_DIVISOR);
        const uint64_t room =
            share > ENFORCE_LEAST_ROOM_BYTES ? share : (uint64_t)ENFORCE_LEAST_ROOM_BYTES;
        const uint64_t cache = facts->file_bytes < ENFORCE_CACHE_BYTES
                                   ? facts->file_bytes
                                   : (uint64_t)ENFORCE_CACHE_BYTES;
        limit = add(add(facts->reserved_bytes, room), add(cache, facts->results_in_ram_bytes));
    }
    if (limit > INT64_MAX)
        return 0;
    return limit < ENFORCE_LEAST_BYTES ? (uint64_t)ENFORCE_LEAST_BYTES : limit;
}
