/* Which records of a ledger still count. Pure: it is shown every record, then asked of each.
 *
 * Kept are: the first record; of each task its last task_end; the attempts of tasks that did not
 * end ok or have not ended, the newest of each; attempts that have no end; of each user's kinds of
 * task that were last used the newest attempts and those of the smallest and the largest input, for
 * the memory model; of runs
 * the last start and end; all that was done to a batch of the service that is not forgotten; the
 * newest notes; and whatever this version does not know. Gone are: attempts of what is done, the
 * history of what was done again, and forgotten batches.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_KEEP_H
#define SUPERVISOR_LEDGER_LEDGER_KEEP_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    LEDGER_KEEP_ATTEMPTS = 8,  /* of each task that has not ended ok */
    LEDGER_KEEP_SAMPLES = 512, /* of each kind */
    LEDGER_KEEP_KINDS = 512,   /* of each user */
    LEDGER_KEEP_NOTES = 64,
};

struct ledger_keep;

MUST_USE int ledger_keep_open(struct ledger_keep **ret, struct failure *failure);
void ledger_keep_close(struct ledger_keep *keep); /* NULL is fine */
/* Every record in order (a ledger_store_replay_cb; context is the struct ledger_keep *). */
int ledger_keep_see(void *context, const json_t *record, struct failure *failure);
/* After the last was seen. */
void ledger_keep_decide(struct ledger_keep *keep);
bool ledger_keep_counts(const struct ledger_keep *keep, uint64_t seq);
/* The number it has among those that count, from 1; 0: it does not. */
uint64_t ledger_keep_renumbered(const struct ledger_keep *keep, uint64_t seq);
uint64_t ledger_keep_count(const struct ledger_keep *keep); /* how many count */

/* What users of the service have used in attempts that are no longer there: to be written as
 * records of their own, so that compacting is no way to the front of the line. */
struct ledger_keep_share {
    int64_t uid;
    double byte_seconds; /* faded to at_ms with the usual half-life of a day */
    int64_t at_ms;
};
size_t ledger_keep_shares(const struct ledger_keep *keep, const struct ledger_keep_share **ret);

#endif
