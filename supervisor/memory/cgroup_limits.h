/* What the control groups that we are in leave us: cgroup v2, v1, both at once, or none.
 *
 * Limits count at every level: our own group and all above it. Kernel files are read below given
 * roots, so that tests can feed others. Source: Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst of the kernel.
 */
#ifndef SUPERVISOR_MEMORY_CGROUP_LIMITS_H
#define SUPERVISOR_MEMORY_CGROUP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum { CGROUP_LIMITS_PATH_BYTES = 512 };

struct cgroup_limits {
    bool has_memory_limit;
    uint64_t memory_limit_bytes; /* of the level with the least room */
    uint64_t memory_room_bytes;  /* limit less what is in use and cannot be reclaimed */
    char memory_path[CGROUP_LIMITS_PATH_BYTES]; /* that level's folder below the root, for advice */
    double cores;                               /* the least CPU quota; 0: none */
};

/* proc_root is usually "/proc", cgroup_root "/sys/fs/cgroup". Whatever is missing, cut short or
 * not a number sets no limit. */
struct cgroup_limits cgroup_limits_read(const char *proc_root, const char *cgroup_root);

#endif
