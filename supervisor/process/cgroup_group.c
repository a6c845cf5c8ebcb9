/* See cgroup_group.h. A pid that cgroup.procs lists may have ended and be somebody else's before we
 * signal it; so it is held by a pidfd first, and signalled when the list still has it: either it is
 * still the same process, or the one that we hold is dead and the signal goes nowhere.
 */
#include "supervisor/process/cgroup_group.h"

#include "common/clock.h"
#include "common/names.h"
#include "supervisor/process/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

enum {
    GROUP_MOST_DEPTH = 16, /* of groups that a task made inside its own */
    GROUP_AT_ONCE = 64,    /* processes held by a pidfd */
    GROUP_PAUSE_MS = 2,
    GROUP_NUMBER_BYTES = 24,
};

int cgroup_group_write(const char *folder, const char *name, const char *text) {
    CLEANUP_FREE char *path = names_format("%s/%s", folder, name);
    if (!path)
        return -ENOMEM;
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const size_t length = strlen(text);
    const ssize_t n = write(fd, text, length);
    if (n < 0)
        return -errno;
    return (size_t)n == length ? 0 : -EIO;
}

int cgroup_group_write_number(const char *folder, const char *name, uint64_t value) {
    char text[GROUP_NUMBER_BYTES];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return cgroup_group_write(folder, name, text);
}

/* ---- the groups below ---- */

typedef int (*visit_cb)(void *context, const char *folder);

static void close_folder(DIR **folder) {
    if (*folder)
        (void)closedir(*folder); /* it was only read */
}

/* The deepest first. Stops at what is not 0 and returns it. */
static int walk(const char *path, int depth, visit_cb visit, void *context) {
    CLEANUP(close_folder) DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? 0 : -errno;
    const struct dirent *entry = NULL;
    while (depth < GROUP_MOST_DEPTH && (entry = readdir(folder))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        CLEANUP_FREE char *below = names_format("%s/%s", path, entry->d_name);
        int r = below ? walk(below, depth + 1, visit, context) : -ENOMEM;
        if (r != 0)
            return r;
    }
    return visit(context, path);
}

/* ---- killing ---- */

/* Fills at most GROUP_AT_ONCE; ours is never among them. */
static int list_processes(const char *folder, pid_t *pids) {
    CLEANUP_FREE char *path = names_format("%s/cgroup.procs", folder);
    CLEANUP_FCLOSE FILE *list = path ? fopen(path, "re") : NULL;
    char line[32];
    int n = 0;
    while (list && n < GROUP_AT_ONCE && fgets(line, sizeof(line), list)) {
        const long pid = strtol(line, NULL, 10);
        if (pid > 0 && pid != getpid())
            pids[n++] = (pid_t)pid;
    }
    return n;
}

static bool is_listed(pid_t pid, const pid_t *pids, int count) {
    for (int i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

static int kill_listed(void *context, const char *folder) {
    int *seen = context;
    pid_t first[GROUP_AT_ONCE], second[GROUP_AT_ONCE];
    int pidfds[GROUP_AT_ONCE];
    const int n = list_processes(folder, first);
    for (int i = 0; i < n; i++)
        pidfds[i] = (int)syscall(SYS_pidfd_open, first[i], 0);
    const int n_second = n > 0 ? list_processes(folder, second) : 0;
    for (int i = 0; i < n; i++) {
        if (pidfds[i] >= 0 && is_listed(first[i], second, n_second))
            (void)spawn_signal(pidfds[i], SIGKILL); /* refused: it is counted, and told */
        if (pidfds[i] >= 0)
            (void)close(pidfds[i]);
    }
    *seen += n;
    return 0;
}

static int count_listed(void *context, const char *folder) {
    pid_t pids[GROUP_AT_ONCE];
    *(int *)context += list_processes(folder, pids);
    return 0;
}

int cgroup_group_kill(const char *folder) {
    int seen = 0;
    const bool at_once = cgroup_group_write(folder, "cgroup.kill", "1") == 0;
    /* a group that cannot be read holds nothing that we can end */
    (void)walk(folder, 0, at_once ? count_listed : kill_listed, &seen);
    return seen;
}

/* ---- removing ---- */

static int remove_one(void *context, const char *folder) {
    (void)context;
    return rmdir(folder) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_group_remove(const char *folder) {
    if (rmdir(folder) == 0 || errno == ENOENT) /* almost always: no look at what is in it */
        return 0;
    return walk(folder, 0, remove_one, NULL);
}

int cgroup_group_clear(const char *folder, int64_t limit_ms, int *ret_killed) {
    const int64_t until_ms = clock_monotonic_ms() + limit_ms;
    int most = 0;
    int r = cgroup_group_remove(folder);
    while (r == -EBUSY) {
        const int seen = cgroup_group_kill(folder);
        most = seen > most ? seen : most;
        r = cgroup_group_remove(folder);
        if (r != -EBUSY || clock_monotonic_ms() >= until_ms)
            break;
        (void)poll(NULL, 0, GROUP_PAUSE_MS);
    }
    *ret_killed += most;
    return r;
}
