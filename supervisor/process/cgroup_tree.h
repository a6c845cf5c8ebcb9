/* Our own control group, in which each attempt gets a leaf: made for a run, gone after it.
 *
 *     <the group we are in>/registrar-<ledger id>-<pid>-<start ticks>/task-1, task-2, ...    (v1)
 *                                                                    /tasks/task-1, ...      (v2)
 *                                                                    /supervisor             (v2)
 *
 * On v2 we move into the leaf "supervisor" first, for only a group without processes may pass its
 * memory controller on, and move back at the end: the group that we were given is then as it was.
 * On v1 we stay where we are. All leaves together stay a little below the limits above, so that a
 * shortage there takes a task and not us. What a killed supervisor left is known by its name: the
 * ledger's id, whose lock we hold, and a process that is no more.
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_TREE_H
#define SUPERVISOR_PROCESS_CGROUP_TREE_H

#include "common/failure.h"
#include "supervisor/process/cgroup_level.h"

#include <stdint.h>

struct cgroup_tree;

/* level: not none. The failure says why it cannot be; nothing is left of it then. */
MUST_USE int cgroup_tree_open(const struct cgroup_level *level, const char *ledger_id,
                              struct cgroup_tree **ret, struct failure *failure);
/* Ends what is left in it, moves us back and removes it. NULL is fine. */
void cgroup_tree_close(struct cgroup_tree *tree);

enum cgroup_level_kind cgroup_tree_kind(const struct cgroup_tree *tree);
const char *cgroup_tree_folder(const struct cgroup_tree *tree); /* borrowed */
const char *cgroup_tree_tasks(const struct cgroup_tree *tree);  /* the leaves' place; borrowed */
/* v1: how often our own group or one above was out of memory since the tree was opened; each leaf
 * is told of that too. */
uint64_t cgroup_tree_oom(struct cgroup_tree *tree);
/* The number of the next leaf, which is about to be made. */
uint64_t cgroup_tree_next(struct cgroup_tree *tree);

/* Ends and removes the groups of dead supervisors of this ledger: those in the group that we are
 * in, and `recorded`, the folder that the ledger knows (NULL: none). Returns how many processes
 * were in them. Call while the ledger's lock is held. */
int cgroup_tree_clear_leftovers(const struct cgroup_level *level, const char *recorded,
                                const char *ledger_id);

#endif
