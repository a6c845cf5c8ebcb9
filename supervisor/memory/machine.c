/* See machine.h. MemAvailable is the kernel's own estimate of what can be had without swapping:
 * tmpfs and unreclaimable caches are already out of it (proc_meminfo(5)). */
#include "supervisor/memory/machine.h"

#include "supervisor/memory/kernel_file.h"

#include <errno.h>
#include <math.h>
#include <sched.h>

enum { MAX_CPUS = 8192 };

static int count_cores(double quota) {
    cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
    int cores = 0;
    if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(MAX_CPUS), set) == 0)
        cores = CPU_COUNT_S(CPU_ALLOC_SIZE(MAX_CPUS), set);
    CPU_FREE(set);
    if (cores < 1)
        cores = 1;
    /* part of a core is a core that is busy part of the time */
    return quota > 0 && ceil(quota) < cores ? (int)ceil(quota) : cores;
}

int machine_read(const char *proc_root, const char *cgroup_root, struct machine *ret,
                 struct failure *failure) {
    char text[KERNEL_FILE_BYTES];
    uint64_t available_kib = 0;
    if (!kernel_file_read(proc_root, "meminfo", text, sizeof(text)) ||
        !kernel_file_find_u64(text, "MemAvailable:", &available_kib) ||
        available_kib > UINT64_MAX / 1024)
        return failure_set(failure, -ENODATA,
                           "%s/meminfo does not tell how much memory is available; is /proc "
                           "mounted?",
                           proc_root);
    uint64_t total_kib = UINT64_MAX / 1024;
    (void)kernel_file_find_u64(text, "MemTotal:", &total_kib); /* it is for advice alone */
    struct machine machine = {
        .total_bytes = total_kib < UINT64_MAX / 1024 ? total_kib * 1024 : UINT64_MAX,
        .available_bytes = available_kib * 1024,
        .cgroup = cgroup_limits_read(proc_root, cgroup_root),
    };
    machine.cores = count_cores(machine.cgroup.cores);
    if (machine.cgroup.has_memory_limit &&
        machine.cgroup.memory_room_bytes < machine.available_bytes) {
        machine.available_bytes = machine.cgroup.memory_room_bytes;
        machine.is_cgroup_bound = true;
    }
    *ret = machine;
    return 0;
}
