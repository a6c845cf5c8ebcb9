/* Reading a ledger from its first line, and judging damage.
 *
 * Power loss and SIGKILL tear only what had not been promised, at the end: bytes are missing, zero
 * or garbage, even before whole lines of the same group. That tail may be cut. Everything else
 * (a record that a later one calls "synced", a line out of turn) is damage in the middle and is
 * never touched. The rule is ledger_replay_judge. Only the last records, which no later one calls
 * synced, cannot be told from a torn tail.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_REPLAY_H
#define SUPERVISOR_LEDGER_LEDGER_REPLAY_H

#include "supervisor/ledger/ledger_store.h"

enum { LEDGER_REPLAY_ID_BYTES = 33, LEDGER_REPLAY_TIME_BYTES = 25 };

/* What is known of the bytes behind the whole records 1 to n_records. */
struct ledger_replay_facts {
    uint64_t n_records;
    bool any_bytes_behind;
    bool out_of_turn;   /* first there: a whole record with another seq, or a checksum that is
                           right around contents that are not ours: nothing tears like that */
    uint64_t promised;  /* the largest "synced" in the whole file; at least 1 from record 2 on */
    bool like_creation; /* without any record: zeros, or the torn start of a first one */
};

enum ledger_replay_state {
    LEDGER_REPLAY_CLEAN,
    LEDGER_REPLAY_TORN,    /* the bytes behind were never promised */
    LEDGER_REPLAY_DAMAGED, /* they were, or nobody's accident looks like that */
    LEDGER_REPLAY_FOREIGN, /* no ledger at all */
    LEDGER_REPLAY_STATE_COUNT
};

enum ledger_replay_state ledger_replay_judge(const struct ledger_replay_facts *facts);

struct ledger_replay {
    enum ledger_replay_state state;
    uint64_t n_records;              /* whole and in turn: seq 1 to n_records */
    uint64_t good_bytes, file_bytes; /* the records' bytes; good_bytes < file_bytes when torn */
    uint64_t promised;
    char id[LEDGER_REPLAY_ID_BYTES];           /* "" without a record */
    char first_time[LEDGER_REPLAY_TIME_BYTES]; /* of the first and last record */
    char last_time[LEDGER_REPLAY_TIME_BYTES];
    char found[256]; /* what stands where the next record should; "" when clean */
};

/* Scans the file from its start. wants (may be NULL: all) says which lines replay is for; of the
 * others the frame and the checksum are read, and last_time leaves them out. replay (may be NULL)
 * gets the whole records in order, before anything is known of what follows. 0: clean or torn.
 * -EBADMSG: damaged; -EMEDIUMTYPE: foreign; -EPROTONOSUPPORT: written by a later version; each with
 * the line, what was expected and the remedy in the sentence. *ret is filled in every case but an
 * I/O error or replay's own. */
MUST_USE int ledger_replay_file(int fd, const char *path, ledger_store_wants_cb wants,
                                ledger_store_replay_cb replay, void *context,
                                struct ledger_replay *ret, struct failure *failure);

#endif
