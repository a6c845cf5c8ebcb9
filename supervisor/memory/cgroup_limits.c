/* See cgroup_limits.h. /proc/self/cgroup tells our group's path, but in a container the mount may
 * show that very group as its root: levels that are not there are passed over, and the root of the
 * mount is always looked at. */
#include "supervisor/memory/cgroup_limits.h"

#include "common/names.h"
#include "supervisor/memory/kernel_file.h"

#include <string.h>

/* How one version calls its files. */
struct dialect {
    const char *limit, *soft_limit, *usage, *reclaimable, *active;
    bool has_hierarchy_switch;
};

static const struct dialect version_2 = {"memory.max",    "memory.high", "memory.current",
                                         "inactive_file", "active_file", false};
static const struct dialect version_1 = {"memory.limit_in_bytes", NULL,
                                         "memory.usage_in_bytes", "total_inactive_file",
                                         "total_active_file",     true};

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Page cache that nobody has used lately goes before anybody is killed for it. Of the part in
 * active use half can be had, though at a price, as in the kernel's own MemAvailable: or else a
 * batch that reads large files would look short of memory. */
static uint64_t unreclaimable_usage(const struct dialect *dialect, const char *folder) {
    uint64_t usage = 0, reclaimable = 0, active = 0;
    char stat[KERNEL_FILE_BYTES];
    if (!kernel_file_read_u64(folder, dialect->usage, &usage))
        return 0;
    if (kernel_file_read(folder, "memory.stat", stat, sizeof(stat))) { /* none: 0 */
        (void)kernel_file_find_u64(stat, dialect->reclaimable, &reclaimable);
        (void)kernel_file_find_u64(stat, dialect->active, &active);
    }
    const uint64_t used = usage - least(usage, reclaimable);
    return used - least(used, active) / 2; /* the file may be nonsense */
}

static void consider_memory(const struct dialect *dialect, const char *folder, bool is_own,
                            size_t root_length, struct cgroup_limits *limits) {
    uint64_t limit = UINT64_MAX, soft = UINT64_MAX, hierarchy = 1;
    const bool has_limit = kernel_file_read_u64(folder, dialect->limit, &limit);
    const bool has_soft =
        dialect->soft_limit && kernel_file_read_u64(folder, dialect->soft_limit, &soft);
    if (!has_limit && !has_soft)
        return;
    /* without use_hierarchy a v1 group's limit does not reach the groups below */
    if (dialect->has_hierarchy_switch && !is_own &&
        kernel_file_read_u64(folder, "memory.use_hierarchy", &hierarchy) && hierarchy == 0)
        return;
    limit = least(limit, soft); /* above memory.high a task may be throttled for ever */
    const uint64_t room = limit - least(limit, unreclaimable_usage(dialect, folder));
    if (limits->has_memory_limit && room >= limits->memory_room_bytes)
        return;
    limits->has_memory_limit = true;
    limits->memory_limit_bytes = limit;
    limits->memory_room_bytes = room;
    (void)snprintf(limits->memory_path, sizeof(limits->memory_path), "%s", folder + root_length);
}

static void consider_cores(double quota, double period, struct cgroup_limits *limits) {
    if (quota <= 0 || period <= 0)
        return;
    if (limits->cores <= 0 || quota / period < limits->cores)
        limits->cores = quota / period;
}

static void consider_cpu(const struct dialect *dialect, const char *folder,
                         struct cgroup_limits *limits) {
    uint64_t quota = 0, period = 0;
    if (dialect == &version_2) { /* "200000 100000", or "max 100000" */
        char text[64];
        const char *space =
            kernel_file_read(folder, "cpu.max", text, sizeof(text)) ? strchr(text, ' ') : NULL;
        if (space && kernel_file_parse_u64(text, &quota) &&
            kernel_file_parse_u64(space + 1, &period))
            consider_cores((double)quota, (double)period, limits);
        return;
    }
    if (kernel_file_read_u64(folder, "cpu.cfs_quota_us", &quota) && /* -1, no quota, is no number */
        kernel_file_read_u64(folder, "cpu.cfs_period_us", &period))
        consider_cores((double)quota, (double)period, limits);
}

/* Goes from our own group up to the root of the mount. */
static void climb(const struct dialect *dialect, const char *mount, const char *group,
                  size_t root_length, struct cgroup_limits *limits) {
    /* "/../.." is a group outside our cgroup namespace: only the mount's root tells us anything */
    CLEANUP_FREE char *folder = names_format("%s%s", mount, strstr(group, "/..") ? "" : group);
    if (!folder)
        return;
    const size_t mount_length = strlen(mount);
    for (bool is_own = true;; is_own = false) {
        size_t length = strlen(folder);
        while (length > mount_length && folder[length - 1] == '/')
            folder[--length] = '\0';
        consider_memory(dialect, folder, is_own, root_length, limits);
        consider_cpu(dialect, folder, limits);
        char *slash = strrchr(folder + mount_length, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

static bool holds_word(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == length && strncmp(at, word, length) == 0)
            return true;
    return false;
}

/* One line of /proc/self/cgroup: "4:memory:/group" or, for v2, "0::/group". */
static void read_membership(char *line, const char *root, struct cgroup_limits *limits) {
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return;
    *controllers++ = '\0';
    *group++ = '\0';
    if (*controllers == '\0') {
        CLEANUP_FREE char *hybrid = names_format("%s/unified", root);
        climb(&version_2, root, group, strlen(root), limits);
        if (hybrid)
            climb(&version_2, hybrid, group, strlen(root), limits);
        return;
    }
    static const char *const wanted[] = {"memory", "cpu"};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        CLEANUP_FREE char *mount = names_format("%s/%s", root, wanted[i]);
        if (mount && holds_word(controllers, wanted[i]))
            climb(&version_1, mount, group, strlen(root), limits);
    }
}

struct cgroup_limits cgroup_limits_read(const char *proc_root, const char *cgroup_root) {
    struct cgroup_limits limits = {0};
    char text[KERNEL_FILE_BYTES];
    CLEANUP_FREE char *self = names_format("%s/self", proc_root);
    if (!self || !kernel_file_read(self, "cgroup", text, sizeof(text)))
        return limits;
    char *end;
    for (char *line = text; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        read_membership(line, cgroup_root, &limits);
    }
    return limits;
}
