/* See landlock.h. Raw system calls with the numbers spelled out: libc wraps none of them, and the
 * headers of the machine that builds are often older than the kernel that runs. A kernel refuses
 * rights that it does not know, so its version decides what is asked of it.
 */
#include "worker/sandbox/landlock.h"

#include "common/kernel_support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#ifndef SYS_landlock_add_rule /* headers before Linux 5.13; the same on all machines */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define RIGHT(bit) (UINT64_C(1) << (bit))

static const uint64_t right_write_file = RIGHT(1), right_read_file = RIGHT(2),
                      right_read_folder = RIGHT(3), right_remove_folder = RIGHT(4),
                      right_remove_file = RIGHT(5), right_make_folder = RIGHT(7),
                      right_make_file = RIGHT(8), right_move = RIGHT(13), right_cut = RIGHT(14);

enum {
    LANDLOCK_RULE_PATH = 1, /* LANDLOCK_RULE_PATH_BENEATH */
    LANDLOCK_VERSIONS = 6,  /* later ones add nothing that is wanted here */
};

/* All that each version of the interface can take away: what is not given back by a rule is gone.
 * Bits of files: execute, and the above, special files, links (1); moving between folders (2);
 * cutting files (3); device ioctls (5). */
static const struct {
    uint64_t files, tcp, scopes;
} handled[LANDLOCK_VERSIONS + 1] = {
    [1] = {RIGHT(13) - 1, 0, 0},
    [2] = {RIGHT(14) - 1, 0, 0},
    [3] = {RIGHT(15) - 1, 0, 0},
    [4] = {RIGHT(15) - 1, RIGHT(2) - 1, 0},
    [5] = {RIGHT(16) - 1, RIGHT(2) - 1, 0},
    [6] = {RIGHT(16) - 1, RIGHT(2) - 1, RIGHT(2) - 1},
};

/* Longer than old kernels know: they take it, as what they do not know is 0. */
struct ruleset {
    uint64_t files, tcp, scopes;
};

struct __attribute__((packed)) path_rule {
    uint64_t allowed;
    int32_t folder;
};

/* A rule holds on to its inode; but procfs makes a new one when memory was short and nobody used
 * the old one. So its descriptor stays open, to the end of the process. */
static void keep_if_proc(int *fd) {
    struct statfs system;
    if (fstatfs(*fd, &system) == 0 && system.f_type == PROC_SUPER_MAGIC)
        *fd = -1;
}

/* A rule for a file may name only what can be done to a file. What is not there, or not for us, is
 * left out: opening it will say why. */
static int allow(int ruleset, const char *path, uint64_t rights, struct failure *failure) {
    static const uint64_t of_files = RIGHT(1) | RIGHT(2) | RIGHT(14);
    CLEANUP_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return 0;
    const struct path_rule rule = {S_ISDIR(status.st_mode) ? rights : rights & of_files, fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH, &rule, 0) < 0)
        return failure_set_errno(failure, -errno, "Landlock refuses a rule for %s", path);
    keep_if_proc(&fd);
    return 0;
}

/* What code that is already loaded may open at any time: libraries that are loaded late, what tells
 * of the machine and of this process, and devices that are none. */
static int allow_usual(int ruleset, uint64_t read, uint64_t write, struct failure *failure) {
    static const char *const readable[] = {
        "/usr/lib",       "/usr/lib32",          "/usr/lib64",
        "/usr/local/lib", "/usr/share",          "/lib",
        "/lib64",         "/etc/ld.so.cache",    "/etc/localtime",
        "/proc/self",     "/proc/self/exe",      "/proc/cpuinfo",
        "/proc/meminfo",  "/proc/stat",          "/proc/sys/kernel",
        "/proc/sys/vm",   "/sys/devices/system", "/sys/fs/cgroup",
        "/dev/urandom",   "/dev/random"};
    static const char *const writable[] = {"/dev/null", "/dev/zero", "/dev/full"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(readable); i++)
        r = allow(ruleset, readable[i], read, failure);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(writable); i++)
        r = allow(ruleset, writable[i], read | write, failure);
    return r;
}

int landlock_enter(const struct landlock_paths *paths, struct failure *failure) {
    const int offered = kernel_support_landlock();
    const int version = offered < LANDLOCK_VERSIONS ? offered : LANDLOCK_VERSIONS;
    const struct ruleset all = {handled[version].files, handled[version].tcp,
                                handled[version].scopes};
    if (version == 0)
        return failure_set(failure, -ENOSYS, "this kernel offers no Landlock");
    CLEANUP_CLOSE int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    if (ruleset < 0)
        return failure_set_errno(failure, -errno, "Landlock refuses to begin");
    const uint64_t read = right_read_file | right_read_folder;
    const uint64_t write = (right_write_file | right_remove_folder | right_remove_file |
                            right_make_folder | right_make_file | right_move | right_cut) &
                           all.files;
    int r = allow_usual(ruleset, read, write & (right_write_file | right_cut), failure);
    for (size_t i = 0; r == 0 && i < paths->n_inputs; i++)
        r = allow(ruleset, paths->inputs[i], right_read_file, failure);
    if (r == 0 && paths->output)
        r = allow(ruleset, paths->output, read | write, failure);
    if (r == 0 && paths->shared)
        r = allow(ruleset, paths->shared, read | write, failure);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = failure_set_errno(failure, -errno, "Landlock refuses to hold this process");
    return r;
}
