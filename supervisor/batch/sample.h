/* The tasks of one sample's folder: its images paired by dye, and a sentence for each that cannot
 * be. */
#ifndef SUPERVISOR_BATCH_SAMPLE_H
#define SUPERVISOR_BATCH_SAMPLE_H

#include "supervisor/batch/task.h"

struct sample_request {
    const char *raw;   /* absolute */
    const char *name;  /* the folder's name below raw */
    char *const *dyes; /* only these; NULL: all */
    bool skip_missing; /* a folder without images, or without a requested dye, is passed over */
    json_t *params;    /* borrowed; each task gets its own reference */
};

struct sample_findings {
    struct task_list *tasks; /* borrowed: tasks are appended */
    char **missing;          /* "<sample>/<dye>" requested and not there; owned */
    char **dyes;             /* every dye seen, for "there is ..."; owned */
    size_t n_pairs;          /* whole ones */
};

/* Fails only for want of memory: whatever is wrong with the folder becomes a broken task. */
MUST_USE int sample_scan(const struct sample_request *request, struct sample_findings *findings,
                         struct failure *failure);

#endif
