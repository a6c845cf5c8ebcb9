/* Does the map follow the tissue, or what the camera adds to every image it takes?
 *
 * Dust on the sensor, hot pixels and shading stay at their pixels while the slide moves, so they
 * can hold a map only where it leaves everything in place. There the empty ground is asked too: a
 * pattern of the camera agrees on it as well as on the tissue, and is as strong there. (Scanners
 * that stitch fields repeat the pattern from field to field; the ground is not asked then.)
 */
#ifndef WORKER_ALIGN_VERIFY_PATTERN_H
#define WORKER_ALIGN_VERIFY_PATTERN_H

#include "worker/align/verify_sample.h"

struct verify_pattern {
    bool shifted; /* the map moves every agreeing tile alike, as fields of a stitched scan lie */
    bool still;   /* it leaves them all in place; the rest is 0 if not */
    int ground, ground_agreeing; /* the emptiest tiles of the post image */
    /* covariance of the two images' tones, median: where tiles agree, on the ground */
    double tissue_shared, ground_shared;
};

MUST_USE int verify_pattern_measure(const struct verify_scene *scene,
                                    const struct verify_sample *sample, struct tiles_span progress,
                                    struct verify_pattern *ret, struct failure *failure);

#endif
