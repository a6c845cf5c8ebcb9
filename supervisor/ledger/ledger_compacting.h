/* Compacting a ledger that is in use without holding its loop up: the copying runs in libuv's
 * thread pool while records go on being written; for its last step alone they wait in memory.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_COMPACTING_H
#define SUPERVISOR_LEDGER_LEDGER_COMPACTING_H

#include "supervisor/ledger/ledger_commit.h"
#include "supervisor/ledger/ledger_compact.h"

struct ledger_compacting;

/* It is over, and gone after this call. r < 0: failure says why; the ledger is as it was, or the
 * store is broken. compact says what was done; where its result is_done, the records have the
 * numbers it tells. Borrowed, all of it. */
typedef void (*ledger_compacting_done_cb)(void *context, int r,
                                          const struct ledger_compact *compact,
                                          const struct failure *failure);

/* Borrows store and commit, which is open. least_gain: as ledger_compact_file. */
MUST_USE int ledger_compacting_begin(uv_loop_t *loop, struct ledger_store *store,
                                     struct ledger_commit *commit, double least_gain,
                                     ledger_compacting_done_cb done, void *context,
                                     struct ledger_compacting **ret, struct failure *failure);
/* Before the commit is closed: gives it up, or waits for its last step. done is called, and store
 * and commit are not used any more when this returns. */
void ledger_compacting_close(struct ledger_compacting *compacting);

#endif
