/* Where the pixels of the canvas come from: the pre image's place of each of them.
 *
 * Canvas: the post frame with `pad` px more on every side. A canvas pixel is covered when its place
 * lies in the pre image's area, [-0.5, width - 0.5) x [-0.5, height - 0.5). Positions are exact: a
 * projective map is evaluated at every pixel, and so is a grid (bspline_add_row).
 *
 * The other way round, when post things are put into the pre frame, "pre" and "post" here change
 * their places. A grid is then inverted at some pixels of every row, so near that the straight line
 * between two of them is right to PLACEMENT_INVERSE_ERROR_PX.
 */
#ifndef WORKER_OUTPUT_PLACEMENT_H
#define WORKER_OUTPUT_PLACEMENT_H

#include "worker/align/transform_inverse.h"

#include <stdbool.h>
#include <stdint.h>

#define PLACEMENT_INVERSE_ERROR_PX 0.005

struct placement {
    struct map canvas_to_pre;     /* without the grid */
    const struct transform *post; /* to pre; borrowed */
    double pad;
    uint32_t pre_width, pre_height, post_width, post_height;
    const struct transform_inverse
        *inverse;     /* of a grid; borrowed; NULL: not the other way round */
    uint32_t node_px; /* with inverse: from one inverted pixel to the next */
};

/* A rectangle of canvas pixels, [x, x + width) x [y, y + height). */
struct placement_piece {
    uint32_t x, y, width, height;
};

/* Pre px that a piece's places lie in, both ends included, cut to the pre image's area. */
struct placement_extent {
    double low_x, low_y, high_x, high_y;
};

/* post_to_pre is borrowed. */
struct placement placement_make(const struct transform *post_to_pre, uint32_t pad,
                                uint32_t pre_width, uint32_t pre_height, uint32_t post_width,
                                uint32_t post_height);

/* The canvas is the pre frame, and its places are those of the inverse; `post` of the placement is
 * then the affine part of it. For grids: the inverse of a projective map is such a map itself. */
void placement_turn_round(struct placement *placement, const struct transform_inverse *inverse);

/* -ERANGE when the map has no finite value somewhere on the canvas (a horizon crosses it). */
MUST_USE int placement_check(const struct placement *placement, struct failure *failure);

/* False when nothing of the piece is covered. The extent is never too small, and it shrinks with
 * the piece. */
bool placement_extent(const struct placement *placement, const struct placement_piece *piece,
                      struct placement_extent *ret);

/* True: all of the piece is covered. False: it may be. */
bool placement_is_inside(const struct placement *placement, const struct placement_piece *piece);

/* Places of canvas pixels (x, y), (x + 1, y), ... */
void placement_row(const struct placement *placement, uint32_t x, uint32_t y, uint32_t count,
                   double *ret_xs, double *ret_ys);

/* The next run of covered places [first, end) at or after `from`; false when there is none. */
bool placement_next_run(const struct placement *placement, const double *xs, const double *ys,
                        uint32_t from, uint32_t count, uint32_t *ret_first, uint32_t *ret_end);

#endif
