/* Runs a batch to its end: starts what may start, ends what must end, and tells only what is on
 * disk.
 *
 * One libuv loop, one thread. SIGINT, SIGTERM or SIGHUP once: nothing new starts and workers are
 * asked to stop at a checkpoint; SIGINT or SIGTERM again: everything is killed at once. A third one
 * ends registrar without waiting even for what cannot die.
 */
#ifndef SUPERVISOR_ENGINE_ENGINE_H
#define SUPERVISOR_ENGINE_ENGINE_H

#include "supervisor/batch/resume.h"
#include "supervisor/cli/options.h"
#include "supervisor/engine/verdict.h"
#include "supervisor/ledger/ledger_store.h"
#include "supervisor/memory/consumers.h"
#include "supervisor/memory/preflight.h"

/* All borrowed. */
struct engine_request {
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

/* What became of one task in this run. */
struct engine_result {
    bool finished;
    enum verdict verdict; /* when finished */
    int attempts;         /* in all runs */
    int tries;            /* of them, in this one */
    int64_t wall_ms;      /* of the last attempt */
    uint64_t peak_rss_bytes;
    char *reason;     /* owned; NULL: nothing to say */
    json_t *evidence; /* owned; NULL for ok */
};

/* Memory ran short while tasks ran. */
struct engine_shortage {
    int n_holds, n_stops;
    uint64_t least_bytes;              /* that were available then */
    char others[CONSUMERS_TEXT_BYTES]; /* who had it, when it last began */
};

struct engine_outcome {
    struct engine_result *results; /* one per task, owned */
    size_t n_results;
    int64_t wall_ms;
    struct engine_shortage shortage;
    bool interrupted;     /* tasks were left for the next run */
    bool ledger_lost;     /* the ledger could not be written any more; told on stderr */
    size_t unrecorded;    /* results that were not on disk when the user insisted on ending */
    char *memory_words;   /* --memory-trace's closing ones; owned; NULL: not asked for */
    struct failure fault; /* code 0: none; registrar's own */
};

/* Installs its own handlers for SIGINT, SIGTERM, SIGHUP while it runs. */
MUST_USE int engine_run(const struct engine_request *request, struct engine_outcome *ret,
                        struct failure *failure);
void engine_outcome_free(struct engine_outcome *outcome);

#endif
