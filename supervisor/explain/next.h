/* What happens next to a task, or what to type. Pure. */
#ifndef SUPERVISOR_EXPLAIN_NEXT_H
#define SUPERVISOR_EXPLAIN_NEXT_H

#include "supervisor/explain/story.h"

struct next_facts {
    enum story_state state;
    const char *out; /* the run's output folder, as the user would type it */
    const char *cwd; /* where the user is; "": unknown */
    int holder;      /* the process that goes on with the run; 0: none, or unknown */
};

struct next {
    char *words;   /* sentences; owned */
    char *command; /* to copy; NULL: there is nothing to type. Owned */
};

/* -ENOMEM. */
MUST_USE int next_make(const struct story *story, const struct next_facts *facts, struct next *ret);
void next_free(struct next *next);

#endif
