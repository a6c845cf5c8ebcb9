/* How a measured quantity (peak memory, wall time) grows with the size of the input. Pure.
 *
 *     value = fixed + slope * size ^ exponent,    fixed >= 0, slope >= 0
 *
 * The exponent is 1 unless the points say clearly that it is more. Errors count relative to the
 * value. The fit is robust: Theil-Sen to begin with, then iteratively reweighted least squares with
 * Tukey's bisquare (P. J. Huber, E. M. Ronchetti, Robust Statistics, 2009, ch. 7). A point that is
 * only "at least" (the process was killed there) pulls the line up and never down.
 */
#ifndef SUPERVISOR_MEMORY_REGRESSION_H
#define SUPERVISOR_MEMORY_REGRESSION_H

#include "common/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

enum { REGRESSION_MAX_POINTS = 128 };

enum regression_shape {
    REGRESSION_NONE,     /* no exact point */
    REGRESSION_ONE_SIZE, /* all of (nearly) one size: how it grows is not known */
    REGRESSION_LINE,
    REGRESSION_FASTER, /* than linear */
    REGRESSION_SHAPE_COUNT
};

struct regression_point {
    double size, value; /* value > 0 */
    bool is_at_least;
};

struct regression {
    enum regression_shape shape;
    size_t n_exact, n_at_least;
    double size_min, size_max; /* of the exact points */
    double fixed, slope, exponent;
    double spread;     /* relative standard deviation of one value around the curve */
    double freedom;    /* degrees of freedom behind it */
    double tail;       /* what one in twenty of the points exceeds the curve by, relative */
    double top;        /* value at size_max, to bound larger ones by */
    double inverse[3]; /* of the normal matrix of (1, (size / size_max) ^ exponent): 00, 01, 11 */
};

/* noise: the relative spread to assume before the points have shown theirs. Points beyond
 * REGRESSION_MAX_POINTS are not looked at; values that are not positive and finite neither.
 * -ENOMEM. */
MUST_USE int regression_fit(const struct regression_point *points, size_t count, double noise,
                            struct regression *ret);
/* The expected value; 0 without a point. */
double regression_estimate(const struct regression *fit, double size);
/* What 99 of 100 values stay below; wider beyond the sizes seen. Where only one size was seen,
 * or few, larger inputs are bounded by the square of their size: nothing says yet that growth is
 * linear.
 * INFINITY where nothing can be said. */
double regression_upper(const struct regression *fit, double size);
/* The size is larger than any seen; more than twice as large. */
bool regression_is_beyond(const struct regression *fit, double size);
bool regression_is_far(const struct regression *fit, double size);

#endif
