/* Where two images of the same size show the same, whatever the tone: by a power of their
 * correlation nearby.
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

enum joint_common_kind {
    JOINT_COMMON_CLEAR, /* the fourth power, 6 px around: what is shared by accident is left with
                           next to nothing, and so is what noise hides; for comparing maps */
    JOINT_COMMON_ANY,   /* the square, 3 px around: for weights */
    JOINT_COMMON_KIND_COUNT,
};

/* ret: 0 to JOINT_COMMON_ONE for each pixel; *ret_sum: 0 to 1 each, of those that are looked at. */
MUST_USE int joint_common_find(const struct joint_bands *bands,
                               const struct joint_common_images *images,
                               enum joint_common_kind kind, uint16_t *ret, double *ret_sum,
                               struct failure *failure);

#endif
