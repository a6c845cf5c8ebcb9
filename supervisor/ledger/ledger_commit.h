/* Group commit in the libuv loop: records are written at once and synced together in the thread
 * pool, so a thousand small results cost a handful of fdatasyncs and the loop never waits.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_COMMIT_H
#define SUPERVISOR_LEDGER_LEDGER_COMMIT_H

#include "supervisor/ledger/ledger_store.h"

#include <uv.h>

struct ledger_commit;

/* The record is on disk: now it may be told. seq is its number. Never called from within append. */
typedef void (*ledger_commit_done_cb)(void *context, uint64_t seq);

/* The disk is full (full true, text says where and what to do) or has room again (full false).
 * While full: start nothing new; records that do not fit wait in memory in order and are tried
 * again every second. fatal: fsync failed or the file is gone; nothing more will be recorded. */
typedef void (*ledger_commit_state_cb)(void *context, bool full, bool fatal, const char *text);

/* Borrows store and context. */
MUST_USE int ledger_commit_open(uv_loop_t *loop, struct ledger_store *store,
                                ledger_commit_state_cb state, void *context,
                                struct ledger_commit **ret, struct failure *failure);
/* Takes fields. done may be NULL. Order of calls is order in the file. ret_seq (may be NULL) gets
 * the number the record has or, while the disk is full, will have; 0: none, for a fatal error. */
void ledger_commit_append(struct ledger_commit *commit, const char *event, json_t *fields,
                          ledger_commit_done_cb done, void *context, uint64_t *ret_seq);
/* Nothing waits for the disk, or (after a fatal error) nothing ever will be there. */
bool ledger_commit_idle(const struct ledger_commit *commit);
/* From now on records are only staged. held is called (from within too) when nobody touches the
 * file any more and all that was written is on disk; after a fatal error never. */
typedef void (*ledger_commit_held_cb)(void *context);
void ledger_commit_hold(struct ledger_commit *commit, ledger_commit_held_cb held, void *context);
/* Goes on. shift: what is staged has other numbers (ledger_store_adopt); 0: it has not. */
void ledger_commit_release(struct ledger_commit *commit, int64_t shift);
/* Closes the handles; frees itself once libuv lets go. What waits is written and synced if it can
 * be, but no callback is called any more; the store is no longer used when it returns. NULL is
 * fine.
 */
void ledger_commit_close(struct ledger_commit *commit);

#endif
