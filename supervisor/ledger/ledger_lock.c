/* See ledger_lock.h. Between open and flock the file may be renamed or removed by another: the name
 * must still lead to the locked file, or it is opened anew. */
#include "supervisor/ledger/ledger_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

enum { MAX_TRIES = 100, DYING_TRIES = 200, DYING_PAUSE_MS = 10 };

pid_t ledger_lock_holder(const char *locks_path, int fd) {
    struct stat status;
    CLEANUP_FCLOSE FILE *file = fopen(locks_path, "re");
    if (!file || fstat(fd, &status) < 0)
        return 0;
    pid_t same_inode = 0; /* some file systems show another device here than stat does */
    char row[512];
    while (fgets(row, sizeof(row), file)) {
        /* "1: FLOCK  ADVISORY  WRITE 708 08:01:12345 0 EOF"; a waiter has "->" before FLOCK */
        int pid = 0;
        unsigned device_major = 0, device_minor = 0;
        unsigned long long inode = 0;
        if (sscanf(row, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &device_major, &device_minor,
                   &inode) != 4)
            continue;
        if (pid <= 0 || inode != status.st_ino)
            continue;
        if (device_major == major(status.st_dev) && device_minor == minor(status.st_dev))
            return pid;
        same_inode = pid;
    }
    return same_inode;
}

static int refuse_locked(const char *path, int fd, struct failure *failure) {
    pid_t pid = ledger_lock_holder("/proc/locks", fd);
    char who[64] = "another process";
    if (pid > 0)
        (void)snprintf(who, sizeof(who), "process %d", (int)pid);
    return failure_set(failure, -EWOULDBLOCK,
                       "%s is in use by another run (%s); wait for it to end, stop it, or choose "
                       "another output folder",
                       path, who);
}

/* A child that a killed supervisor had just cloned has a copy of the descriptor until it execs or
 * follows its parent: for some ms the lock outlives whoever took it. */
static int lock(int fd) {
    for (int i = 0;; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK || i == DYING_TRIES)
            return -errno;
        pid_t holder = ledger_lock_holder("/proc/locks", fd);
        if (holder > 0 && (kill(holder, 0) == 0 || errno != ESRCH))
            return -EWOULDBLOCK;
        (void)poll(NULL, 0, DYING_PAUSE_MS);
    }
}

static bool still_named(const char *path, int fd) {
    struct stat locked, named;
    return fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
           locked.st_dev == named.st_dev;
}

/* O_NONBLOCK: a FIFO of that name must not hang us; on a file it means nothing. */
static int open_file(const char *path, int flags, int *ret_fd, struct failure *failure) {
    CLEANUP_CLOSE int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    struct stat status;
    if (fd < 0 && errno == ENOENT && !(flags & O_CREAT))
        return failure_set(failure, -ENOENT,
                           "there is no ledger %s; after -o name the folder that a run wrote to",
                           path);
    if (fd < 0 || fstat(fd, &status) < 0)
        return failure_set_errno(failure, -errno, "cannot open the ledger %s", path);
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL,
                           "the ledger %s is no plain file; name another one", path);
    *ret_fd = STEAL_FD(fd);
    return 0;
}

int ledger_lock_open_to_read(const char *path, int *ret_fd, struct failure *failure) {
    return open_file(path, O_RDONLY, ret_fd, failure);
}

int ledger_lock_open(const char *path, int *ret_fd, struct failure *failure) {
    for (int i = 0; i < MAX_TRIES; i++) {
        CLEANUP_CLOSE int fd = -1;
        int r = open_file(path, O_RDWR | O_APPEND | O_CREAT, &fd, failure);
        if (r < 0)
            return r;
        r = lock(fd);
        if (r == -EWOULDBLOCK)
            return refuse_locked(path, fd, failure);
        if (r < 0)
            return failure_set_errno(failure, r, "cannot lock the ledger %s", path);
        if (still_named(path, fd)) {
            *ret_fd = STEAL_FD(fd);
            return 0;
        }
    }
    return failure_set(failure, -EBUSY, "the ledger %s is being replaced over and over", path);
}

const char *ledger_lock_network_name(int fd) {
    struct statfs system;
    if (fstatfs(fd, &system) < 0)
        return NULL;
    switch ((unsigned)system.f_type) {
    case NFS_SUPER_MAGIC:
        return "NFS";
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
        return "SMB";
    case AFS_SUPER_MAGIC:
        return "AFS";
    case CEPH_SUPER_MAGIC:
        return "Ceph";
    default:
        return NULL;
    }
}
