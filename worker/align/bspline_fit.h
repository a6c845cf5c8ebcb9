/* Fits a displacement field to matches: robust penalised least squares.
 *
 *   minimise  sum over matches of w r' W r  +  penalty x energy(field)
 *
 * r: what the affine map and the field leave of a match; W: its inverse covariance, softened by the
 * usual residual, so that no tile counts for much more than the fit can use; w: Tukey's biweight,
 * its scale from the median residual. The energy is that of a thin plate (Rueckert et al. 1999,
 * eq. 5), in units of cells, and a little of a membrane's, which keeps the field level where there
 * are no matches. The normal equations are banded. Nothing random: the same matches give the same
 * bits.
 */
#ifndef WORKER_ALIGN_BSPLINE_FIT_H
#define WORKER_ALIGN_BSPLINE_FIT_H

#include "worker/align/bspline.h"
#include "worker/align/fit.h"

struct bspline_fit_problem {
    const struct fit_match *matches;
    size_t count;
    const struct map *affine; /* the field is added to it */
    double penalty;           /* per match: what does not depend on how many there are */
};

/* *grid: the start, which also has the shape; replaced by the fit. -ENODATA when the matches do not
 * determine one. */
MUST_USE int bspline_fit(const struct bspline_fit_problem *problem, struct bspline *grid);

/* Residuals of fits without the match: `folds` parts by turns (Stone 1974). ret: count residuals,
 * px; HUGE_VAL where a fold could not be fitted. */
void bspline_fit_cross(const struct bspline_fit_problem *problem, const struct bspline *start,
                       size_t folds, double *ret);

#endif
