/* registrar run: a batch in the foreground, from its first task to its end, on a loop of its own.
 *
 * SIGINT, SIGTERM or SIGHUP once: nothing new starts and workers are asked to stop at a checkpoint;
 * SIGINT or SIGTERM again: everything is killed at once. A third one ends registrar without waiting
 * even for what cannot die.
 */
#ifndef SUPERVISOR_ENGINE_FOREGROUND_H
#define SUPERVISOR_ENGINE_FOREGROUND_H

#include "supervisor/batch/resume.h"
#include "supervisor/cli/options.h"
#include "supervisor/engine/engine.h"

/* All borrowed. */
struct foreground_request {
    const struct options *options;
    const struct task_list *tasks;
    const bool *finished; /* per task: an earlier run did it */
    const struct preflight *preflight;
    const struct resume *resume;
    struct model *model; /* learns from what ends */
    struct ledger_store *store;
    const char *worker;
    const char *command; /* the command line, quoted, for the ledger */
};

struct foreground_outcome {
    struct engine_result *results; /* one per task, owned */
    size_t n_results;
    int64_t wall_ms;
    struct engine_shortage shortage;
    char *groups;         /* engine_tell_groups; owned; NULL: it never came so far */
    bool interrupted;     /* tasks were left for the next run */
    bool ledger_lost;     /* the ledger could not be written any more; told on stderr */
    size_t unrecorded;    /* results that were not on disk when the user insisted on ending */
    char *memory_words;   /* --memory-trace's closing ones; owned; NULL: not asked for */
    struct failure fault; /* code 0: none; registrar's own */
};

/* Installs its own handlers for SIGINT, SIGTERM, SIGHUP while it runs. */
MUST_USE int foreground_run(const struct foreground_request *request,
                            struct foreground_outcome *ret, struct failure *failure);
void foreground_outcome_free(struct foreground_outcome *outcome);

#endif
