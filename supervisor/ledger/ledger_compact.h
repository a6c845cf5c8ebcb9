/* Making a ledger smaller without losing what counts (ledger_keep.h).
 *
 * The records that count are written anew, in order, with new numbers but their own times, to a
 * file beside the ledger; when that is on disk it takes the ledger's name. Killed at any instant,
 * the old ledger or the new one is there, whole. Nothing is done to a ledger that is damaged or
 * that somebody else writes to.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_COMPACT_H
#define SUPERVISOR_LEDGER_LEDGER_COMPACT_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger_compact_result {
    uint64_t records_before, records_after;
    uint64_t bytes_before, bytes_after;
    bool is_done; /* else it was left as it is: there was little to gain */
};

/* least_gain: the share of the records that has to go, or nothing is done; 0: any. -EWOULDBLOCK: in
 * use; -EBADMSG and the like: damaged (ledger_replay_file); -EUCLEAN: its tail is torn, which the
 * next run heals first. */
MUST_USE int ledger_compact_file(const char *path, double least_gain,
                                 struct ledger_compact_result *ret, struct failure *failure);

/* The same for one that is open and locked, all of it on disk: *ret_fd is the new one, open and
 * locked like it, and keep says how the records were renumbered. Nothing of either is set unless
 * ret->is_done. Caller owns both. */
struct ledger_keep;
MUST_USE int ledger_compact_open(int fd, const char *path, double least_gain, int *ret_fd,
                                 struct ledger_keep **ret_keep, struct ledger_compact_result *ret,
                                 struct failure *failure);

/* What the service thinks worth it: a quarter of the records. */
#define LEDGER_COMPACT_WORTH_IT 0.25

/* The service's, before it opens its ledger: one that is larger than that and a quarter of
 * whose records do not count any more is compacted. A torn tail is left to the opening, and nothing
 * is done. No ledger is no error. */
MUST_USE int ledger_compact_large(const char *path, uint64_t larger_than_bytes,
                                  struct ledger_compact_result *ret, struct failure *failure);

#endif
