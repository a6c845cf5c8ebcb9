/* The task that the supervisor (or a person) gives on stdin; see common/protocol.h. */
#ifndef WORKER_STAGE_ALIGN_TASK_H
#define WORKER_STAGE_ALIGN_TASK_H

#include "common/params.h"

enum { ALIGN_TASK_MAX_THREADS = 256 };

struct align_task {
    json_t *document; /* owns the strings below */
    const char *name; /* the task's id */
    int attempt;
    const char *pre, *post; /* image files */
    const char *out;        /* the task's output folder */
    const char *shared;     /* folder of what variants of this pair share; NULL: nothing is */
    json_t *variants;       /* owned: an array of complete params, of variants to come */
    json_t *params_json;    /* owned: complete, in the table's order */
    struct params params;
    int threads;
    uint64_t memory_bytes; /* cap on RSS */
    bool is_unconfined;    /* does without the sandbox */
    bool may_link; /* a second name for a file of its own: the sandbox allows it, or is off */
};

/* Reads a task from the stream. Parameters that are not given stand at their defaults, threads at
 * 1, memory_bytes at 512 MiB. -EINVAL or -ERANGE with a sentence for anything unexpected. */
MUST_USE int align_task_read(FILE *stream, struct align_task *ret, struct failure *failure);
void align_task_clear(struct align_task *task); /* {0} is fine */

#endif
