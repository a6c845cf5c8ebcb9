/* Whether the structure repeats itself: tiles that agree are asked whether they fit as well at the
 * second-highest peak of their correlation. */
#ifndef WORKER_ALIGN_VERIFY_REPEATS_H
#define WORKER_ALIGN_VERIFY_REPEATS_H

#include "worker/align/verify_sample.h"

struct verify_repeats {
    int tested, ambiguous;
    double distance_px; /* median, from the one place to the other; px of the post image */
};

/* confident_from: tiles that correlate less are not asked. */
MUST_USE int verify_repeats_measure(const struct verify_scene *scene,
                                    const struct verify_sample *sample, double confident_from,
                                    struct tiles_span progress, struct verify_repeats *ret,
                                    struct failure *failure);
/* The one of the two that is worse off. */
struct verify_repeats verify_repeats_worse(const struct verify_repeats *a,
                                           const struct verify_repeats *b);

#endif
