/* The pre-flight: what the batch needs against what the machine has, before anything starts.
 *
 * Levels: up to 80 % ok, up to 100 % a warning with advice, above that refused. "Available" knows
 * cgroup limits (v1 and v2) and that a folder on tmpfs is RAM, not disk.
 */
#ifndef SUPERVISOR_MEMORY_PREFLIGHT_H
#define SUPERVISOR_MEMORY_PREFLIGHT_H

#include "supervisor/batch/task.h"
#include "supervisor/cli/options.h"

#include <stdio.h>

enum preflight_level { PREFLIGHT_OK, PREFLIGHT_WARNING, PREFLIGHT_REFUSED };

struct preflight_task {
    uint64_t memory_bytes; /* predicted peak: the reservation */
    uint64_t disk_bytes;
    int64_t time_ms; /* a rough prior; 0: unknown */
    char *error;     /* the pair cannot be read: it will fail; NULL: fine. Owned */
};

struct preflight {
    struct preflight_task *tasks; /* one per task of the list, same order; owned */
    size_t n_tasks;
    int jobs, threads;            /* chosen: options with auto resolved */
    uint64_t memory_needed_bytes; /* jobs x the largest reservations */
    uint64_t memory_budget_bytes; /* what the batch may use at once */
    uint64_t disk_needed_bytes, disk_free_bytes;
    int64_t time_ms;
    enum preflight_level memory_level, disk_level;
};

/* wanted: per task, false when a resume leaves it out (NULL: all are wanted). Runs the probe. */
MUST_USE int preflight_run(const struct options *options, const struct task_list *tasks,
                           const bool *wanted, const char *worker, struct preflight *ret,
                           struct failure *failure);
enum preflight_level preflight_level(const struct preflight *preflight); /* the worse of the two */
/* The contract's block ("=== Pre-flight ==="), advice and remedies with the user's own numbers. */
void preflight_print(const struct preflight *preflight, const struct options *options,
                     FILE *stream);
json_t *preflight_to_json(const struct preflight *preflight, const struct task_list *tasks);
void preflight_free(struct preflight *preflight);

#endif
