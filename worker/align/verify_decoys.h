/* Maps that must be wrong, put before the same referee: the winner turned by 180 degrees about the
 * tissue's middle, and the winner mirrored there. An outline that is as good either way up, or a
 * search that was told to look too narrowly, shows by a decoy that does nearly as well. */
#ifndef WORKER_ALIGN_VERIFY_DECOYS_H
#define WORKER_ALIGN_VERIFY_DECOYS_H

#include "worker/align/verify_sample.h"

struct verify_decoy {
    int votes, tiles; /* as the referee counts them, see referee.h */
};
struct verify_decoys {
    struct verify_decoy turned, mirrored;
};

/* sample: of a coarse level; its tiles' middle is the tissue's. */
MUST_USE int verify_decoys_try(const struct verify_scene *scene, const struct verify_sample *sample,
                               struct tiles_span progress, struct verify_decoys *ret,
                               struct failure *failure);

#endif
