/* What the pipeline's two halves share: its order (pipeline.c) and its end (pipeline_finish.c). */
#ifndef WORKER_STAGE_PIPELINE_STATE_H
#define WORKER_STAGE_PIPELINE_STATE_H

#include "worker/align/align.h"
#include "worker/stage/align_task.h"
#include "worker/stage/checkpoint.h"
#include "worker/stage/progress.h"
#include "worker/stage/report.h"

enum stage {
    STAGE_SURVEY_PRE,
    STAGE_SURVEY_POST,
    STAGE_SEARCH,
    STAGE_REFINE,
    STAGE_VERIFY,
    STAGE_SCALE,
    STAGE_WARP,
    STAGE_QC,
    STAGE_COUNT
};

/* Files of the surveys, in their folders. */
#define PIPELINE_PRE_LEVELS "pre.levels"
#define PIPELINE_POST_LEVELS "post.levels"
#define PIPELINE_PRE_REDUCED "pre.reduced" /* stays: see worker/qc/reduced.h */
#define PIPELINE_POST_REDUCED "post.reduced"
#define PIPELINE_PRE_SCRATCH "pre.scratch"
#define PIPELINE_POST_SCRATCH "post.scratch"
/* Of a warp that is not finished, below the task's folder. */
#define PIPELINE_WARP_JOURNAL "checkpoints/warp.journal"

/* An input file as it was when the task began. */
struct pipeline_input {
    const char *path; /* borrowed */
    uint64_t size;
    int64_t mtime_ns;
};

struct pipeline {
    const struct align_task *task;   /* borrowed */
    struct report *report;           /* borrowed */
    struct align_context context;    /* owns pre, post, progress */
    struct pipeline_input inputs[2]; /* pre, post */
    char *checkpoints;               /* folder; owned */
    char *survey_folders[2];         /* of pre's and post's files: checkpoints, or shared; owned */
    char key[CHECKPOINT_KEY_BYTES];  /* of the stage that runs */
    struct checkpoint done[STAGE_COUNT];
    json_t *stages;                                    /* array for result.json */
    bool levels_needed, pixels_needed, reduced_needed; /* by a stage that is still to be done */
    bool is_shared[STAGE_COUNT]; /* it, or a part of it, was taken from another variant */
};

#endif
