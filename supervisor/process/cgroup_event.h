/* cgroup v1: how often a group was out of memory, at its own limit or at one above it.
 *
 * v1 has no counter for that: memory.failcnt also counts what page cache could be dropped for,
 * thousands of times while a file is read. An eventfd on memory.oom_control is told just before the
 * killer looks for its victim; so is one on each group below. A shortage of the whole machine tells
 * nobody. Source: Documentation/admin-guide/cgroup-v1/memory.rst, section 10.
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_EVENT_H
#define SUPERVISOR_PROCESS_CGROUP_EVENT_H

#include "common/cleanup.h"

#include <stdint.h>

/* The eventfd (caller owns; close ends it), or a negative errno: this kernel does not tell. */
MUST_USE int cgroup_event_open(const char *folder);
/* How often since it was last asked. */
uint64_t cgroup_event_take(int fd);

#endif
