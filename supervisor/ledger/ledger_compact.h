/* Making a ledger smaller without losing what counts (ledger_keep.h).
 *
 * The records that count are written anew, in order, with new numbers but their own times, to a
 * file beside the ledger; when that is on disk it takes the ledger's name. Killed at any instant,
 * the old ledger or the new one is there, whole. Nothing is done to a ledger that is damaged or
 * that somebody else writes to.
 *
 * A ledger that is in use is compacted in two steps, so that nobody has to wait: while more is
 * appended, ledger_compact_copy copies what counts of the records up to one of them; then, while
 * nothing is written, ledger_compact_finish adds the few that came since, and replaces the file.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_COMPACT_H
#define SUPERVISOR_LEDGER_LEDGER_COMPACT_H

#include "common/failure.h"
#include "supervisor/ledger/ledger_marks.h"

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

/* What the service thinks worth it: a quarter of the records. */
#define LEDGER_COMPACT_WORTH_IT 0.25

/* ---- of a ledger in use ---- */

struct ledger_compact;

/* Of the records 1 to last. Borrows path and fd, which is open and locked. */
MUST_USE int ledger_compact_open(int fd, const char *path, uint64_t last,
                                 struct ledger_compact **ret, struct failure *failure);
/* As ledger_compact_file, but that the ledger keeps its file. -ECANCELED. Any thread may do it. */
MUST_USE int ledger_compact_copy(struct ledger_compact *compact, double least_gain,
                                 struct failure *failure);
/* Whether copy found it worth it; else it is to be closed. */
bool ledger_compact_is_worth_it(const struct ledger_compact *compact);
/* All that was appended is on disk, and nothing is written meanwhile. Any thread may do it. */
MUST_USE int ledger_compact_finish(struct ledger_compact *compact, struct failure *failure);
/* Ends a copy soon that another thread does. */
void ledger_compact_cancel(struct ledger_compact *compact);

/* Of what copy was to judge; what came since is not counted. */
struct ledger_compact_result ledger_compact_result(const struct ledger_compact *compact);
/* After finish: the number that a record has now; 0: it is gone, or there was none. */
uint64_t ledger_compact_renumbered(const struct ledger_compact *compact, uint64_t seq);
struct ledger_compact_new {
    int fd;                    /* open and locked like the old one; owned */
    struct ledger_marks marks; /* owned */
    uint64_t n_records, bytes;
};
/* Caller owns what is in it. */
struct ledger_compact_new ledger_compact_take(struct ledger_compact *compact);
/* Unless it was finished, the ledger is as it was. NULL is fine. */
void ledger_compact_close(struct ledger_compact *compact);

#endif
