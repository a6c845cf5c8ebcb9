/* How an attempt ended: one pure function of the raw facts (contract: the table of verdicts).
 *
 * The facts are kept beside the verdict in the ledger, so that a person can check the judgement.
 * SIGKILL alone proves nothing: who sent it is told by what registrar itself did and by the
 * kernel's counters.
 */
#ifndef SUPERVISOR_ENGINE_VERDICT_H
#define SUPERVISOR_ENGINE_VERDICT_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

enum verdict {
    VERDICT_OK,
    VERDICT_FAILED,
    VERDICT_DOUBTFUL,
    VERDICT_TIMEOUT,
    VERDICT_STALLED,
    VERDICT_OOM_LIMIT,   /* needs a memory cgroup per task */
    VERDICT_OOM_MACHINE, /* likewise */
    VERDICT_KILLED,
    VERDICT_CRASHED,
    VERDICT_CANCELLED,
    VERDICT_LOST,
    VERDICT_COUNT
};

/* "ok", "oom-limit", ...: the names of the contract. */
const char *verdict_name(enum verdict verdict);
/* -EINVAL when it is no verdict's name. */
MUST_USE int verdict_parse(const char *name, enum verdict *ret);

#endif
