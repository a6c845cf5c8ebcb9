/* All that a stage's result depends on, as a key: by it a checkpoint is known to be the right one.
 * A key holds the parameters that the stage looks at, the inputs' size and mtime, and the results
 * that it starts from. Scale and warp look at the map and the signals alone, so they stand where
 * another search led to the same map. */
#ifndef WORKER_STAGE_PIPELINE_KEY_H
#define WORKER_STAGE_PIPELINE_KEY_H

#include "worker/output/background_scale.h"
#include "worker/stage/pipeline_state.h"

enum pipeline_key_use {
    PIPELINE_KEY_OWN,    /* of the whole result */
    PIPELINE_KEY_SHARED, /* of what a variant with another background scale has in common with this
                          * one: of scale the counts, of warp the aligned picture; else all */
    PIPELINE_KEY_PIXELS, /* of warp: of that picture's pixels, however they are compressed */
};

/* Returns key; "" when out of memory, which no checkpoint has. */
const char *pipeline_key(const struct pipeline *pipeline, enum stage stage,
                         enum pipeline_key_use use, char key[CHECKPOINT_KEY_BYTES]);

/* Of one difference image, whichever others a variant has. */
const char *pipeline_key_difference(const struct pipeline *pipeline,
                                    const struct background_scale_difference *difference,
                                    char key[CHECKPOINT_KEY_BYTES]);

const char *pipeline_key_stage_name(enum stage stage);

#endif
