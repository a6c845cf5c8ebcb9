/* How many tasks at once, with how many threads and what cap, and what that needs against what is
 * there: the deciding half of the pre-flight. Pure. */
#ifndef SUPERVISOR_MEMORY_PREFLIGHT_CHOICE_H
#define SUPERVISOR_MEMORY_PREFLIGHT_CHOICE_H

#include "supervisor/memory/preflight.h"
#include "supervisor/memory/sizing.h"

/* Tasks that will be started and can be predicted, with their place in the list. */
struct preflight_choice {
    struct forecast_task *tasks; /* owned */
    size_t *places;              /* owned */
    size_t count;
    struct sizing sizing; /* as chosen; borrows tasks */
};

void preflight_choice_free(struct preflight_choice *choice);

/* Fills the choice's sizing, and of the pre-flight all that follows from its machine, space and
 * the tasks' needs. */
MUST_USE int preflight_choice_make(const struct options *options, const struct model *model,
                                   struct preflight_choice *choice, struct preflight *preflight,
                                   struct failure *failure);

#endif
