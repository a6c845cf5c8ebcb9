/* A task: one pair to align or one command to run, as discovery or a manifest found it.
 * Immutable once the batch is built; what happens to it lives in supervisor/engine. */
#ifndef SUPERVISOR_BATCH_TASK_H
#define SUPERVISOR_BATCH_TASK_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

#define TASK_SHARED_END "@shared"

enum task_kind { TASK_ALIGN, TASK_COMMAND, TASK_KIND_COUNT };

struct task {
    char *id; /* "<sample>/<dye>" or the manifest's id: a clean relative path below OUT */
    enum task_kind kind;
    char *kind_name; /* "align", or the manifest's "kind" (default: basename of command[0]) */
    char **command;  /* NULL-terminated; TASK_COMMAND only */
    char *cwd;       /* absolute; TASK_COMMAND only */
    char **env;      /* NULL-terminated "NAME=VALUE" additions, or NULL */
    char **inputs;   /* absolute paths; for TASK_ALIGN exactly {pre, post} */
    size_t n_inputs;
    json_t *params;        /* complete (common/params.h); TASK_ALIGN only */
    char *shared;          /* of a variant (sweep.h): the folder below OUT that all variants of its
                              pair share, "<sample>/<dye>@shared"; else NULL */
    int64_t timeout_ms;    /* 0: the run's */
    uint64_t memory_bytes; /* declared reservation; 0: the forecast decides */
    char *broken;          /* why it cannot even start, as a sentence; NULL: it can */
};

struct task_list {
    struct task *items; /* owns */
    size_t count;
    size_t capacity;
};

/* Appends a zeroed task and returns it; NULL when out of memory. Borrowed until the next append. */
struct task *task_list_append(struct task_list *list);
/* NULL when there is none. Borrowed. */
const struct task *task_list_find(const struct task_list *list, const char *id);
/* Sorts by id in byte order, so that every run of a folder sees the same order. */
void task_list_sort(struct task_list *list);
void task_list_free(struct task_list *list);
/* Frees what one task owns; for a task that stands in no list. */
void task_free(struct task *task);

/* -EINVAL unless the id is a relative path of clean components (no empty one, ".", "..", control
 * character, leading "-") that cannot collide with registrar's own files in OUT. */
MUST_USE int task_check_id(const char *id, const char *where, struct failure *failure);

#endif
