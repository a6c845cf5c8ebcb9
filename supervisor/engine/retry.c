/* See retry.h. The table says how many further tries a verdict is worth at most. */
#include "supervisor/engine/retry.h"

#include <limits.h>
#include <string.h>

static const int most_retries[VERDICT_COUNT] = {
    [VERDICT_OK] = 0,
    [VERDICT_FAILED] = 1, /* by its environment; see below */
    [VERDICT_DOUBTFUL] = 0,
    [VERDICT_TIMEOUT] = 0,
    [VERDICT_STALLED] = INT_MAX,
    [VERDICT_OOM_LIMIT] = 0, /* the same limit would be hit again */
    [VERDICT_OOM_MACHINE] = INT_MAX,
    [VERDICT_KILLED] = INT_MAX,
    [VERDICT_CRASHED] = INT_MAX,
    [VERDICT_CANCELLED] = 0,
    [VERDICT_LOST] = 0,
};

bool retry_wanted(const struct retry_facts *facts) {
    int most = most_retries[facts->verdict];
    if (most > facts->retries)
        most = facts->retries;
    if (facts->verdict == VERDICT_FAILED &&
        (facts->is_command || strcmp(facts->cause, "environment") != 0))
        return false;
    return facts->tries <= most;
}
