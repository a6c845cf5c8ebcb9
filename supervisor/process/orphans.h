/* Nothing of a task outlives it: finding and ending what its leader left behind.
 *
 * We are the subreaper (PR_SET_CHILD_SUBREAPER), so every process below a task whose parent ended
 * becomes our child, whatever session it made for itself; killing it brings its own children to us
 * in turn. Whose it is is told by the token in its environment (PROTOCOL_TOKEN_VARIABLE). One that
 * shows no token of a running attempt is ended as soon as no running attempt is old enough to have
 * started it; so a helper of a running task is never taken for a leftover of another one.
 *
 * After our own death (SIGKILL) leftovers are found by the ledger's id in their token, or by the
 * session and start time that the ledger recorded.
 */
#ifndef SUPERVISOR_PROCESS_ORPHANS_H
#define SUPERVISOR_PROCESS_ORPHANS_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct orphans;

/* Makes this process the subreaper. Use from the thread that spawns. */
MUST_USE int orphans_open(struct orphans **ret, struct failure *failure);
void orphans_close(struct orphans *orphans); /* NULL is fine */

/* An attempt runs; `token` is copied. -ENOMEM. */
MUST_USE int orphans_add(struct orphans *orphans, pid_t leader, uint64_t start_ticks,
                         const char *token);
void orphans_remove(struct orphans *orphans, pid_t leader);

/* The leader ended, its group was sent SIGKILL, and it was reaped: SIGKILL to all that is left of
 * its attempt. Returns how many were seen (call again until 0); *ret_one, if any, is one of them.
 * Leader 0: everything that is left of anything, once no attempt runs.
 *
 * A process in the middle of exec shows no environment for an instant, as one that has none does.
 * With early set such a one is counted and left alone; without, it is judged as it is. */
int orphans_sweep(struct orphans *orphans, pid_t leader, bool early, pid_t *ret_one);
/* Reaps adopted children that ended by themselves. */
void orphans_reap(struct orphans *orphans);

/* What the ledger knows of an attempt without an end. */
struct orphans_lost {
    pid_t session;
    uint64_t start_ticks; /* of its leader */
    uint64_t last_ticks;  /* until when we surely lived: a session of that number that began later
                             is not ours */
};

/* Ends what a killed supervisor left behind: every process whose token starts with
 * "<ledger_id>:", and those of the lost sessions. Waits for their end, at most limit_ms. Returns
 * how many were ended; those that would not die are not counted. */
int orphans_end_leftovers(const char *ledger_id, const struct orphans_lost *lost, size_t n_lost,
                          int64_t limit_ms);

#endif
