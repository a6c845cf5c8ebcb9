/* Whether an attempt that ended is tried again within the run. Pure.
 *
 * crashed, killed and stalled may be chance: they are tried again up to the run's --retries. An
 * align task that failed for its environment (a full disk, a worker that broke the protocol) gets
 * one more try whatever --retries says above 0. The rest would only repeat itself, or is not a try
 * at all (lost, cancelled).
 */
#ifndef SUPERVISOR_ENGINE_RETRY_H
#define SUPERVISOR_ENGINE_RETRY_H

#include "supervisor/engine/verdict.h"

struct retry_facts {
    enum verdict verdict;
    bool is_command;
    const char *cause; /* of failed */
    int tries;         /* made in this run, this one included */
    int retries;       /* allowed: --retries */
};

bool retry_wanted(const struct retry_facts *facts);

#endif
