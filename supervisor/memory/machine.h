/* What the machine has for us now: memory that may be used without harm to others, and cores. */
#ifndef SUPERVISOR_MEMORY_MACHINE_H
#define SUPERVISOR_MEMORY_MACHINE_H

#include "common/failure.h"
#include "supervisor/memory/cgroup_limits.h"

struct machine {
    uint64_t available_bytes;    /* the least of what the kernel and our control groups leave */
    uint64_t total_bytes;        /* of RAM; UINT64_MAX: unknown */
    bool is_cgroup_bound;        /* it is a control group that leaves the least */
    struct cgroup_limits cgroup; /* for advice */
    int cores;                   /* at least 1: affinity and CPU quota considered */
};

#define MACHINE_PROC_ROOT "/proc"
#define MACHINE_CGROUP_ROOT "/sys/fs/cgroup"

/* -ENODATA when meminfo tells nothing. */
MUST_USE int machine_read(const char *proc_root, const char *cgroup_root, struct machine *ret,
                          struct failure *failure);

#endif
