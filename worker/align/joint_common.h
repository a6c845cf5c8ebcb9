/* Where two images of the same size show the same, whatever the tone: by the fourth power of their
 * correlation nearby. What they share by accident is left with next to nothing.
 */
#ifndef WORKER_ALIGN_JOINT_COMMON_H
#define WORKER_ALIGN_JOINT_COMMON_H

#include "worker/align/joint_bands.h"

#include <stdbool.h>
#include <stdint.h>

enum { JOINT_COMMON_ONE = UINT16_MAX }; /* of what is asked for: all in common */

struct joint_common_images {
    const float *fixed, *moved;
    const unsigned char *covered; /* 0: not looked at */
    bool inverted;                /* what is bright in one is dark in the other */
};

/* ret: 0 to JOINT_COMMON_ONE for each pixel; *ret_sum: 0 to 1 each, of those that are looked at. */
MUST_USE int joint_common_find(const struct joint_bands *bands,
                               const struct joint_common_images *images, uint16_t *ret,
                               double *ret_sum, struct failure *failure);

#endif
