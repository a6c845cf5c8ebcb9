/* Robust least-squares fits of a map to matched points.
 *
 * A match says that the fixed image's point (x, y) lies at (u, v) in the moving image, give or take
 * its covariance. Wrong matches are expected, many of them: a consensus of two-point similarities
 * (Fischler & Bolles 1981, scored by truncated squares as in MSAC, Torr & Zisserman 2000) gives the
 * start, then Gauss-Newton with Tukey's biweight, its scale from the median residual (Huber 1981),
 * gives the map. Everything random comes from the seed.
 */
#ifndef WORKER_ALIGN_FIT_H
#define WORKER_ALIGN_FIT_H

#include "common/failure.h"
#include "worker/align/map.h"

#include <stddef.h>
#include <stdint.h>

enum fit_model { FIT_SIMILARITY, FIT_AFFINE, FIT_HOMOGRAPHY, FIT_MODEL_COUNT };

struct fit_match {
    double x, y;                      /* fixed */
    double u, v;                      /* moving */
    double info_xx, info_xy, info_yy; /* inverse covariance of (u, v), 1 / px^2 */
};

struct fit_options {
    enum fit_model model;
    double inlier_px; /* consensus: a match farther off counts as wrong */
    uint32_t seed;
};

int fit_parameters(enum fit_model model);
/* Matches that a model needs at the very least. */
size_t fit_least_matches(enum fit_model model);
const char *fit_model_name(enum fit_model model); /* "similarity", ... */

/* -ENODATA when there are too few matches or they do not span the plane (all on one line). */
MUST_USE int fit_run(const struct fit_match *matches, size_t count,
                     const struct fit_options *options, struct map *ret);

/* The fit without a consensus: from a start that is already near (Gauss-Newton alone). */
MUST_USE int fit_polish(const struct fit_match *matches, size_t count, enum fit_model model,
                        const struct map *start, struct map *ret);

/* Distance from where the map takes (x, y) to (u, v), px of the moving image. */
double fit_residual(const struct fit_match *match, const struct map *map);

/* The same in units of the match's own deviation: along an edge a long way is little. */
double fit_misfit(const struct fit_match *match, const struct map *map);

/* Residuals of models that were fitted without the match: `folds` parts by turns (Stone 1974).
 * ret: count residuals; HUGE_VAL where a fold could not be fitted. */
void fit_cross_residuals(const struct fit_match *matches, size_t count, enum fit_model model,
                         const struct map *start, size_t folds, double *ret);
/* The same of misfits. */
void fit_cross_misfits(const struct fit_match *matches, size_t count, enum fit_model model,
                       const struct map *start, size_t folds, double *ret);

/* Probability that at least k of n independent trials succeed when each does with probability p:
 * whether so many agreeing tiles can be an accident. */
double fit_binomial_tail(int n, int k, double p);

/* The next of a row that the state, not 0, decides: xorshift64* (Vigna 2016). */
uint64_t fit_random(uint64_t *state);

/* Sorts values; the p-quantile (0 to 1), interpolated. count >= 1. */
double fit_quantile(double *values, size_t count, double p);

#endif
