/* The other way round: from a pre pixel to the post pixel that a transform takes there.
 *
 * A projective map is inverted exactly. With a grid Newton's method goes from the affine part's
 * answer to the true one; it converges wherever the map does not fold.
 */
#ifndef WORKER_ALIGN_TRANSFORM_INVERSE_H
#define WORKER_ALIGN_TRANSFORM_INVERSE_H

#include "worker/align/transform.h"

/* What the transform takes an answer to lies at most this far from what was asked for. */
#define TRANSFORM_INVERSE_ERROR_PX 1e-4

struct transform_inverse {
    const struct transform *forward; /* post to pre; borrowed */
    struct map back;                 /* of the projective map alone */
    double side; /* of the map's horizon on which the post frame lies: 1 or -1 */
};

/* post_width, post_height: the frame. False when the map is singular, has a horizon that crosses
 * the frame, or folds or is no number somewhere in it. */
bool transform_inverse_make(const struct transform *forward, double post_width, double post_height,
                            struct transform_inverse *ret);

/* False where there is no answer. */
bool transform_inverse_at(const struct transform_inverse *inverse, double x, double y,
                          struct map_point *ret);
/* The same from an answer that is already near: what a neighbouring point had. */
bool transform_inverse_near(const struct transform_inverse *inverse, double x, double y,
                            struct map_point near, struct map_point *ret);

#endif
