/* See retry.h. The table says how many further tries a verdict is worth at most; what ran out of
 * memory is not looked up there.
 */
#include "supervisor/engine/retry.h"

#include <limits.h>
#include <string.h>

static const int most_retries[VERDICT_COUNT] = {
    [VERDICT_OK] = 0,           [VERDICT_FAILED] = 1, /* by its environment; see below */
    [VERDICT_DOUBTFUL] = 0,     [VERDICT_TIMEOUT] = 0,       [VERDICT_STALLED] = INT_MAX,
    [VERDICT_KILLED] = INT_MAX, [VERDICT_CRASHED] = INT_MAX, [VERDICT_CANCELLED] = 0,
    [VERDICT_LOST] = 0,
};

bool retry_is_oom(enum verdict verdict, bool is_likely_oom) {
    return verdict == VERDICT_OOM_LIMIT || verdict == VERDICT_OOM_MACHINE ||
           (verdict == VERDICT_KILLED && is_likely_oom);
}

/* Half as much again as was not enough; alone where that does not fit beside others anyway. */
static struct retry_choice after_oom(const struct retry_facts *facts) {
    const uint64_t held = facts->held_bytes;
    const uint64_t larger = held > UINT64_MAX - held / 2 ? UINT64_MAX : held + held / 2;
    if (facts->retries == 0 || facts->was_alone)
        return (struct retry_choice){.step = RETRY_NO};
    if (facts->ooms == 1 && held > 0 && larger < facts->budget_bytes)
        return (struct retry_choice){.step = RETRY_LARGER, .floor_bytes = larger};
    return (struct retry_choice){.step = RETRY_ALONE};
}

struct retry_choice retry_choose(const struct retry_facts *facts) {
    if (retry_is_oom(facts->verdict, facts->is_likely_oom))
        return after_oom(facts);
    int most = most_retries[facts->verdict];
    if (most > facts->retries)
        most = facts->retries;
    const bool is_own = facts->verdict == VERDICT_FAILED &&
                        (facts->is_command || strcmp(facts->cause, "environment") != 0);
    const bool again = !is_own && facts->tries - facts->ooms <= most;
    return (struct retry_choice){.step = again ? RETRY_AGAIN : RETRY_NO};
}

const char *retry_step_name(enum retry_step step) {
    static const char *const names[RETRY_COUNT] = {
        [RETRY_NO] = "none",
        [RETRY_AGAIN] = "again",
        [RETRY_LARGER] = "larger",
        [RETRY_ALONE] = "alone",
    };
    return names[step];
}
