/* A control group as what it is, a folder: writing to its files, ending all that is in it, removing
 * it. All of it holds for v1 and v2, and for the groups below, which a task may have made itself.
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_GROUP_H
#define SUPERVISOR_PROCESS_CGROUP_GROUP_H

#include "common/cleanup.h"

#include <stdint.h>

/* One write, as such files want it. */
MUST_USE int cgroup_group_write(const char *folder, const char *name, const char *text);
MUST_USE int cgroup_group_write_number(const char *folder, const char *name, uint64_t value);

/* SIGKILL to every process in the group and below: by cgroup.kill (v2, Linux 5.14) where there is
 * one, else each in turn, and then what they start meanwhile may be missed: call again until it
 * returns 0, the number of processes that were there. */
int cgroup_group_kill(const char *folder);

/* Removes the group and those below it. -EBUSY while a process is in one. Gone already is fine. */
MUST_USE int cgroup_group_remove(const char *folder);

/* Both, until it is gone, for at most limit_ms. *ret_killed grows by those that were there. Never
 * waits for a group that was empty. */
MUST_USE int cgroup_group_clear(const char *folder, int64_t limit_ms, int *ret_killed);

#endif
