/* What scale and warp have in common with variants of the pair that differ in nothing before them:
 * the counts that the background scale is concluded from, and pictures: the aligned one, and each
 * difference by a scale that they agree on. Each is made by whoever comes first; a picture then has
 * a second name in the folder of every other variant. An aligned picture is read, not rendered, for
 * one with another compression. Who renders or reads it writes the differences of those that are
 * still to come along with its own, in the same pass. Tasks without variants make all for
 * themselves. */
#ifndef WORKER_STAGE_PIPELINE_SHARED_H
#define WORKER_STAGE_PIPELINE_SHARED_H

#include "worker/output/picture.h"
#include "worker/stage/pipeline_state.h"

/* Takes the counts from another variant or makes them. The caller owns *ret. */
MUST_USE int pipeline_shared_count(struct pipeline *pipeline, const struct tile_render_task *task,
                                   struct background_counts **ret, struct failure *failure);

struct pipeline_shared_pictures {
    struct image *aligned;   /* as another variant wrote it; NULL: it is to be rendered */
    json_t *ready;           /* paths in the task's folder; each stands under its temporary name */
    uint64_t overlap_pixels; /* canvas pixels that both images cover; when a picture was taken */
    json_t *scales;          /* of the variants to come */
    struct {
        struct background_scale_difference difference;
        char *folder;            /* of the store; owned */
    } ahead[PICTURE_MOST_AHEAD]; /* theirs, to be written here */
    size_t n_ahead;
    int claims[PICTURE_MOST + 1]; /* of what is to be made for others, who wait; those last */
    size_t n_claims;
};

/* task: what the pictures would be made from. Removes from the set what others have made, and adds
 * what others will want. The caller closes *ret, after an error too. */
MUST_USE int pipeline_shared_pictures_open(struct pipeline *pipeline,
                                           const struct tile_render_task *task,
                                           struct picture_set *set,
                                           struct pipeline_shared_pictures *ret,
                                           struct failure *failure);
/* No room for them: they are left to those that need them. */
void pipeline_shared_pictures_drop_ahead(struct picture_set *set,
                                         struct pipeline_shared_pictures *pictures);
/* The pictures of the set, which were made here, stand in the task's folder: others may have them.
 */
void pipeline_shared_pictures_give(const struct pipeline *pipeline, const struct picture_set *set,
                                   const struct pipeline_shared_pictures *pictures,
                                   uint64_t overlap_pixels);
void pipeline_shared_pictures_close(struct pipeline_shared_pictures *pictures);

#endif
