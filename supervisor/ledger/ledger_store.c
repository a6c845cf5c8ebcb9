/* See ledger_store.h. Records are staged as text in memory and go out as one write(); the file
 * always ends with a whole record, or the store is broken and says so for good. Only the thread
 * that owns the store touches it; ledger_store_sync_raw alone may run elsewhere. */
#include "supervisor/ledger/ledger_store.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "supervisor/ledger/ledger_compact.h"
#include "supervisor/ledger/ledger_heal.h"
#include "supervisor/ledger/ledger_identity.h"
#include "supervisor/ledger/ledger_line.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/ledger/ledger_marks.h"
#include "supervisor/ledger/ledger_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { KEPT_CAPACITY = 64 << 10 }; /* staging memory kept between groups */

struct ledger_store {
    int fd; /* holds the lock */
    char *path;
    char id[LEDGER_IDENTITY_ID_BYTES];
    char boot_id[LEDGER_IDENTITY_BOOT_BYTES];
    uint64_t staged_seq, written_seq, synced_seq; /* the last one staged, in the file, on disk */
    uint64_t size;                                /* of the file: whole records only */
    uint64_t reserved;                            /* end of the space allocated ahead */
    bool cannot_reserve;                          /* the file system does not know how */
    struct ledger_line_buffer staged;
    struct ledger_marks marks;
    struct failure broken; /* code 0: it is not */
};

bool ledger_store_is_full(int code) { return code == -ENOSPC || code == -EDQUOT || code == -EFBIG; }

const char *ledger_store_id(const struct ledger_store *store) { return store->id; }
const char *ledger_store_boot_id(const struct ledger_store *store) { return store->boot_id; }
const char *ledger_store_path(const struct ledger_store *store) { return store->path; }
uint64_t ledger_store_written(const struct ledger_store *store) { return store->written_seq; }
uint64_t ledger_store_safe(const struct ledger_store *store) { return store->synced_seq; }
uint64_t ledger_store_size(const struct ledger_store *store) { return store->size; }
bool ledger_store_has_staged(const struct ledger_store *store) { return store->staged.length > 0; }

static void free_buffer(struct ledger_line_buffer *buffer) { ledger_line_buffer_free(buffer); }

/* Frees without touching the file. */
static void discard_store(struct ledger_store **slot) {
    struct ledger_store *store = *slot;
    if (!store)
        return;
    if (store->fd >= 0)
        (void)close(store->fd); /* what counts was synced; the lock goes with it */
    ledger_line_buffer_free(&store->staged);
    ledger_marks_free(&store->marks);
    free(store->path);
    free(store);
}

/* From here on every call fails with this sentence. */
static int break_store(struct ledger_store *store, const struct failure *reason,
                       struct failure *failure) {
    store->broken = *reason;
    if (failure)
        *failure = *reason;
    return reason->code;
}

static int refuse_broken(const struct ledger_store *store, struct failure *failure) {
    if (failure)
        *failure = store->broken;
    return store->broken.code;
}

int ledger_store_stage(struct ledger_store *store, const char *event, const json_t *fields,
                       uint64_t *ret_seq, struct failure *failure) {
    if (store->broken.code)
        return refuse_broken(store, failure);
    const struct ledger_line_header header = {
        .seq = store->staged_seq + 1,
        .synced = store->synced_seq,
        .boot_id = store->boot_id,
        .event = event,
    };
    int r = ledger_marks_set(&store->marks, header.seq, store->size + store->staged.length);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write a record (%s)", event);
    r = ledger_line_encode(&store->staged, &header, fields, failure);
    if (r < 0)
        return r;
    store->staged_seq = header.seq;
    if (ret_seq)
        *ret_seq = header.seq;
    return 0;
}

/* Somebody else must not have moved, deleted or changed the file: what we append would be lost. */
static int check_untouched(struct ledger_store *store, struct failure *failure) {
    struct stat ours, named;
    struct failure reason = {0};
    if (fstat(store->fd, &ours) < 0)
        (void)failure_set_errno(&reason, -errno, "cannot look at the ledger %s", store->path);
    else if (stat(store->path, &named) < 0 || named.st_ino != ours.st_ino ||
             named.st_dev != ours.st_dev)
        (void)failure_set(&reason, -ENOENT,
                          "the ledger %s was deleted or moved away while it was in use; put it "
                          "back and run the same command again",
                          store->path);
    else if ((uint64_t)ours.st_size != store->size)
        (void)failure_set(&reason, -ESTALE,
                          "the ledger %s was changed by another program while it was in use (%lld "
                          "bytes where %llu were written); look at it with: registrar ledger "
                          "verify '%s'",
                          store->path, (long long)ours.st_size, (unsigned long long)store->size,
                          store->path);
    return reason.code ? break_store(store, &reason, failure) : 0;
}

/* The first length staged bytes, all whole lines, are in the file. */
static void staged_to_file(struct ledger_store *store, size_t length) {
    struct ledger_line_buffer *staged = &store->staged;
    for (const char *at = staged->bytes; at < staged->bytes + length; store->written_seq++)
        at = (const char *)memchr(at, '\n', (size_t)(staged->bytes + length - at)) + 1;
    store->size += length;
    staged->length -= length;
    memmove(staged->bytes, staged->bytes + length, staged->length);
    if (staged->length == 0 && staged->capacity > KEPT_CAPACITY)
        ledger_line_buffer_free(staged);
}

/* The write ended early: keep the whole records of what came through. */
static int cut_to_whole(struct ledger_store *store, size_t done, int code,
                        struct failure *failure) {
    const char *newline = done ? memrchr(store->staged.bytes, '\n', done) : NULL;
    size_t whole = newline ? (size_t)(newline + 1 - store->staged.bytes) : 0;
    if (whole < done && ftruncate(store->fd, (off_t)(store->size + whole)) < 0) {
        struct failure reason;
        (void)failure_set_errno(&reason, -errno, "cannot take back half a record in %s",
                                store->path);
        return break_store(store, &reason, failure);
    }
    staged_to_file(store, whole);
    store->reserved = store->size; /* the truncation gave the rest back */
    return failure_set_errno(failure, code, "cannot write to the ledger %s", store->path);
}

int ledger_store_flush(struct ledger_store *store, struct failure *failure) {
    if (store->broken.code)
        return refuse_broken(store, failure);
    if (store->staged.length == 0)
        return 0;
    int r = check_untouched(store, failure);
    if (r < 0)
        return r;
    size_t done = 0;
    while (done < store->staged.length) { /* once; again only to learn why it ended early */
        ssize_t n = write(store->fd, store->staged.bytes + done, store->staged.length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return cut_to_whole(store, done, n < 0 ? -errno : -EIO, failure);
        done += (size_t)n;
    }
    staged_to_file(store, done);
    return 0;
}

int ledger_store_append(struct ledger_store *store, const char *event, const json_t *fields,
                        uint64_t *ret_seq, struct failure *failure) {
    size_t before = store->staged.length;
    uint64_t seq = 0;
    int r = ledger_store_stage(store, event, fields, &seq, failure);
    if (r < 0)
        return r;
    size_t line_bytes = store->staged.length - before;
    r = ledger_store_flush(store, failure);
    if (r < 0) { /* the newest record is the last to be written, so it is still staged */
        store->staged.length -= line_bytes;
        store->staged_seq--;
        return r;
    }
    if (ret_seq)
        *ret_seq = seq;
    return 0;
}

int ledger_store_look(const struct ledger_store *store, uint64_t seq, json_t **ret,
                      struct failure *failure) {
    if (seq == 0 || seq > store->staged_seq)
        return failure_set(failure, -ENOENT, "%s has no record %llu", store->path,
                           (unsigned long long)seq);
    if (seq > store->written_seq)
        return failure_set(failure, -EAGAIN, "record %llu is not in %s yet",
                           (unsigned long long)seq, store->path);
    return ledger_marks_read(&store->marks, store->fd, store->path, seq, ret, failure);
}

int ledger_store_reserve(struct ledger_store *store, struct failure *failure) {
    if (store->cannot_reserve || store->size + LEDGER_STORE_RESERVE_BYTES / 2 <= store->reserved)
        return 0;
    int r = 0;
    do
        r = fallocate(store->fd, FALLOC_FL_KEEP_SIZE, (off_t)store->size,
                      LEDGER_STORE_RESERVE_BYTES) < 0
                ? -errno
                : 0;
    while (r == -EINTR);
    if (r < 0 && ledger_store_is_full(r))
        return failure_set_errno(failure, r, "no room to keep for the ledger %s", store->path);
    store->cannot_reserve = r < 0; /* the write itself will tell of a full disk, only later */
    store->reserved = store->size + LEDGER_STORE_RESERVE_BYTES;
    return 0;
}

int ledger_store_sync_raw(const struct ledger_store *store) {
    int r = 0;
    do
        r = fdatasync(store->fd) < 0 ? -errno : 0;
    while (r == -EINTR);
    return r;
}

int ledger_store_synced(struct ledger_store *store, uint64_t seq, int code,
                        struct failure *failure) {
    if (store->broken.code)
        return refuse_broken(store, failure);
    if (code < 0) {
        /* The kernel has marked the pages clean: a second fdatasync that succeeds proves nothing */
        struct failure reason;
        (void)failure_set_errno(&reason, code,
                                "the ledger %s could not be written to disk; what it last took in "
                                "may be lost: check the disk (dmesg), then run the same command "
                                "again",
                                store->path);
        return break_store(store, &reason, failure);
    }
    if (seq > store->synced_seq)
        store->synced_seq = seq;
    return 0;
}

int ledger_store_sync(struct ledger_store *store, struct failure *failure) {
    if (store->broken.code)
        return refuse_broken(store, failure);
    uint64_t seq = store->written_seq;
    return ledger_store_synced(store, seq, ledger_store_sync_raw(store), failure);
}

/* The first record, on disk together with the file's name before anything else happens. */
static int begin_ledger(struct ledger_store *store, struct failure *failure) {
    int r = ledger_identity_make(store->id, failure);
    if (r < 0)
        return r;
    CLEANUP_JSON json_t *fields =
        json_pack("{s:s, s:s}", "text", "a new ledger", "ledger_id", store->id);
    r = ledger_store_append(store, "note", fields, NULL, failure);
    if (r < 0)
        return r;
    r = ledger_store_sync(store, failure);
    return r < 0 ? r : atomic_file_sync_folder(store->path, failure);
}

static int note_healing(struct ledger_store *store, const struct ledger_recovery *recovery,
                        struct failure *failure) {
    const unsigned long long bytes = recovery->set_aside_bytes;
    /* a path that is not UTF-8 cannot stand in JSON as it is */
    CLEANUP_FREE char *shown = names_escape(recovery->set_aside_path);
    CLEANUP_FREE char *text =
        names_format("a torn tail of %llu bytes was set aside as %s", bytes, shown ? shown : "?");
    CLEANUP_JSON json_t *fields = json_pack("{s:s*, s:s*, s:I}", "text", text, "set_aside_path",
                                            shown, "set_aside_bytes", (json_int_t)bytes);
    int r = ledger_store_append(store, "note", fields, NULL, failure);
    return r < 0 ? r : ledger_store_sync(store, failure);
}

/* What is replayed is marked on its way to the caller. */
struct marking {
    struct ledger_store *store;
    const struct ledger_replay *found;
    uint64_t offset; /* where the next record begins */
    ledger_store_replay_cb replay;
    void *context;
};

static int mark_record(void *context, const json_t *record, struct failure *failure) {
    struct marking *marking = context;
    int r = ledger_marks_set(&marking->store->marks, marking->found->n_records, marking->offset);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot read %s", marking->store->path);
    marking->offset = marking->found->good_bytes;
    return marking->replay ? marking->replay(marking->context, record, failure) : 0;
}

/* Replays the locked file, heals its tail and begins it if it is new. */
static int recover(struct ledger_store *store, ledger_store_replay_cb replay, void *context,
                   struct ledger_recovery *recovery, struct failure *failure) {
    struct ledger_replay found;
    struct marking marking = {
        .store = store, .found = &found, .replay = replay, .context = context};
    int r =
        ledger_replay_file(store->fd, store->path, NULL, mark_record, &marking, &found, failure);
    if (r != 0)
        return r;
    recovery->n_records = found.n_records;
    if (found.state == LEDGER_REPLAY_TORN) {
        r = ledger_heal_tail(store->fd, store->path, found.good_bytes, found.file_bytes,
                             recovery->set_aside_path, sizeof(recovery->set_aside_path), failure);
        if (r < 0)
            return r;
        recovery->set_aside_bytes = found.file_bytes - found.good_bytes;
    }
    store->size = store->reserved = found.good_bytes;
    store->staged_seq = store->written_seq = found.n_records;
    memcpy(store->id, found.id, sizeof(store->id));
    /* What a killed run wrote may still wait in the page cache; from now on it counts as done. */
    r = ledger_store_sync(store, failure);
    if (r == 0 && found.n_records == 0)
        r = begin_ledger(store, failure);
    if (r == 0 && recovery->set_aside_bytes > 0)
        r = note_healing(store, recovery, failure);
    return r;
}

int ledger_store_compact(struct ledger_store *store, struct ledger_compact **ret,
                         struct failure *failure) {
    if (store->broken.code)
        return refuse_broken(store, failure);
    int r = check_untouched(store, failure);
    return r < 0 ? r
                 : ledger_compact_open(store->fd, store->path, store->written_seq, ret, failure);
}

/* What is staged gets the numbers behind those of the new file. */
static int renumber_staged(struct ledger_store *store, struct failure *failure) {
    CLEANUP(free_buffer) struct ledger_line_buffer old = store->staged;
    store->staged = (struct ledger_line_buffer){0};
    store->staged_seq = store->written_seq;
    for (const char *at = old.bytes; at < old.bytes + old.length;) {
        struct ledger_line line = {0};
        char why[LEDGER_LINE_WHY_BYTES];
        const char *newline = memchr(at, '\n', (size_t)(old.bytes + old.length - at));
        const uint64_t seq = store->staged_seq + 1;
        int r = ledger_line_decode(at, (size_t)(newline - at), &line, why);
        CLEANUP_JSON json_t *record = line.record;
        if (r == 0)
            r = ledger_marks_set(&store->marks, seq, store->size + store->staged.length);
        if (r == 0)
            r = ledger_line_recode(&store->staged, record, seq, store->synced_seq, failure);
        if (r < 0)
            return failure_set_errno(failure, r, "cannot go on with %s", store->path);
        store->staged_seq = seq;
        at = newline + 1;
    }
    return 0;
}

int ledger_store_adopt(struct ledger_store *store, struct ledger_compact *compact,
                       int64_t *ret_shift, int *ret_fd, struct failure *failure) {
    struct failure reason;
    const struct ledger_compact_new new = ledger_compact_take(compact);
    *ret_shift = (int64_t)(new.n_records - store->written_seq);
    *ret_fd = store->fd; /* all that was in it is in the other one */
    store->fd = new.fd;
    ledger_marks_free(&store->marks);
    store->marks = new.marks;
    store->size = store->reserved = new.bytes;
    store->written_seq = store->synced_seq = new.n_records;
    return renumber_staged(store, &reason) < 0 ? break_store(store, &reason, failure) : 0;
}

static void warn_of_network(const struct ledger_store *store, struct ledger_recovery *recovery) {
    const char *network = ledger_lock_network_name(store->fd);
    if (network)
        (void)snprintf(recovery->warning, sizeof(recovery->warning),
                       "%s lies on a network file system (%s): a run on another machine may not be "
                       "kept out, and the server must keep its promise when data are synced; a "
                       "local disk is safer",
                       store->path, network);
}

int ledger_store_open(const char *path, ledger_store_replay_cb replay, void *context,
                      struct ledger_store **ret, struct ledger_recovery *ret_recovery,
                      struct failure *failure) {
    *ret_recovery = (struct ledger_recovery){0};
    CLEANUP(discard_store) struct ledger_store *store = calloc(1, sizeof(*store));
    if (!store)
        return failure_set_errno(failure, -ENOMEM, "cannot open the ledger %s", path);
    store->fd = -1;
    store->path = strdup(path);
    if (!store->path)
        return failure_set_errno(failure, -ENOMEM, "cannot open the ledger %s", path);
    int r = ledger_identity_boot(LEDGER_IDENTITY_BOOT_FILE, store->boot_id, failure);
    if (r < 0)
        return r;
    r = ledger_lock_open(path, &store->fd, failure);
    if (r < 0)
        return r;
    r = recover(store, replay, context, ret_recovery, failure);
    if (r != 0)
        return r;
    warn_of_network(store, ret_recovery);
    *ret = STEAL_PTR(store);
    return 0;
}

int ledger_store_search(const char *path, ledger_store_wants_cb wants,
                        ledger_store_replay_cb replay, void *context, struct failure *failure) {
    struct ledger_replay found;
    CLEANUP_CLOSE int fd = -1;
    int r = ledger_lock_open_to_read(path, &fd, failure);
    return r < 0 ? r : ledger_replay_file(fd, path, wants, replay, context, &found, failure);
}

int ledger_store_read(const char *path, ledger_store_replay_cb replay, void *context,
                      struct failure *failure) {
    return ledger_store_search(path, NULL, replay, context, failure);
}

void ledger_store_close(struct ledger_store *store) {
    if (!store)
        return;
    /* gives the space ahead back; if it fails it is only space. Never when others changed the file:
     * then its length is theirs */
    if (store->fd >= 0 && !store->broken.code && store->reserved > store->size &&
        check_untouched(store, NULL) == 0)
        (void)ftruncate(store->fd, (off_t)store->size);
    discard_store(&store);
}
