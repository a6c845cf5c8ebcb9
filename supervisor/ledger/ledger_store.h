/* The ledger on disk: JSON Lines, append-only, one writer (contract: "The ledger"; ledger(5)).
 *
 * Opening takes flock on the file, replays it and heals its tail. A record is one write() on an
 * O_APPEND descriptor; it is safe only after ledger_store_sync. Space for records to come is kept
 * allocated ahead (fallocate), so a full disk is noticed before a result is lost.
 *
 * Every line carries "synced": the last seq known to be on disk when it was written. It tells a
 * tail that power loss tore (nothing damaged had been promised) from damage in the middle
 * (refused).
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_STORE_H
#define SUPERVISOR_LEDGER_LEDGER_STORE_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

enum { LEDGER_STORE_RESERVE_BYTES = 1 << 20 };

struct ledger_store;

/* Called for each valid line in order while replaying. record is borrowed. Nonzero aborts. */
typedef int (*ledger_store_replay_cb)(void *context, const json_t *record, struct failure *failure);

/* Whether the record in a line's bytes, not looked at yet, is wanted: a hasty look that may say yes
 * to more than is meant. */
typedef bool (*ledger_store_wants_cb)(void *context, const char *line, size_t length);

struct ledger_recovery {
    uint64_t n_records;
    uint64_t set_aside_bytes;  /* 0: the tail was whole */
    char set_aside_path[4096]; /* where they went */
    char warning[512];         /* what the user should know of this place; "": nothing */
};

/* Opens or creates path for writing. -EWOULDBLOCK: another run holds it (the sentence names its pid
 * where it can be told). -EBADMSG: damage in the middle, with the line's number; -EMEDIUMTYPE: no
 * ledger at all; -EPROTONOSUPPORT: a later version's. A healed tail is in *ret_recovery and stands
 * as a note in the ledger. All that was replayed is on disk when it returns. */
MUST_USE int ledger_store_open(const char *path, ledger_store_replay_cb replay, void *context,
                               struct ledger_store **ret, struct ledger_recovery *ret_recovery,
                               struct failure *failure);
/* Reads without lock or healing, for show, csv, explain. Same errors for damage in the middle; a
 * torn tail (or what a running writer has not finished) is passed over. */
MUST_USE int ledger_store_read(const char *path, ledger_store_replay_cb replay, void *context,
                               struct failure *failure);
/* The same for the records that are wanted alone, several times as quickly where these are few. */
MUST_USE int ledger_store_search(const char *path, ledger_store_wants_cb wants,
                                 ledger_store_replay_cb replay, void *context,
                                 struct failure *failure);
/* A random name made when the ledger was created; it stands in the first record. Borrowed. */
const char *ledger_store_id(const struct ledger_store *store);
const char *ledger_store_boot_id(const struct ledger_store *store); /* of this boot; borrowed */

/* Writes one record; adds v, seq, time, boot, synced, crc. Borrows fields. On error (-ENOSPC, -EIO)
 * the file is as before and seq is not consumed. */
MUST_USE int ledger_store_append(struct ledger_store *store, const char *event,
                                 const json_t *fields, uint64_t *ret_seq, struct failure *failure);
/* The record with that seq, read from the file. Caller owns *ret. -EAGAIN: it is not written yet;
 * -ENOENT: there is none. */
MUST_USE int ledger_store_look(const struct ledger_store *store, uint64_t seq, json_t **ret,
                               struct failure *failure);
/* fdatasync; afterwards all appended records are safe. After an error the store refuses to go on.
 */
MUST_USE int ledger_store_sync(struct ledger_store *store, struct failure *failure);
void ledger_store_close(struct ledger_store *store); /* NULL is fine */

uint64_t ledger_store_size(const struct ledger_store *store); /* bytes of its records */
/* Begins to make the ledger smaller while it is open (ledger_compact.h): by the records that are
 * written by now. Caller owns *ret, which borrows the store. */
struct ledger_compact;
MUST_USE int ledger_store_compact(struct ledger_store *store, struct ledger_compact **ret,
                                  struct failure *failure);
/* Goes on with the new file of one that is finished; all that was written has been in it. What is
 * staged has other numbers then: *ret_shift more, or fewer. The caller closes the old file,
 * *ret_fd: it has no name any more, so that frees its space, which takes a while if it is large.
 * After an error the store is broken. */
MUST_USE int ledger_store_adopt(struct ledger_store *store, struct ledger_compact *compact,
                                int64_t *ret_shift, int *ret_fd, struct failure *failure);

/* The same in steps, for ledger_commit: stage in memory, flush as one write(), sync from another
 * thread, tell the store. */

/* As append, but only in memory: seq is consumed and the record waits for the next flush. */
MUST_USE int ledger_store_stage(struct ledger_store *store, const char *event, const json_t *fields,
                                uint64_t *ret_seq, struct failure *failure);
/* Writes what is staged. On error the file ends with its last whole record, and what is not in it
 * stays staged. Errors that another try may cure: see ledger_store_is_full. */
MUST_USE int ledger_store_flush(struct ledger_store *store, struct failure *failure);
/* Keeps room allocated behind the file's end: at least half of LEDGER_STORE_RESERVE_BYTES. An error
 * for which ledger_store_is_full: the room is no longer there. File systems that cannot do it count
 * as success. */
MUST_USE int ledger_store_reserve(struct ledger_store *store, struct failure *failure);
bool ledger_store_is_full(int code);                             /* ENOSPC and its kin */
const char *ledger_store_path(const struct ledger_store *store); /* borrowed */
uint64_t ledger_store_written(const struct ledger_store *store); /* the last seq in the file */
uint64_t ledger_store_safe(const struct ledger_store *store);    /* the last seq on disk */
bool ledger_store_has_staged(const struct ledger_store *store);
/* fdatasync alone; any thread may call it while the owner appends. */
MUST_USE int ledger_store_sync_raw(const struct ledger_store *store);
/* code is sync_raw's; seq what was written before it began. */
MUST_USE int ledger_store_synced(struct ledger_store *store, uint64_t seq, int code,
                                 struct failure *failure);

#endif
