/* The engine's records in the ledger (ledger(5)): their members, nothing else. The caller owns what
 * is returned; NULL when out of memory. */
#ifndef SUPERVISOR_ENGINE_RECORD_H
#define SUPERVISOR_ENGINE_RECORD_H

#include "supervisor/engine/attempt.h"
#include "supervisor/memory/forecast.h"

struct record_batch {
    const char *id;      /* names this run within the ledger */
    const char *command; /* the command line, quoted */
    const char *out;
    size_t n_tasks;
    int jobs, threads;
    uint64_t budget_bytes; /* of memory, for all its tasks together; 0: not told */
    json_t *cgroup;        /* groups_to_json; taken, NULL is left out */
};
json_t *record_batch_start(const struct record_batch *batch);
json_t *record_batch_end(const char *id, bool interrupted, int64_t wall_ms);

/* What an attempt was expected to need, and what a model can learn from it (memory/model.h). */
struct record_forecast {
    const struct forecast *forecast;
    uint64_t reserved_bytes;
    double size;
    int threads; /* pairs: and the rest too */
    uint64_t cap_bytes;
    bool is_pair;
};

json_t *record_attempt_start(const struct task *task, const struct attempt *attempt,
                             const struct record_forecast *expected);
json_t *record_attempt_end(const struct task *task, int number, const struct attempt_result *result,
                           const struct record_forecast *expected);
/* identity: resume_identity's, borrowed; NULL leaves the task to be run again. */
json_t *record_task_end(const struct task *task, int attempts, const struct attempt_result *result,
                        json_t *identity);

/* The attempt_end of an attempt that an earlier supervisor left without one (its attempt_start). */
json_t *record_attempt_lost(const json_t *start);
json_t *record_note(const char *text);

#endif
