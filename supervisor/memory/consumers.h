/* Who else uses the machine's memory, for a person to read: the programs that hold most, each with
 * all its processes. Only what /proc shows to us. */
#ifndef SUPERVISOR_MEMORY_CONSUMERS_H
#define SUPERVISOR_MEMORY_CONSUMERS_H

#include <stddef.h>
#include <sys/types.h>

enum { CONSUMERS_TEXT_BYTES = 160 };

/* "firefox 3.1 GiB, python3 840 MiB": the largest three of at least 1 % of what all hold, without
 * us and without the sessions in ours; "" when there are none. group: only those in this control
 * group, as cgroup_limits.h tells its path, and below it; "" is everywhere. */
void consumers_describe(const char *proc_root, const char *group, const pid_t *ours, size_t n_ours,
                        char ret[CONSUMERS_TEXT_BYTES]);

#endif
