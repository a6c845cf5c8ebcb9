/* See ledger_compact.h. The file is read twice: first to judge every record, then to copy. The
 * ledger is locked all the while; the new file is locked before it has the name, so that nobody can
 * come in between. What is appended meanwhile begins with the record behind the last to be judged,
 * where reading stops. */
#include "supervisor/ledger/ledger_compact.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "common/whole_write.h"
#include "supervisor/ledger/ledger_identity.h"
#include "supervisor/ledger/ledger_keep.h"
#include "supervisor/ledger/ledger_line.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/ledger/ledger_replay.h"
#include "supervisor/ledger/ledger_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { BUFFER_BYTES = 256 << 10, ENOUGH_READ = 1 };

struct ledger_compact {
    const char *path; /* of the ledger; borrowed */
    int old_fd;       /* borrowed */
    uint64_t last;    /* to be judged */
    atomic_bool is_cancelled;
    struct ledger_keep *keep;            /* owned */
    struct ledger_replay found;          /* so far, of the old one */
    struct ledger_compact_result result; /* of what is judged; what comes since is not counted */
    char *temporary;                     /* the new one's path; owned; NULL: it is not there */
    int fd;                              /* of the new one; owned */
    struct ledger_line_buffer buffer;
    struct ledger_marks marks; /* of the new one */
    uint64_t seq, bytes;       /* the new one's last record, and its length without the buffer */
    bool is_worth_it;
};

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left to compact the ledger");
}

/* ---- the new file ---- */

static int write_out(struct ledger_compact *compact, size_t least, struct failure *failure) {
    if (compact->buffer.length < least)
        return 0;
    int r = whole_write(compact->fd, compact->buffer.bytes, compact->buffer.length);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write %s", compact->temporary);
    compact->bytes += compact->buffer.length;
    compact->buffer.length = 0;
    return 0;
}

/* The number of the next record, which begins here; 0: out of memory. */
static uint64_t next_seq(struct ledger_compact *compact) {
    const uint64_t at = compact->bytes + compact->buffer.length;
    return ledger_marks_set(&compact->marks, compact->seq + 1, at) < 0 ? 0 : ++compact->seq;
}

/* All that is before a record will be on disk when the file gets its name. */
static int copy_record(struct ledger_compact *compact, const json_t *record,
                       struct failure *failure) {
    const uint64_t seq = next_seq(compact);
    if (seq == 0)
        return out_of_memory(failure);
    int r = ledger_line_recode(&compact->buffer, record, seq, seq - 1, failure);
    return r < 0 ? r : write_out(compact, BUFFER_BYTES, failure);
}

/* A record of our own. Takes fields. */
static int add_record(struct ledger_compact *compact, const char *event, json_t *fields,
                      const char *boot_id, struct failure *failure) {
    CLEANUP_JSON json_t *owned = fields;
    const uint64_t seq = owned ? next_seq(compact) : 0;
    if (seq == 0)
        return out_of_memory(failure);
    const struct ledger_line_header header = {
        .seq = seq, .synced = seq - 1, .boot_id = boot_id, .event = event};
    return ledger_line_encode(&compact->buffer, &header, owned, failure);
}

static int add_own_records(struct ledger_compact *compact, struct failure *failure) {
    char boot_id[LEDGER_IDENTITY_BOOT_BYTES];
    const struct ledger_keep_share *shares = NULL;
    const size_t n = ledger_keep_shares(compact->keep, &shares);
    int r = ledger_identity_boot(LEDGER_IDENTITY_BOOT_FILE, boot_id, failure);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_record(compact, "batch",
                       json_pack("{s:s, s:I, s:f, s:I}", "state", "share", "uid",
                                 (json_int_t)shares[i].uid, "byte_seconds", shares[i].byte_seconds,
                                 "at_ms", (json_int_t)shares[i].at_ms),
                       boot_id, failure);
    CLEANUP_FREE char *text = names_format("compacted: %llu of %llu records are kept",
                                           (unsigned long long)ledger_keep_count(compact->keep),
                                           (unsigned long long)compact->result.records_before);
    if (r == 0)
        r = add_record(compact, "note", json_pack("{s:s*}", "text", text), boot_id, failure);
    return r < 0 ? r : write_out(compact, 0, failure);
}

/* The owner and the mode stay what they were. */
static int create_beside(struct ledger_compact *compact, struct failure *failure) {
    struct stat status;
    CLEANUP_FREE char *temporary = names_format("%s.compacting", compact->path);
    if (!temporary)
        return out_of_memory(failure);
    (void)unlink(temporary); /* of a compaction that was killed; else open tells */
    compact->fd = open(temporary, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (compact->fd < 0)
        return failure_set_errno(failure, -errno, "cannot create %s", temporary);
    compact->temporary = STEAL_PTR(temporary);
    if (fstat(compact->old_fd, &status) < 0 || fchmod(compact->fd, status.st_mode & 07777) < 0 ||
        (fchown(compact->fd, status.st_uid, status.st_gid) < 0 && errno != EPERM))
        return failure_set_errno(failure, -errno, "cannot create %s", compact->temporary);
    return 0;
}

/* ---- the old one ---- */

static int check_wanted(const struct ledger_compact *compact, struct failure *failure) {
    return atomic_load(&compact->is_cancelled)
               ? failure_set(failure, -ECANCELED, "the compaction was cancelled")
               : 0;
}

static int judge(void *context, const json_t *record, struct failure *failure) {
    struct ledger_compact *compact = context;
    if (compact->result.records_before == compact->last)
        return ENOUGH_READ;
    compact->result.records_before++;
    compact->result.bytes_before = compact->found.good_bytes;
    const int r = check_wanted(compact, failure);
    return r < 0 ? r : ledger_keep_see(compact->keep, record, failure);
}

static int judge_all(struct ledger_compact *compact, struct failure *failure) {
    int r = ledger_keep_open(&compact->keep, failure);
    if (r == 0)
        r = ledger_replay_file(compact->old_fd, compact->path, NULL, judge, compact,
                               &compact->found, failure);
    if (r < 0)
        return r;
    if (compact->result.records_before == 0 || (compact->result.records_before < compact->last &&
                                                compact->found.state == LEDGER_REPLAY_TORN))
        return failure_set(failure, -EUCLEAN,
                           "%s ends in a torn record; run the command that wrote it once more, "
                           "which heals it, then compact it",
                           compact->path);
    ledger_keep_decide(compact->keep);
    return 0;
}

/* Only what is copied is parsed, and what ends the reading. */
static bool is_wanted(void *context, const char *line, size_t length) {
    const struct ledger_compact *compact = context;
    const uint64_t seq = compact->found.n_records + 1;
    (void)line, (void)length;
    return seq > compact->result.records_before || ledger_keep_counts(compact->keep, seq);
}

static int copy_if_it_counts(void *context, const json_t *record, struct failure *failure) {
    struct ledger_compact *compact = context;
    const uint64_t seq = compact->found.n_records;
    if (seq > compact->result.records_before)
        return ENOUGH_READ;
    const int r = check_wanted(compact, failure);
    if (r < 0 || !ledger_keep_counts(compact->keep, seq)) /* the first is always parsed */
        return r;
    return copy_record(compact, record, failure);
}

/* Frame and checksum are enough. */
static bool is_passed_over(void *context, const char *line, size_t length) {
    (void)context, (void)line, (void)length;
    return false;
}

/* It has to be read back whole before it replaces anything. */
static int check_new(const struct ledger_compact *compact, struct failure *failure) {
    struct ledger_replay found;
    int r = ledger_replay_file(compact->fd, compact->temporary, is_passed_over, NULL, NULL, &found,
                               failure);
    if (r < 0)
        return r;
    if (found.state == LEDGER_REPLAY_CLEAN && found.n_records == compact->seq &&
        found.good_bytes == compact->bytes)
        return 0;
    return failure_set(failure, -EIO, "%s cannot be read back as it was written",
                       compact->temporary);
}

int ledger_compact_copy(struct ledger_compact *compact, double least_gain,
                        struct failure *failure) {
    int r = judge_all(compact, failure);
    if (r < 0)
        return r;
    const uint64_t gone = compact->result.records_before - ledger_keep_count(compact->keep);
    if (gone == 0 || (double)gone < least_gain * (double)compact->result.records_before)
        return 0;
    r = create_beside(compact, failure);
    if (r == 0)
        r = ledger_replay_file(compact->old_fd, compact->path, is_wanted, copy_if_it_counts,
                               compact, &compact->found, failure);
    if (r >= 0)
        r = add_own_records(compact, failure);
    compact->result.records_after = compact->seq;
    compact->result.bytes_after = compact->bytes;
    if (r == 0)
        r = check_new(compact, failure);
    if (r == 0 && fdatasync(compact->fd) < 0)
        r = failure_set_errno(failure, -errno, "cannot write %s to disk", compact->temporary);
    compact->is_worth_it = r == 0;
    return r;
}

bool ledger_compact_is_worth_it(const struct ledger_compact *compact) {
    return compact->is_worth_it;
}

/* ---- what came since ---- */

static int copy_line(struct ledger_compact *compact, const struct ledger_scan_line *at,
                     struct failure *failure) {
    struct ledger_line line = {0};
    char why[LEDGER_LINE_WHY_BYTES] = "";
    int r = at->has_newline && !at->cut ? ledger_line_decode(at->bytes, at->length, &line, why)
                                        : -EBADMSG;
    CLEANUP_JSON json_t *record = line.record;
    if (r < 0)
        return failure_set(failure, r, "%s: what was appended at byte %llu cannot be read: %s",
                           compact->path, (unsigned long long)at->offset, why);
    return copy_record(compact, record, failure);
}

static int copy_rest(struct ledger_compact *compact, struct failure *failure) {
    CLEANUP(ledger_scan_close) struct ledger_scan scan = {.fd = -1};
    struct ledger_scan_line line;
    int r = ledger_scan_open(compact->old_fd, &scan);
    if (r < 0)
        return out_of_memory(failure);
    scan.offset = compact->result.bytes_before;
    while ((r = ledger_scan_next(&scan, &line)) > 0) {
        r = copy_line(compact, &line, failure);
        if (r < 0)
            return r;
    }
    return r < 0 ? failure_set_errno(failure, r, "cannot read %s", compact->path)
                 : write_out(compact, 0, failure);
}

int ledger_compact_finish(struct ledger_compact *compact, struct failure *failure) {
    int r = copy_rest(compact, failure);
    if (r == 0 && flock(compact->fd, LOCK_EX | LOCK_NB) < 0)
        r = failure_set_errno(failure, -errno, "cannot lock %s", compact->temporary);
    if (r == 0)
        r = atomic_file_publish(compact->temporary, compact->path, failure);
    compact->result.is_done = r == 0;
    return r;
}

/* ---- the rest ---- */

int ledger_compact_open(int fd, const char *path, uint64_t last, struct ledger_compact **ret,
                        struct failure *failure) {
    struct ledger_compact *compact = calloc(1, sizeof(*compact));
    if (!compact)
        return out_of_memory(failure);
    compact->path = path;
    compact->old_fd = fd;
    compact->last = last;
    compact->fd = -1;
    *ret = compact;
    return 0;
}

void ledger_compact_cancel(struct ledger_compact *compact) {
    atomic_store(&compact->is_cancelled, true);
}

struct ledger_compact_result ledger_compact_result(const struct ledger_compact *compact) {
    return compact->result;
}

uint64_t ledger_compact_renumbered(const struct ledger_compact *compact, uint64_t seq) {
    const struct ledger_compact_result *result = &compact->result;
    return seq > result->records_before ? seq - result->records_before + result->records_after
                                        : ledger_keep_renumbered(compact->keep, seq);
}

struct ledger_compact_new ledger_compact_take(struct ledger_compact *compact) {
    const int fd = STEAL_FD(compact->fd);
    const struct ledger_compact_new new = {
        .fd = fd, .marks = compact->marks, .n_records = compact->seq, .bytes = compact->bytes};
    compact->marks = (struct ledger_marks){0};
    return new;
}

void ledger_compact_close(struct ledger_compact *compact) {
    if (!compact)
        return;
    if (compact->temporary && !compact->result.is_done)
        (void)unlink(compact->temporary); /* the next one removes it otherwise */
    free(compact->temporary);
    cleanup_close(&compact->fd);
    ledger_line_buffer_free(&compact->buffer);
    ledger_marks_free(&compact->marks);
    ledger_keep_close(compact->keep);
    free(compact);
}

static void close_compact(struct ledger_compact **compact) { ledger_compact_close(*compact); }

int ledger_compact_file(const char *path, double least_gain, struct ledger_compact_result *ret,
                        struct failure *failure) {
    CLEANUP_CLOSE int fd = -1;
    CLEANUP(close_compact) struct ledger_compact *compact = NULL;
    if (access(path, F_OK) < 0) /* the lock would make it */
        return failure_set_errno(failure, -errno, "cannot open the ledger %s", path);
    int r = ledger_lock_open(path, &fd, failure);
    if (r == 0)
        r = ledger_compact_open(fd, path, UINT64_MAX, &compact, failure);
    if (r == 0)
        r = ledger_compact_copy(compact, least_gain, failure);
    if (r == 0 && compact->is_worth_it)
        r = ledger_compact_finish(compact, failure);
    if (r == 0)
        *ret = ledger_compact_result(compact);
    return r;
}
