/* What scale and warp have in common with variants of the pair that differ in nothing before them:
 * the counts that the background scale is concluded from, and the aligned picture. Both are made by
 * whoever comes first; the picture then has a second name in the folder of each variant that only
 * uses another scale, and is read, not rendered, by one with another compression. Tasks without
 * variants make both for themselves. */
#ifndef WORKER_STAGE_PIPELINE_SHARED_H
#define WORKER_STAGE_PIPELINE_SHARED_H

#include "worker/output/background_scale.h"
#include "worker/stage/pipeline_state.h"

/* Takes the counts from another variant or makes them. The caller owns *ret. */
MUST_USE int pipeline_shared_count(struct pipeline *pipeline, const struct tile_render_task *task,
                                   struct background_counts **ret, struct failure *failure);

struct pipeline_shared_picture {
    struct image *ready; /* as another variant wrote it; NULL: it is to be rendered */
    bool is_final;       /* `ready` has its temporary name here: nobody writes it again */
    int claim;           /* -1: none; else it is to be made for others, who wait */
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
