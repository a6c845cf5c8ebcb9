/* One worker that is asked about a list of files; see probe.h, which shares a list out.
 *
 * The worker says "begin" before each file: what it had begun when it died, hung or talked nonsense
 * is the file to blame. Each round settles one file at least, so the rounds of a list end.
 */
#ifndef SUPERVISOR_MEMORY_PROBE_ROUND_H
#define SUPERVISOR_MEMORY_PROBE_ROUND_H

#include "common/protocol.h"
#include "supervisor/memory/probe.h"
#include "supervisor/process/spawn.h"

#include <stdbool.h>

enum probe_round_mode { PROBE_ROUND_HEADERS, PROBE_ROUND_HASHES };

struct probe_round {
    /* the caller's */
    enum probe_round_mode mode;
    const char *worker;
    const char *const *paths;     /* of this round */
    size_t count;                 /* may be lowered while it runs, to n_done + 1 at the least */
    struct probe_result *results; /* of this round */
    int64_t timeout_ms;           /* per file: for the sentence alone */
    bool late;                    /* the caller has waited long enough */
    /* the round's own */
    size_t n_asked;                        /* files that the worker was given */
    size_t n_done;                         /* files answered; the next answer is for this index */
    bool begun;                            /* the worker has begun file n_done */
    char blocked[PROTOCOL_CALL_BYTES + 1]; /* the system call that its sandbox stopped; "" */
    bool nonsense;                         /* it said something that is not in the protocol */
    struct spawned child;
    int report_fd;
    char *buffer; /* of what it said; owned while the round runs */
    size_t used;
};

MUST_USE int probe_round_start(struct probe_round *round, struct failure *failure);
/* Reads what is there. False: the round is over, call probe_round_end. */
MUST_USE bool probe_round_read(struct probe_round *round);
/* Ends the worker and settles the file that it had begun, if it had. Fails when the worker is none,
 * or when not even SIGKILL ends it. */
MUST_USE int probe_round_end(struct probe_round *round, struct failure *failure);

#endif
