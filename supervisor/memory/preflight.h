/* The pre-flight: what the batch needs against what the machine has, before anything starts.
 *
 * Levels: up to 80 % ok, up to 100 % a warning with advice, above that refused. "Available" knows
 * cgroup limits (v1 and v2) and that a folder on tmpfs is RAM, not disk. `auto` takes what stays
 * ok. Pairs need their share for as long as they run, so more jobs than fit are refused; commands
 * wait for each other where they do not fit at once, and only what can never fit is refused. Reads
 * only: OUT is neither made nor touched.
 */
#ifndef SUPERVISOR_MEMORY_PREFLIGHT_H
#define SUPERVISOR_MEMORY_PREFLIGHT_H

#include "supervisor/batch/task.h"
#include "supervisor/cli/options.h"
#include "supervisor/memory/forecast.h"
#include "supervisor/memory/machine.h"
#include "supervisor/memory/preflight_needs.h"
#include "supervisor/memory/space.h"

#include <stdio.h>

enum preflight_level { PREFLIGHT_OK, PREFLIGHT_WARNING, PREFLIGHT_REFUSED };

struct preflight_task {
    bool is_wanted;            /* neither broken nor left out; else all below is 0 */
    struct forecast_task need; /* to forecast it again when the model has learned */
    struct forecast forecast;
    uint64_t memory_bytes; /* the reservation; of what is not known, what is counted for it */
    uint64_t disk_bytes;
    bool is_in_ram;  /* its folder or its checkpoints are: disk_bytes are memory */
    int64_t time_ms; /* 0: unknown */
    char *error;     /* the pair cannot be read: it will fail; NULL: fine. Owned */
};

struct preflight {
    struct preflight_task *tasks; /* one per task of the list, same order; owned */
    size_t n_tasks;
    int jobs, threads;            /* chosen: options with auto resolved. Commands: the most that
                                     may run at once; how many do is up to their reservations */
    int at_once;                  /* of the largest, so many fit; at most jobs */
    int most_at_once;             /* of all sizes, as the batch was played */
    uint64_t cap_bytes;           /* of each pair's worker */
    bool is_cap_shrunk;           /* below the usual one, so that it fits */
    uint64_t memory_needed_bytes; /* the largest reservations that can run at once, and results
                                     that are written to RAM */
    uint64_t memory_limit_bytes;  /* what that is held against: available, or --memory */
    uint64_t memory_budget_bytes; /* what reservations may add up to */
    uint64_t largest_bytes;       /* the largest reservation */
    bool is_uniform;              /* all that can run at once are as large, within 1 % */
    uint64_t disk_needed_bytes, disk_free_bytes;
    uint64_t results_in_ram_bytes; /* a part of disk_needed_bytes, and of the memory needed */
    int64_t time_ms;               /* of the whole batch; 0: unknown */
    size_t n_untimed;   /* tasks that are not in it, because nothing is known of their kind */
    size_t n_wanted;    /* tasks that will be started */
    size_t n_errors;    /* of them: pairs that cannot be read */
    size_t n_assumed;   /* of them: commands of which nothing is known */
    size_t n_beyond;    /* of them: larger than any input of their kind so far */
    size_t n_too_large; /* of them: need more than there is, each alone */
    size_t too_large;   /* the first of these */
    char **faster;      /* kinds that grow faster than their inputs; owned */
    struct machine machine;
    struct space space; /* of OUT */
    enum preflight_level memory_level, disk_level;
    char **memory_advice, **disk_advice; /* what would help, with the user's numbers; owned */
};

/* wanted: per task, false when a resume leaves it out (NULL: all are wanted). Runs the probe. The
 * model gets the kinds of all tasks. */
MUST_USE int preflight_run(const struct options *options, const struct task_list *tasks,
                           const bool *wanted, const char *worker, struct model *model,
                           struct preflight *ret, struct failure *failure);
/* The same in two halves, for who knows the tasks' needs already: the service is told them by the
 * client, who may read the images. needs: of these tasks, with the same wanted. */
MUST_USE int preflight_judge(const struct options *options, const struct task_list *tasks,
                             const bool *wanted, const struct preflight_needs *needs,
                             struct model *model, struct preflight *ret, struct failure *failure);
enum preflight_level preflight_level(const struct preflight *preflight); /* the worse of the two */
/* The contract's block ("=== Pre-flight ==="), advice and remedies with the user's own numbers;
 * nothing when no task is wanted. */
void preflight_print(const struct preflight *preflight, const struct task_list *tasks,
                     const struct options *options, FILE *stream);
/* One sentence on what was refused and what would help. */
void preflight_describe_refusal(const struct preflight *preflight, struct failure *failure);
json_t *preflight_to_json(const struct preflight *preflight, const struct task_list *tasks);
void preflight_free(struct preflight *preflight);

#endif
