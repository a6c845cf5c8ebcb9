/* How much more one image is blurred than the other: another focus, or another objective.
 *
 * A Gaussian blur is the heat equation's: a little more of it adds half of its variance times the
 * Laplacian. So the difference is fitted to what the tone leaves of the one image by the Laplacian
 * of the other.
 */
#ifndef WORKER_ALIGN_JOINT_BLUR_H
#define WORKER_ALIGN_JOINT_BLUR_H

#include "worker/align/joint_tone.h"

struct joint_blur_images {
    const float *fixed, *moved, *weight; /* width x height of each */
    const unsigned char *covered;
    int width, height;
};

/* px^2: the variance that fixed is blurred by more than moved; negative: less. The tone has taken
 * part of it for its own, and about half is found: ask again once that is made up for. */
double joint_blur_difference(const struct joint_blur_images *images, const struct joint_tone *tone);

#endif
