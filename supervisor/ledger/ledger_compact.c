/* See ledger_compact.h. The file is read twice: first to judge every record, then to copy. The
 * ledger is locked all the while; the new file is locked before it has the name, so that nobody can
 * come in between. */
#include "supervisor/ledger/ledger_compact.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "common/whole_write.h"
#include "supervisor/ledger/ledger_identity.h"
#include "supervisor/ledger/ledger_keep.h"
#include "supervisor/ledger/ledger_line.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/ledger/ledger_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { BUFFER_BYTES = 256 << 10 };

struct copying {
    const struct ledger_keep *keep;
    struct ledger_replay found; /* so far, of the old one */
    const char *path;           /* of the new file */
    int fd;
    struct ledger_line_buffer buffer;
    uint64_t seq; /* the last that was written */
    uint64_t bytes;
};

static void close_keep(struct ledger_keep **keep) { ledger_keep_close(*keep); }
static void free_buffer(struct ledger_line_buffer *buffer) { ledger_line_buffer_free(buffer); }

static int write_out(struct copying *copying, size_t least, struct failure *failure) {
    if (copying->buffer.length < least)
        return 0;
    int r = whole_write(copying->fd, copying->buffer.bytes, copying->buffer.length);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write %s", copying->path);
    copying->bytes += copying->buffer.length;
    copying->buffer.length = 0;
    return 0;
}

/* All that is before a record will be on disk when the file gets its name. */
static uint64_t synced_before(uint64_t seq) { return seq > 1 ? seq - 1 : 0; }

static int copy_record(void *context, const json_t *record, struct failure *failure) {
    struct copying *copying = context;
    const uint64_t seq = (uint64_t)json_integer_value(json_object_get(record, "seq"));
    if (!ledger_keep_counts(copying->keep, seq))
        return 0;
    copying->seq++;
    int r = ledger_line_recode(&copying->buffer, record, copying->seq, synced_before(copying->seq),
                               failure);
    return r < 0 ? r : write_out(copying, BUFFER_BYTES, failure);
}

/* A record of our own. Takes fields. */
static int add_record(struct copying *copying, const char *event, json_t *fields,
                      const char *boot_id, struct failure *failure) {
    CLEANUP_JSON json_t *owned = fields;
    if (!owned)
        return failure_set(failure, -ENOMEM, "no memory left to compact the ledger");
    const struct ledger_line_header header = {.seq = ++copying->seq,
                                              .synced = synced_before(copying->seq),
                                              .boot_id = boot_id,
                                              .event = event};
    return ledger_line_encode(&copying->buffer, &header, owned, failure);
}

static int add_own_records(struct copying *copying, const struct ledger_compact_result *before,
                           struct failure *failure) {
    char boot_id[LEDGER_IDENTITY_BOOT_BYTES];
    const struct ledger_keep_share *shares = NULL;
    const size_t n = ledger_keep_shares(copying->keep, &shares);
    int r = ledger_identity_boot(LEDGER_IDENTITY_BOOT_FILE, boot_id, failure);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_record(copying, "batch",
                       json_pack("{s:s, s:I, s:f, s:I}", "state", "share", "uid",
                                 (json_int_t)shares[i].uid, "byte_seconds", shares[i].byte_seconds,
                                 "at_ms", (json_int_t)shares[i].at_ms),
                       boot_id, failure);
    CLEANUP_FREE char *text = names_format("compacted: %llu of %llu records are kept",
                                           (unsigned long long)ledger_keep_count(copying->keep),
                                           (unsigned long long)before->records_before);
    if (r == 0)
        r = add_record(copying, "note", json_pack("{s:s*}", "text", text), boot_id, failure);
    return r < 0 ? r : write_out(copying, 0, failure);
}

/* Only what is copied is parsed. */
static bool is_copied(void *context, const char *line, size_t length) {
    const struct copying *copying = context;
    (void)line, (void)length;
    return ledger_keep_counts(copying->keep, copying->found.n_records + 1);
}

/* Frame and checksum are enough. */
static bool is_passed_over(void *context, const char *line, size_t length) {
    (void)context, (void)line, (void)length;
    return false;
}

/* It has to be read back whole before it replaces anything. */
static int check_new(const struct copying *copying, struct failure *failure) {
    struct ledger_replay found;
    int r =
        ledger_replay_file(copying->fd, copying->path, is_passed_over, NULL, NULL, &found, failure);
    if (r < 0)
        return r;
    if (found.state == LEDGER_REPLAY_CLEAN && found.n_records == copying->seq &&
        found.good_bytes == copying->bytes)
        return 0;
    return failure_set(failure, -EIO, "%s cannot be read back as it was written", copying->path);
}

static int write_new(int fd, const char *path, struct copying *copying,
                     struct ledger_compact_result *result, struct failure *failure) {
    int r = ledger_replay_file(fd, path, is_copied, copy_record, copying, &copying->found, failure);
    if (r == 0)
        r = add_own_records(copying, result, failure);
    if (r == 0 && flock(copying->fd, LOCK_EX | LOCK_NB) < 0)
        r = failure_set_errno(failure, -errno, "cannot lock %s", copying->path);
    result->records_after = copying->seq;
    result->bytes_after = copying->bytes;
    if (r == 0)
        r = check_new(copying, failure);
    return r < 0 ? r : atomic_file_publish(copying->path, path, failure);
}

/* The owner and the mode stay what they were. */
static int create_beside(int fd, const char *temporary, int *ret_fd, struct failure *failure) {
    struct stat status;
    (void)unlink(temporary); /* of a compaction that was killed; else open tells */
    CLEANUP_CLOSE int made =
        open(temporary, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (made < 0 || fstat(fd, &status) < 0 || fchmod(made, status.st_mode & 07777) < 0)
        return failure_set_errno(failure, -errno, "cannot create %s", temporary);
    if (fchown(made, status.st_uid, status.st_gid) < 0 && errno != EPERM)
        return failure_set_errno(failure, -errno, "cannot create %s", temporary);
    *ret_fd = STEAL_FD(made);
    return 0;
}

static int rewrite(int fd, const char *path, const struct ledger_keep *keep, int *ret_fd,
                   struct ledger_compact_result *result, struct failure *failure) {
    CLEANUP_FREE char *temporary = names_format("%s.compacting", path);
    CLEANUP_CLOSE int new_fd = -1;
    if (!temporary)
        return failure_set(failure, -ENOMEM, "no memory left to compact the ledger");
    int r = create_beside(fd, temporary, &new_fd, failure);
    if (r < 0)
        return r;
    struct copying copying = {.keep = keep, .path = temporary, .fd = new_fd};
    r = write_new(fd, path, &copying, result, failure);
    free_buffer(&copying.buffer);
    if (r < 0) {
        (void)unlink(temporary); /* the ledger is as it was */
        return r;
    }
    *ret_fd = STEAL_FD(new_fd);
    return 0;
}

int ledger_compact_open(int fd, const char *path, double least_gain, int *ret_fd,
                        struct ledger_keep **ret_keep, struct ledger_compact_result *ret,
                        struct failure *failure) {
    CLEANUP(close_keep) struct ledger_keep *keep = NULL;
    struct ledger_replay found;
    struct ledger_compact_result result = {0};
    int r = ledger_keep_open(&keep, failure);
    if (r == 0)
        r = ledger_replay_file(fd, path, NULL, ledger_keep_see, keep, &found, failure);
    if (r < 0)
        return r;
    if (found.state == LEDGER_REPLAY_TORN || found.n_records == 0)
        return failure_set(failure, -EUCLEAN,
                           "%s ends in a torn record; run the command that wrote it once more, "
                           "which heals it, then compact it",
                           path);
    ledger_keep_decide(keep);
    result.records_before = found.n_records;
    result.bytes_before = found.good_bytes;
    const uint64_t gone = found.n_records - ledger_keep_count(keep);
    if (gone > 0 && (double)gone >= least_gain * (double)found.n_records) {
        r = rewrite(fd, path, keep, ret_fd, &result, failure);
        if (r < 0)
            return r;
        result.is_done = true;
        *ret_keep = STEAL_PTR(keep);
    }
    *ret = result;
    return 0;
}

int ledger_compact_file(const char *path, double least_gain, struct ledger_compact_result *ret,
                        struct failure *failure) {
    CLEANUP_CLOSE int fd = -1, new_fd = -1;
    CLEANUP(close_keep) struct ledger_keep *keep = NULL;
    if (access(path, F_OK) < 0) /* the lock would make it */
        return failure_set_errno(failure, -errno, "cannot open the ledger %s", path);
    int r = ledger_lock_open(path, &fd, failure);
    return r < 0 ? r : ledger_compact_open(fd, path, least_gain, &new_fd, &keep, ret, failure);
}

int ledger_compact_large(const char *path, uint64_t larger_than_bytes,
                         struct ledger_compact_result *ret, struct failure *failure) {
    struct stat status;
    struct failure reason = {0};
    *ret = (struct ledger_compact_result){0};
    if (stat(path, &status) < 0 || (uint64_t)status.st_size <= larger_than_bytes)
        return 0; /* the opening tells what is wrong with it */
    int r = ledger_compact_file(path, LEDGER_COMPACT_WORTH_IT, ret, &reason);
    return r == 0 || r == -EUCLEAN ? 0 : failure_set(failure, r, "%s", reason.text);
}
