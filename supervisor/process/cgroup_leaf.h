/* The control group of one attempt: its limit, the kernel's counters about it, and its end.
 *
 * v2: memory.max, memory.swap.max = 0, memory.oom.group = 1 (a task dies as a whole), events from
 * memory.events.local. v1: memory.limit_in_bytes, memory.memsw.limit_in_bytes where swap is
 * counted; the killer takes one process, so the task's leader may live on.
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_LEAF_H
#define SUPERVISOR_PROCESS_CGROUP_LEAF_H

#include "supervisor/process/cgroup_tree.h"

/* How often it was out of memory at its own limit (v2: "oom" of memory.events.local; v1: see
 * cgroup_event.h, and memory.failcnt where the kernel does not tell), and how many of its processes
 * the kernel killed for want of memory, wherever that was short. */
struct cgroup_leaf_counters {
    uint64_t oom, oom_kill;
};

struct cgroup_leaf_facts {
    enum cgroup_level_kind kind; /* none: no group held it */
    uint64_t limit_bytes;        /* 0: none */
    struct cgroup_leaf_counters before, after;
    uint64_t peak_bytes; /* of all its processes and its page cache; 0: not told (v2 before 5.19) */
};

struct cgroup_leaf_usage {
    uint64_t anonymous_bytes; /* with shared memory and files in RAM: what cannot be dropped */
    uint64_t file_bytes;      /* page cache */
    uint64_t swap_bytes;
};

/* What a group's files say; -ENODATA when they are not there, cut short or no numbers. */
MUST_USE int cgroup_leaf_count(enum cgroup_level_kind kind, const char *folder,
                               struct cgroup_leaf_counters *ret);
MUST_USE int cgroup_leaf_measure(enum cgroup_level_kind kind, const char *folder,
                                 struct cgroup_leaf_usage *ret);

struct cgroup_leaf;

/* limit_bytes 0: no limit; the group is for its counters and its end. Borrows tree. */
MUST_USE int cgroup_leaf_open(struct cgroup_tree *tree, uint64_t limit_bytes,
                              struct cgroup_leaf **ret, struct failure *failure);
/* For CLONE_INTO_CGROUP (v2), and cgroup.procs for a child that writes itself into it. -1: it
 * cannot be. Owned by the leaf. */
int cgroup_leaf_clone_fd(const struct cgroup_leaf *leaf);
int cgroup_leaf_procs_fd(const struct cgroup_leaf *leaf);
/* The child is in: the descriptors are not needed any more. */
void cgroup_leaf_entered(struct cgroup_leaf *leaf);

/* Once, after the exit and before the removal. Counters that cannot be read are no facts: kind is
 * none.
 */
void cgroup_leaf_read(struct cgroup_leaf *leaf, struct cgroup_leaf_facts *ret);
/* What it holds now. -ENODATA. */
MUST_USE int cgroup_leaf_look(const struct cgroup_leaf *leaf, struct cgroup_leaf_usage *ret);
int cgroup_leaf_kill(struct cgroup_leaf *leaf); /* as cgroup_group_kill */
/* -EBUSY while something is in it. */
MUST_USE int cgroup_leaf_remove(struct cgroup_leaf *leaf);
/* Lets go of it; what was not removed goes with the tree. NULL is fine. */
void cgroup_leaf_close(struct cgroup_leaf *leaf);

#endif
