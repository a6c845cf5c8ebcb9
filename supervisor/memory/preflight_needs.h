/* What the tasks' inputs say of their needs: the half of the pre-flight that reads users' files,
 * and so runs with the user's rights (registrar submit, run, plan). */
#ifndef SUPERVISOR_MEMORY_PREFLIGHT_NEEDS_H
#define SUPERVISOR_MEMORY_PREFLIGHT_NEEDS_H

#include "supervisor/batch/task.h"
#include "supervisor/memory/forecast.h"

struct preflight_need {
    struct forecast_task need; /* kind is left 0: whoever forecasts numbers the kinds */
    char *error;               /* the pair cannot be read, and why; NULL: fine. Owned */
};

struct preflight_needs {
    struct preflight_need
        *items; /* one per task of the list; all zero of those not wanted. Owned */
    size_t count;
};

/* Whether that task will be started: not broken, and not left out (wanted NULL: none is). */
bool preflight_needs_is_wanted(const struct task_list *tasks, const bool *wanted, size_t i);

/* Asks the probe about every image. */
MUST_USE int preflight_needs_gather(const struct task_list *tasks, const bool *wanted,
                                    const char *worker, struct preflight_needs *ret,
                                    struct failure *failure);
/* Bytes of a command's input files together, which is all that its need hangs on. */
double preflight_needs_input_size(const struct task *task);
void preflight_needs_free(struct preflight_needs *needs);

#endif
