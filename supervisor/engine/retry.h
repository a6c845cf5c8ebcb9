/* Whether an attempt that ended is tried again within the run, and with how much memory. Pure.
 *
 * crashed, killed and stalled may be chance: they are tried again up to the run's --retries. An
 * align task that failed for its environment (a full disk, a worker that broke the protocol) gets
 * one more try whatever --retries says above 0. The rest would only repeat itself, or is not a try
 * at all (lost, cancelled).
 *
 * Out of memory (at its own limit, for want of it on the machine, or by a SIGKILL that was likely
 * meant for that) has a count of its own, for the same again would end the same: first with a
 * larger reservation, then alone with all the batch may use, then it has failed. What the manifest
 * declares is no bound to that, the batch's budget is. --retries 0 allows no second chance.
 */
#ifndef SUPERVISOR_ENGINE_RETRY_H
#define SUPERVISOR_ENGINE_RETRY_H

#include "supervisor/engine/verdict.h"

struct retry_facts {
    enum verdict verdict;
    bool is_command;
    const char *cause; /* of failed */
    int tries;         /* made in this run, this one included, out of memory or not */
    int retries;       /* allowed: --retries */

    bool is_likely_oom;  /* of killed */
    int ooms;            /* of the tries, so many ran out of memory; this one included */
    bool was_alone;      /* this one had all of the budget */
    uint64_t held_bytes; /* the most of: its peak, its reservation, its limit */
    uint64_t budget_bytes;
};

enum retry_step {
    RETRY_NO,
    RETRY_AGAIN,
    RETRY_LARGER, /* with floor_bytes reserved */
    RETRY_ALONE,
    RETRY_COUNT
};

struct retry_choice {
    enum retry_step step;
    uint64_t floor_bytes; /* LARGER: to reserve at least */
};

/* It ran out of memory: it counts as one of ooms. */
bool retry_is_oom(enum verdict verdict, bool is_likely_oom);
struct retry_choice retry_choose(const struct retry_facts *facts);
/* "larger", ... for the ledger. */
const char *retry_step_name(enum retry_step step);

#endif
