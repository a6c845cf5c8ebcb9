/* See sandbox.h. Landlock comes first, as the filter would deny what it needs; the limits come
 * before both for no reason but that they are the simplest. */
#include "worker/sandbox/sandbox.h"

#include "common/atomic_file.h"
#include "common/kernel_support.h"
#include "worker/sandbox/call_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { SANDBOX_FILES = 256 }; /* a task needs about twenty */

static void tell(const struct failure *failure) {
    (void)fprintf(stderr, "registrar-worker: without a part of the sandbox: %s\n", failure->text);
}

/* A core file holds the images, and takes the disk that the results need. Lowering is always
 * allowed. */
static void set_limits(void) {
    struct rlimit files = {SANDBOX_FILES, SANDBOX_FILES};
    struct rlimit before;
    if (getrlimit(RLIMIT_NOFILE, &before) == 0 && before.rlim_cur < files.rlim_cur)
        files.rlim_cur = before.rlim_cur;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    (void)setrlimit(RLIMIT_MSGQUEUE, &(struct rlimit){0, 0});
}

static int make_folder(const char *path, struct failure *failure) {
    struct stat status;
    return path && stat(path, &status) < 0 ? atomic_file_make_folders(path, failure) : 0;
}

int sandbox_enter(const struct landlock_paths *paths, int report_fd, struct failure *failure) {
    struct failure missing;
    int r = make_folder(paths->output, failure);
    if (r == 0)
        r = make_folder(paths->shared, failure);
    if (r < 0)
        return r;
    set_limits();
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* known since Linux 3.5; else both below fail */
    r = landlock_enter(paths, &missing);
    if (r < 0)
        tell(&missing);
    const bool may_link =
        r == 0 && paths->shared && kernel_support_landlock() >= LANDLOCK_KNOWS_LINKS;
    if (call_filter_enter(report_fd, may_link, &missing) < 0)
        tell(&missing);
    return may_link ? 1 : 0;
}

bool sandbox_refuses(const char *path) {
    /* Landlock looks at opening, not at asking whether one could */
    return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
}
