/* flock(2) and no file that stands for a lock: nothing is left locked by a death. It is asked for
 * again and again rather than waited for: a stop must be seen, and the supervisor told that nothing
 * is wrong. See shared_stage.h. */
#include "worker/stage/shared_stage.h"

#include "common/atomic_file.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

static const struct timespec PAUSE = {.tv_nsec = 50 * 1000 * 1000};

char *shared_stage_folder(const char *shared, const char *stage, const char *key) {
    char *folder = NULL;
    return asprintf(&folder, "%s/%s-%.16s", shared, stage, key) < 0 ? NULL : folder;
}

/* The folder may have been removed, as nobody seemed to need it, between being opened and locked.
 */
static bool is_there(int fd, const char *path) {
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

int shared_stage_try_claim(const char *folder, int *ret, struct failure *failure) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/lock", folder) < 0) {
        path = NULL;
        return failure_set(failure, -ENOMEM, "no memory for a path below %s", folder);
    }
    int r = atomic_file_make_folders(folder, failure);
    if (r < 0)
        return r;
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 && errno == ENOENT) /* removed just now: made anew by the next try */
        return -EWOULDBLOCK;
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EWOULDBLOCK
                                    : failure_set_errno(failure, -errno, "cannot lock %s", path);
    if (!is_there(fd, path))
        return -EWOULDBLOCK;
    *ret = STEAL_FD(fd);
    return 0;
}

int shared_stage_claim(const char *folder, struct progress *progress, int *ret,
                       struct failure *failure) {
    for (;;) {
        int r = shared_stage_try_claim(folder, ret, failure);
        if (r != -EWOULDBLOCK)
            return r;
        r = progress_wait(progress);
        if (r < 0)
            return r;
        (void)nanosleep(&PAUSE, NULL); /* cut short: it only asks earlier */
    }
}

int shared_stage_link(const char *path, const char *second, struct failure *failure) {
    /* the call that the sandbox allows */
    int r = linkat(AT_FDCWD, path, AT_FDCWD, second, 0);
    if (r < 0 && errno == EEXIST && unlink(second) == 0)
        r = linkat(AT_FDCWD, path, AT_FDCWD, second, 0);
    if (r < 0)
        return failure_set_errno(failure, -errno, "cannot give %s a second name", path);
    return atomic_file_sync_folder(second, failure);
}
