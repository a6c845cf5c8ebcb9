/* The control groups of a run: which level holds here, and our own tree where one does. A run goes
 * on without, and says why in the ledger. */
#ifndef SUPERVISOR_ENGINE_GROUPS_H
#define SUPERVISOR_ENGINE_GROUPS_H

#include "supervisor/process/cgroup_tree.h"

#include <jansson.h>

struct groups {
    struct cgroup_level level;
    struct cgroup_tree *tree; /* owned; NULL: none */
};

void groups_open(const char *ledger_id, struct groups *ret);
void groups_close(struct groups *groups);
/* {"level", "text"} and, with a tree, "folder". Caller owns; NULL when out of memory. */
json_t *groups_to_json(const struct groups *groups);

#endif
