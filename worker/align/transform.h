/* The whole map from post to pre: a projective map and, with model "grid", the displacements of a
 * B-spline grid added to what it gives. The map is then the grid's best affine part.
 *
 * Units as in map.h. A plain value of some kilobytes: copied, never owned.
 */
#ifndef WORKER_ALIGN_TRANSFORM_H
#define WORKER_ALIGN_TRANSFORM_H

#include "worker/align/bspline.h"
#include "worker/align/fit.h"

struct transform {
    struct map map;
    struct bspline grid; /* columns 0: none */
};

bool transform_has_grid(const struct transform *transform);
struct map_point transform_apply(const struct transform *transform, double x, double y);
/* Determinant of the Jacobian at (x, y). */
double transform_det(const struct transform *transform, double x, double y);
/* The map itself where there is no grid; else the affine map that is nearest to the transform over
 * a square of `side` px around (x, y): what a tile is sampled through. */
struct map transform_local(const struct transform *transform, double x, double y, double side);
/* Distance from where the transform takes the match's (x, y) to its (u, v), px. */
double transform_residual(const struct transform *transform, const struct fit_match *match);
/* The same as far as the match knows its place: of an edge the way across counts. */
double transform_known_residual(const struct transform *transform, const struct fit_match *match);

/* In JSON: the members "post_to_pre" and, when there is a grid, "grid", as in transform.json.
 * Writes into object. */
MUST_USE int transform_write(const struct transform *transform, json_t *object,
                             struct failure *failure);
/* where: what the complaint starts with. */
MUST_USE int transform_read(const json_t *object, const char *where, struct transform *ret,
                            struct failure *failure);

#endif
