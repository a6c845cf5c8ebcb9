/* All that a stage's result depends on, as a key: by it a checkpoint is known to be the right one.
 * A key holds the parameters that the stage looks at, the inputs' size and mtime, and the results
 * that it starts from. Scale and warp look at the map and the signals alone, so they stand where
 * another search led to the same map. */
#ifndef WORKER_STAGE_PIPELINE_KEY_H
#define WORKER_STAGE_PIPELINE_KEY_H

#include "worker/stage/pipeline_state.h"

/* Returns key; "" when out of memory, which no checkpoint has. */
const char *pipeline_key(const struct pipeline *pipeline, enum stage stage,
                         char key[CHECKPOINT_KEY_BYTES]);

/* Of what a variant with another background scale has in common with this one: of scale the counts,
 * of warp the aligned picture; of other stages all. */
const char *pipeline_key_shared(const struct pipeline *pipeline, enum stage stage,
                                char key[CHECKPOINT_KEY_BYTES]);

const char *pipeline_key_stage_name(enum stage stage);

#endif
