/* --sweep: each pair once with each value of a parameter; with several, each combination.
 *
 * A variant of the pair CD070/DAPI is the task CD070/DAPI@scale_max=1.1, or with two parameters
 * CD070/DAPI@scale_max=1.1,model=affine, in the order in which they were given. A list of channels
 * has "+" between them. Variants of a pair share what they have in common in a folder beside
 * theirs, CD070/DAPI@shared, which is there while they run.
 */
#ifndef SUPERVISOR_BATCH_SWEEP_H
#define SUPERVISOR_BATCH_SWEEP_H

#include "supervisor/batch/task.h"

enum { SWEEP_MOST_VARIANTS = 256 /* of one pair */ };

struct sweep_axis {
    char *name;
    json_t *values; /* array of at least one, all different, each allowed */
};

struct sweep {
    struct sweep_axis *axes; /* owned */
    size_t n_axes;
};

/* Adds "NAME=A,B,...". -EINVAL with a sentence for a name or a value that is none, or comes twice.
 */
MUST_USE int sweep_add(struct sweep *sweep, const char *text, struct failure *failure);
void sweep_free(struct sweep *sweep);

/* Each combination must make sense together with the other parameters, and none of these may be
 * one that is swept. */
MUST_USE int sweep_check(const struct sweep *sweep, const json_t *params, struct failure *failure);

/* Puts its variants in the place of each pair that is not broken. Without axes nothing changes. */
MUST_USE int sweep_apply(const struct sweep *sweep, struct task_list *tasks,
                         struct failure *failure);

#endif
