/* What chance looks like: every tile of a sample compared with the place of another one, far from
 * its own, where it does not belong. */
#ifndef WORKER_ALIGN_VERIFY_NULL_H
#define WORKER_ALIGN_VERIFY_NULL_H

#include "worker/align/verify_sample.h"

struct verify_null {
    int tiles, agreeing;
    double chance;         /* that a tile agrees by accident */
    double confident_from; /* a correlation that hardly any of the null reaches */
};

MUST_USE int verify_null_measure(const struct verify_scene *scene,
                                 const struct verify_sample *sample, double agree_px,
                                 struct tiles_span progress, struct verify_null *ret,
                                 struct failure *failure);

#endif
