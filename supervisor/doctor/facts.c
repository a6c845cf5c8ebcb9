/* See facts.h. Files are read below a root, so that tests can show other machines; what the kernel
 * is asked by system calls (the sandbox, the clock) is this one's.
 */
#include "supervisor/doctor/facts.h"

#include "common/kernel_support.h"
#include "supervisor/ledger/ledger_lock.h"
#include "supervisor/memory/kernel_file.h"
#include "supervisor/memory/probe.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>

/* root and path as one. */
static const char *below(const struct facts_place *place, const char *path, char ret[PATH_MAX]) {
    (void)snprintf(ret, PATH_MAX, "%s%s", place->root, path); /* cut: it is not there */
    return ret;
}

static bool exists(const struct facts_place *place, const char *path) {
    char whole[PATH_MAX];
    return access(below(place, path, whole), F_OK) == 0;
}

static bool read_text(const struct facts_place *place, const char *folder, const char *name,
                      char text[KERNEL_FILE_BYTES]) {
    char whole[PATH_MAX];
    return kernel_file_read(below(place, folder, whole), name, text, KERNEL_FILE_BYTES);
}

/* "cpuset cpu io memory pids": whole words. */
static bool has_word(const char *text, const char *word) {
    const size_t length = strlen(word);
    for (; *text; text += strspn(text, " \n")) {
        const size_t n = strcspn(text, " \n");
        if (n == length && strncmp(text, word, n) == 0)
            return true;
        text += n;
    }
    return false;
}

static void read_groups(const struct facts_place *place, struct facts *ret) {
    char text[KERNEL_FILE_BYTES], proc[PATH_MAX], systemd[PATH_MAX];
    ret->has_v2 = read_text(place, "/sys/fs/cgroup", "cgroup.controllers", text);
    ret->has_memory_groups = ret->has_v2 ? has_word(text, "memory")
                                         : exists(place, "/sys/fs/cgroup/memory/cgroup.procs");
    struct cgroup_level_place where = cgroup_level_here();
    where.proc_root = below(place, "/proc", proc);
    where.systemd_folder = below(place, "/run/systemd/system", systemd);
    cgroup_level_find(&where, &ret->level);
}

static void read_kernel(const struct facts_place *place, struct facts *ret) {
    char text[KERNEL_FILE_BYTES];
    ret->has_pressure = read_text(place, "/proc/pressure", "memory", text);
    ret->landlock = kernel_support_landlock();
    ret->has_seccomp = kernel_support_seccomp();
    struct timex clock = {.modes = 0}; /* only asks */
    ret->is_synchronised = adjtimex(&clock) >= 0 && !(clock.status & STA_UNSYNC);
    ret->now_s = time(NULL);
    struct rlimit files;
    ret->max_files = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_max : 0;
}

static uint64_t read_kib(const char *text, const char *key) {
    uint64_t kib = 0;
    return kernel_file_find_u64(text, key, &kib) ? kib << 10 : 0;
}

static void read_memory(const struct facts_place *place, struct facts *ret) {
    char text[KERNEL_FILE_BYTES], folder[PATH_MAX];
    uint64_t overcommit = 0;
    if (read_text(place, "/proc", "meminfo", text)) {
        ret->memory_bytes = read_kib(text, "MemTotal:");
        ret->swap_bytes = read_kib(text, "SwapTotal:");
        ret->swap_free_bytes = read_kib(text, "SwapFree:");
    }
    if (kernel_file_read_u64(below(place, "/proc/sys/vm", folder), "overcommit_memory",
                             &overcommit))
        ret->overcommit = (int)overcommit;
}

static void read_disk(const struct facts_place *place, struct facts *ret) {
    ret->space_error = space_read(place->state_dir, &ret->space, NULL);
    if (ret->space_error < 0)
        return;
    struct statvfs disk;
    if (statvfs(ret->space.existing, &disk) == 0)
        ret->disk_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
    CLEANUP_CLOSE int fd = open(ret->space.existing, O_PATH | O_CLOEXEC);
    ret->network = fd < 0 ? NULL : ledger_lock_network_name(fd);
}

static void read_user(const struct facts_place *place, struct facts *ret) {
    const struct passwd *entry = getpwuid(geteuid());
    char path[PATH_MAX];
    (void)snprintf(ret->user, sizeof(ret->user), "%s", entry ? entry->pw_name : "");
    (void)snprintf(path, sizeof(path), "/var/lib/systemd/linger/%s", ret->user);
    ret->is_root = geteuid() == 0;
    ret->lingers = ret->user[0] && exists(place, path);
}

void facts_read(const struct facts_place *place, struct facts *ret) {
    *ret = (struct facts){
        .has_systemd = exists(place, "/run/systemd/system"),
        .has_journal = exists(place, "/run/systemd/journal/socket"),
        .keeps_journal = exists(place, "/var/log/journal"),
    };
    read_groups(place, ret);
    read_kernel(place, ret);
    read_memory(place, ret);
    read_disk(place, ret);
    read_user(place, ret);
    CLEANUP_FREE char *worker = NULL;
    ret->has_worker = probe_find_worker(&worker, NULL) == 0;
}
