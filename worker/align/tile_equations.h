/* The normal equations for the shift of one tile: Gauss-Newton on what the tone does not explain.
 */
#ifndef WORKER_ALIGN_TILE_EQUATIONS_H
#define WORKER_ALIGN_TILE_EQUATIONS_H

#include "worker/align/tile_tone.h"

#include <stdbool.h>

struct tile_equations {
    double xx, xy, yy, x, y; /* matrix and right side */
    double variance;         /* of the residual, robust */
};

/* size x size pixels each, size even. weight: 1 where the moving image covers the fixed one, else
 * 0. robust: scratch. */
struct tile_images {
    const float *fixed, *moving, *weight;
    float *robust;
    int size;
};

/* Fits the tone anew (bent: as a parabola), then asks how the residuals change with the shift.
 * Pixels with an uncovered neighbour, and those on the tile's edge, are left out. */
struct tile_equations tile_equations_gather(const struct tile_images *images, bool bent,
                                            struct tile_tone *tone);

/* The equations of a tile that is expected at (0, 0), give or take sigma_px, when now at (dx, dy).
 */
struct tile_equations tile_equations_expect(struct tile_equations n, double sigma_px, double dx,
                                            double dy);

/* false: the tile says nothing of one direction. */
bool tile_equations_solve(const struct tile_equations *n, double *ret_dx, double *ret_dy);

/* Inverse covariance of the shift, per px^2. No tile is believed to least_sigma_px. */
struct tile_information {
    double xx, xy, yy;
};
struct tile_information tile_equations_information(const struct tile_equations *n,
                                                   double least_sigma_px);

#endif
