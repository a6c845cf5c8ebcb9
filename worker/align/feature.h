/* What two differently stained images have in common, made visible.
 *
 * tone: a logarithm between the image's own dark and bright end, so that a change of gain or stain
 * is nearly a shift. local: band-pass (a difference of Gaussians) divided by its local standard
 * deviation and clipped, so that a faint structure counts like a bright one; flat ground stays near
 * zero; a taper brings the image's edge to zero.
 */
#ifndef WORKER_ALIGN_FEATURE_H
#define WORKER_ALIGN_FEATURE_H

#include "worker/align/survey.h"

/* In place, 0 to 1: log(1 + k t) / log(1 + k) of t = (v - low) / (high - low) clipped to 0..1, from
 * a table with linear interpolation (exact to 1e-5). survey->inverted: of 1 - t. */
void feature_tone(const struct survey *survey, float *pixels, size_t count);

/* Blurs of the band-pass and of the local deviation, px. */
struct feature_scales {
    double fine, coarse, local;
};

/* In place. scratch: width * height floats. */
MUST_USE int feature_local(float *pixels, int width, int height,
                           const struct feature_scales *scales, float *scratch,
                           struct failure *failure);

/* Multiplies the outer `margin` px of each side with a raised cosine. */
void feature_taper(float *pixels, int width, int height, int margin);

#endif
