/* See state_dir.h. A child that a killed daemon had just cloned holds a copy of the descriptor
 * until it execs or follows its parent; so a lock whose holder is dead is waited for, a little.
 */
#include "supervisor/service/state_dir.h"

#include "common/atomic_file.h"
#include "supervisor/ledger/ledger_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { DYING_TRIES = 200, DYING_PAUSE_MS = 10 };

static int make_folder(const char *path, struct failure *failure) {
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return failure_set_errno(failure, -errno, "cannot make the state folder %s", path);
    CLEANUP_FREE char *parent = strdup(path);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    if (!slash)
        return failure_set_errno(failure, -ENOMEM, "cannot make the state folder %s", path);
    *slash = '\0';
    int r = atomic_file_make_folders(parent, failure);
    if (r == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
        r = failure_set_errno(failure, -errno, "cannot make the state folder %s", path);
    return r;
}

/* What stands in there decides what root runs, and as whom. */
static int check_folder(const char *path, int fd, struct failure *failure) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return failure_set_errno(failure, -errno, "the state folder %s", path);
    if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)))
        return failure_set(failure, -EPERM,
                           "the state folder %s belongs to another user or can be written by "
                           "others; it must be the daemon's own: chown and chmod go-w it, or "
                           "give another --state-dir",
                           path);
    return 0;
}

static int lock(const char *path, int fd, struct failure *failure) {
    for (int i = 0;; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return failure_set_errno(failure, -errno, "cannot lock the state folder %s", path);
        const pid_t holder = ledger_lock_holder("/proc/locks", fd);
        const bool is_alive = holder > 0 && (kill(holder, 0) == 0 || errno != ESRCH);
        char who[64] = "";
        if (holder > 0)
            (void)snprintf(who, sizeof(who), " (process %d)", (int)holder);
        if (is_alive || i == DYING_TRIES)
            return failure_set(failure, -EWOULDBLOCK,
                               "another daemon%s serves %s; stop it, or give another --state-dir",
                               who, path);
        (void)poll(NULL, 0, DYING_PAUSE_MS);
    }
}

int state_dir_open(const char *path, int *ret_fd, const char **ret_network,
                   struct failure *failure) {
    int r = make_folder(path, failure);
    if (r < 0)
        return r;
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "the state folder %s", path);
    r = check_folder(path, fd, failure);
    if (r == 0)
        r = lock(path, fd, failure);
    if (r < 0)
        return r;
    *ret_network = ledger_lock_network_name(fd);
    *ret_fd = STEAL_FD(fd);
    return 0;
}
