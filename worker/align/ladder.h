/* Which map a level's matches ask for: similarity, affine, homography or grid.
 *
 * A higher rung is taken only when residuals of matches left out of the fit fall clearly, or when
 * the parameters name it. The three projective ones start from a consensus. The grid starts from
 * where the level was searched, so that a deformation larger than the consensus allows is followed
 * from level to level; its wrong matches are those that their neighbours contradict (Westerweel &
 * Scarano 2005, "universal outlier detection").
 */
#ifndef WORKER_ALIGN_LADDER_H
#define WORKER_ALIGN_LADDER_H

#include "common/params.h"
#include "worker/align/transform.h"

struct ladder_request {
    const struct params *params;
    double width, height;          /* of the post image, px */
    int level, reach_px;           /* how the tiles were looked for */
    const struct transform *start; /* through what */
};

struct ladder_fit {
    struct transform transform;
    enum fit_model model; /* of transform.map when there is no grid */
    bool credible;        /* more tiles agree than accident allows */
    size_t tiles, inliers;
    double median_px; /* residual of the fitted tiles, px of the level */
    /* Mean residual of left-out tiles, px, large ones truncated: with the best projective map, with
     * a grid. 0 when no grid was tried. */
    double map_cost, grid_cost;
};

/* matches are reordered. No map at all: not credible. */
MUST_USE int ladder_climb(struct fit_match *matches, size_t count,
                          const struct ladder_request *request, struct ladder_fit *ret,
                          struct failure *failure);

#endif
