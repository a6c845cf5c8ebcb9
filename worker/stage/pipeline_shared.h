/* What scale and warp have in common with variants of the pair that use another background scale:
 * the counts that it is concluded from, and the aligned picture. Both are made by whoever comes
 * first; the picture then has a second name in each variant's folder, and only the differences are
 * painted. Tasks without variants make both for themselves. */
#ifndef WORKER_STAGE_PIPELINE_SHARED_H
#define WORKER_STAGE_PIPELINE_SHARED_H

#include "worker/output/background_scale.h"
#include "worker/stage/pipeline_state.h"

/* Takes the counts from another variant or makes them. The caller owns *ret. */
MUST_USE int pipeline_shared_count(struct pipeline *pipeline, const struct tile_render_task *task,
                                   struct background_counts **ret, struct failure *failure);

struct pipeline_shared_picture {
    struct image *ready; /* as another variant wrote it, under its temporary name here; or NULL, */
    char *folder;        /* and it is to be made for all: */
    int claim;           /* others wait; -1: there are none */
};

/* task: what the picture would be made from. The caller closes *ret. */
MUST_USE int pipeline_shared_picture_open(struct pipeline *pipeline,
                                          const struct tile_render_task *task,
                                          struct pipeline_shared_picture *ret,
                                          struct failure *failure);
/* The picture stands in the task's folder: others may have it. */
void pipeline_shared_picture_give(const struct pipeline *pipeline,
                                  const struct pipeline_shared_picture *picture);
void pipeline_shared_picture_close(struct pipeline_shared_picture *picture);

#endif
