/* Which kernel limits can be had here: a memory control group for each task by cgroup v2, by v1, or
 * none, and one sentence that says so and why.
 *
 * Looks and changes nothing. Groups are made below the one that we are in, and only where that is
 * ours to divide: on v2 one that was delegated to us (systemd's mark, the extended attribute
 * user.delegate or trusted.delegate, or the word of a user's manager), or any that we may write on
 * a machine without systemd; and nobody but us may be in it, for a v2 group has either processes or
 * controlled groups in it, and other people's processes are not moved. On v1 it is enough that we
 * may write.
 *
 * Kernel files are read below a given root; the cgroup file systems are where mountinfo says.
 * Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the kernel,
 * cgroups(7), systemd's "Control Group APIs and Delegation".
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_LEVEL_H
#define SUPERVISOR_PROCESS_CGROUP_LEVEL_H

#include <stdbool.h>
#include <sys/types.h>

#define CGROUP_LEVEL_PROC "/proc"
#define CGROUP_LEVEL_SYSTEMD "/run/systemd/system" /* is there where systemd runs: sd_booted(3) */

enum cgroup_level_kind { CGROUP_LEVEL_NONE, CGROUP_LEVEL_V1, CGROUP_LEVEL_V2, CGROUP_LEVEL_COUNT };
enum { CGROUP_LEVEL_FOLDER_BYTES = 1024, CGROUP_LEVEL_TEXT_BYTES = 1536 };

struct cgroup_level {
    enum cgroup_level_kind kind;
    bool is_root; /* v2: the hierarchy's root, which may hold processes beside groups */
    char folder[CGROUP_LEVEL_FOLDER_BYTES]; /* of the group that we are in; "": unknown */
    char text[CGROUP_LEVEL_TEXT_BYTES];     /* the sentence, without a full stop */
};

/* What the answer depends on. */
struct cgroup_level_place {
    const char *proc_root;
    const char *systemd_folder;
    pid_t self;
    bool is_privileged;         /* root: decides the advice alone */
    bool (*asks_manager)(void); /* cgroup_manager_delegates; NULL: nobody is asked */
};

/* This machine, this process. */
struct cgroup_level_place cgroup_level_here(void);
void cgroup_level_find(const struct cgroup_level_place *place, struct cgroup_level *ret);
/* "none", "v1", "v2". */
const char *cgroup_level_name(enum cgroup_level_kind kind);

#endif
