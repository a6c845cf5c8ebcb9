/* See ledger_heal.h. Nothing is thrown away: even bytes that no record survives in may tell
 * somebody what happened to the disk. */
#include "supervisor/ledger/ledger_heal.h"

#include "common/atomic_file.h"
#include "common/whole_write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

enum { MAX_NAMES = 1000, COPY_BYTES = 64 << 10 };

/* A name that nobody has: the time in UTC, then a number when two fall into one second. */
static int create_copy(const char *path, char *name, size_t size, struct failure *failure) {
    time_t now = time(NULL);
    struct tm utc;
    char stamp[32];
    (void)gmtime_r(&now, &utc); /* fails only beyond the year 2^31 */
    (void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
    for (int i = 0; i < MAX_NAMES; i++) {
        char number[16] = "";
        if (i > 0)
            (void)snprintf(number, sizeof(number), "-%d", i);
        int n = snprintf(name, size, "%s.damaged-%s%s", path, stamp, number);
        if (n < 0 || (size_t)n >= size)
            return failure_set_errno(failure, -ENAMETOOLONG, "cannot set aside the tail of %s",
                                     path);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            break;
    }
    return failure_set_errno(failure, -errno, "cannot create %s", name);
}

static int copy_bytes(int from_fd, uint64_t from, uint64_t to, int copy_fd) {
    CLEANUP_FREE char *block = malloc(COPY_BYTES);
    CLEANUP_FREE char *zeros = calloc(1, COPY_BYTES);
    if (!block || !zeros)
        return -ENOMEM;
    for (uint64_t at = from; at < to;) {
        size_t want = to - at < COPY_BYTES ? (size_t)(to - at) : COPY_BYTES;
        ssize_t n = pread(from_fd, block, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ESTALE; /* it shrank, though we hold its lock */
        int r = 0;
        if (memcmp(block, zeros, (size_t)n) != 0)
            r = whole_write_at(copy_fd, block, (size_t)n, at - from);
        if (r < 0)
            return r;
        at += (uint64_t)n;
    }
    return ftruncate(copy_fd, (off_t)(to - from)) < 0 || fsync(copy_fd) < 0 ? -errno : 0;
}

int ledger_heal_tail(int fd, const char *path, uint64_t from, uint64_t to, char *ret_path,
                     size_t ret_path_bytes, struct failure *failure) {
    CLEANUP_CLOSE int copy_fd = create_copy(path, ret_path, ret_path_bytes, failure);
    if (copy_fd < 0)
        return copy_fd;
    int r = copy_bytes(fd, from, to, copy_fd);
    if (r < 0) {
        (void)unlink(ret_path); /* half a copy helps nobody; the tail still stands where it was */
        return failure_set_errno(failure, r, "cannot set aside the torn tail of %s as %s", path,
                                 ret_path);
    }
    r = atomic_file_sync_folder(ret_path, failure);
    if (r < 0)
        return r;
    if (ftruncate(fd, (off_t)from) < 0 || fsync(fd) < 0)
        return failure_set_errno(failure, -errno, "cannot cut the torn tail of %s", path);
    return 0;
}
