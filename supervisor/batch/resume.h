/* What an earlier run already did: which tasks stand finished in the ledger.
 *
 * A task is finished when its last task_end has a final verdict for the same parameters and
 * command, its inputs are the same (size and mtime; where the mtime differs the content hash
 * decides) and its outputs are still there, unchanged (size and mtime). Final: ok, doubtful, and
 * failed with cause "input". Everything else is run again: a timeout, a crash, a kill, a loss, a
 * full disk or a command's exit status may well go better next time.
 */
#ifndef SUPERVISOR_BATCH_RESUME_H
#define SUPERVISOR_BATCH_RESUME_H

#include "supervisor/batch/task.h"

/* Collects the ledger's records while it is replayed (a ledger_store_replay_cb, context is the
 * struct resume *). */
struct resume;
MUST_USE int resume_open(struct resume **ret, struct failure *failure);
void resume_close(struct resume *resume); /* NULL is fine */
int resume_replay(void *context, const json_t *record, struct failure *failure);

/* The last task_end of that task, or NULL. Borrowed from resume. */
const json_t *resume_last_end(const struct resume *resume, const char *id);
/* attempt_start records that have no attempt_end: what was running when a supervisor died. An array
 * of records, in order. Borrowed. */
const json_t *resume_open_attempts(const struct resume *resume);
/* The folder of the control groups of a run that did not come to its end, or NULL. Borrowed. */
const char *resume_open_group(const struct resume *resume);
/* How many attempts the ledger has of that task. */
int resume_attempts(const struct resume *resume, const char *id);

/* Fills ret_finished, one per task. worker hashes inputs whose mtime changed
 * (probe_hashes), and the caller waits; NULL: they count as changed. */
MUST_USE int resume_decide(const struct resume *resume, const struct task_list *tasks,
                           const char *out, const char *worker, bool *ret_finished,
                           struct failure *failure);

/* The members by which a task_end is recognised later: {"kind", "fingerprint"} where fingerprint
 * covers parameters or command, cwd and env. Caller owns; NULL when out of memory. */
json_t *resume_identity(const struct task *task);

#endif
