/* See regression.h. Sizes are scaled by the largest, so that bytes and pixels are alike to the
 * arithmetic. The spread is blended with an assumed one (as by a scaled inverse chi-squared prior
 * of PRIOR_FREEDOM): a handful of points that happen to lie on a line do not make it certain. */
#include "supervisor/memory/regression.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>

enum {
    ROUNDS = 12,
    LEAST_POINTS_FOR_CURVE = 5,
    LEAST_SIZES_FOR_CURVE = 4,
    LEAST_POINTS_FOR_TAIL = 20,
    ENOUGH_POINTS = 6, /* from here on a line bounds larger sizes: a curve would have shown */
};

static const double prior_freedom = 2;
static const double same_size = 1.02;     /* sizes within 2 % tell nothing about growth */
static const double bisquare_reach = 4.7; /* 95 % efficient for normal errors */
static const double huber_reach = 1.345;
static const double curve_gain = 6;       /* the squares must shrink by this factor */
static const double curve_visible = 0.02; /* and a line miss by as much, rms */
static const double least_widening = 0.1, most_widening = 0.5;

/* Points as one candidate curve sees them. */
struct cloud {
    size_t n;
    double u[REGRESSION_MAX_POINTS]; /* (size / size_max) ^ exponent */
    double value[REGRESSION_MAX_POINTS];
    double weight[REGRESSION_MAX_POINTS]; /* of robustness, 0 to 1 */
    bool is_at_least[REGRESSION_MAX_POINTS];
    double a, b; /* value = a + b u */
    double spread;
    double squares; /* of relative residuals, weighted: exact points */
    double n_effective;
};

static int compare_doubles(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double quantile(double *values, size_t n, double share) {
    qsort(values, n, sizeof(*values), compare_doubles);
    const double place = share * (double)(n - 1);
    const size_t low = (size_t)place;
    const double part = place - (double)low;
    return low + 1 < n ? values[low] * (1 - part) + values[low + 1] * part : values[low];
}

/* Student's t that 99 of 100 stay below (Cornish-Fisher expansion; Abramowitz and Stegun 26.7.5),
 * good to 1 % from 4 degrees of freedom on, 7 % too small at 2. */
static double t_99(double freedom) {
    const double z = 2.3263, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
    const double f = freedom;
    return z + (z3 + z) / (4 * f) + (5 * z5 + 16 * z3 + 3 * z) / (96 * f * f) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * f * f * f);
}

/* ---- one candidate curve ---- */

static double at(const struct cloud *cloud, size_t i) { return cloud->a + cloud->b * cloud->u[i]; }

static double residual(const struct cloud *cloud, size_t i) {
    const double fitted = at(cloud, i);
    return fitted > 0 ? (cloud->value[i] - fitted) / fitted : 0;
}

/* Keeps both parts from being negative, each time with the best value of the other. */
static void solve(struct cloud *cloud, const double w[REGRESSION_MAX_POINTS]) {
    double s = 0, su = 0, suu = 0, sy = 0, suy = 0;
    for (size_t i = 0; i < cloud->n; i++) {
        s += w[i];
        su += w[i] * cloud->u[i];
        suu += w[i] * cloud->u[i] * cloud->u[i];
        sy += w[i] * cloud->value[i];
        suy += w[i] * cloud->u[i] * cloud->value[i];
    }
    const double determinant = s * suu - su * su;
    if (!(s > 0))
        return;
    if (determinant > 1e-12 * s * suu) {
        cloud->a = (suu * sy - su * suy) / determinant;
        cloud->b = (s * suy - su * sy) / determinant;
    } else {
        cloud->b = -1; /* one size */
    }
    if (cloud->b < 0) {
        cloud->b = 0;
        cloud->a = sy / s;
    } else if (cloud->a < 0) {
        cloud->a = 0;
        cloud->b = suy / suu;
    }
}

struct slope {
    double value, weight;
};

static double middle_of_three(double a, double b, double c) {
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

static void swap(struct slope *a, struct slope *b) {
    const struct slope kept = *a;
    *a = *b;
    *b = kept;
}

/* The value that half of the weight lies at or below, by narrowing down (Hoare's FIND): to sort
 * eight thousand slopes for each fit would hold up the loop. */
static double weighted_median(struct slope *slopes, size_t n) {
    double wanted = 0, pivot = 0;
    size_t low = 0, high = n;
    for (size_t i = 0; i < n; i++)
        wanted += slopes[i].weight / 2;
    while (low < high) {
        size_t less = low, at = low, more = high;
        double below = 0, equal = 0;
        pivot = middle_of_three(slopes[low].value, slopes[low + (high - low) / 2].value,
                                slopes[high - 1].value);
        while (at < more) {
            if (slopes[at].value > pivot) {
                swap(&slopes[at], &slopes[--more]);
            } else if (slopes[at].value < pivot) {
                below += slopes[at].weight;
                swap(&slopes[at++], &slopes[less++]);
            } else {
                equal += slopes[at++].weight;
            }
        }
        if (below >= wanted) {
            high = less;
        } else if (below + equal >= wanted) {
            break;
        } else {
            wanted -= below + equal;
            low = more;
        }
    }
    return pivot;
}

/* Theil-Sen: nearly a third of the points may be anything. A pair counts by the distance of its
 * sizes, because that is what its slope is good for. */
static void begin(struct cloud *cloud, struct slope *slopes, double *scratch) {
    size_t n_slopes = 0, n = 0;
    for (size_t i = 0; i < cloud->n; i++)
        for (size_t j = 0; j < i; j++) {
            const double apart = fabs(cloud->u[i] - cloud->u[j]);
            if (!cloud->is_at_least[i] && !cloud->is_at_least[j] && apart > 1e-3)
                slopes[n_slopes++] = (struct slope){
                    (cloud->value[i] - cloud->value[j]) / (cloud->u[i] - cloud->u[j]), apart};
        }
    cloud->b = fmax(0, weighted_median(slopes, n_slopes));
    for (size_t i = 0; i < cloud->n; i++)
        if (!cloud->is_at_least[i])
            scratch[n++] = cloud->value[i] - cloud->b * cloud->u[i];
    cloud->a = quantile(scratch, n, 0.5);
    if (cloud->a >= 0)
        return;
    n = 0;
    for (size_t i = 0; i < cloud->n; i++)
        if (!cloud->is_at_least[i] && cloud->u[i] > 0)
            scratch[n++] = cloud->value[i] / cloud->u[i];
    cloud->a = 0;
    cloud->b = quantile(scratch, n, 0.5);
}

/* How much point i may still say, after its distance from the curve. */
static double robustness(const struct cloud *cloud, size_t i, double scale) {
    const double distance = residual(cloud, i) / scale;
    if (cloud->is_at_least[i]) /* above it nothing is wrong; below, it pulls, but no farther */
        return distance <= 0 ? 0 : fmin(1, huber_reach / distance);
    const double share = distance / bisquare_reach;
    return fabs(share) >= 1 ? 0 : (1 - share * share) * (1 - share * share);
}

/* The median of the residuals' sizes; the two that a line takes for itself do not count. */
static double scale_of(const struct cloud *cloud, double *scratch, double noise) {
    size_t n = 0;
    for (size_t i = 0; i < cloud->n; i++)
        if (!cloud->is_at_least[i])
            scratch[n++] = fabs(residual(cloud, i));
    return fmax(noise, n > 2 ? 1.4826 * quantile(scratch, n, 0.5 + 0.5 / (double)n) : 0);
}

static void refine(struct cloud *cloud, struct slope *slopes, double *scratch, double noise) {
    begin(cloud, slopes, scratch);
    double scale = noise;
    for (int round = 0; round < ROUNDS; round++) {
        double w[REGRESSION_MAX_POINTS];
        scale = scale_of(cloud, scratch, noise);
        for (size_t i = 0; i < cloud->n; i++) {
            const double fitted = fmax(at(cloud, i), 1e-3 * cloud->value[i]);
            cloud->weight[i] = robustness(cloud, i, scale);
            w[i] = cloud->weight[i] / (fitted * fitted);
        }
        solve(cloud, w);
    }
    cloud->squares = 0;
    cloud->n_effective = 0;
    for (size_t i = 0; i < cloud->n; i++) {
        if (cloud->is_at_least[i])
            continue;
        const double limited = fmin(fabs(residual(cloud, i)), bisquare_reach * scale);
        cloud->squares += limited * limited; /* outliers widen the interval a little */
        cloud->n_effective += cloud->weight[i];
    }
}

/* ---- the choice between curves ---- */

/* What the fit works with; too much for the stack of a small program. */
struct workspace {
    struct regression_point usable[REGRESSION_MAX_POINTS];
    struct cloud best, candidate;
    struct slope slopes[REGRESSION_MAX_POINTS * (REGRESSION_MAX_POINTS - 1) / 2];
    double scratch[REGRESSION_MAX_POINTS];
};

static size_t count_sizes(const struct regression_point *points, size_t count) {
    double seen[LEAST_SIZES_FOR_CURVE];
    size_t n = 0;
    for (size_t i = 0; i < count && n < LEAST_SIZES_FOR_CURVE; i++) {
        bool is_new = !points[i].is_at_least;
        for (size_t j = 0; j < n && is_new; j++)
            is_new = points[i].size > seen[j] * same_size || points[i].size * same_size < seen[j];
        if (is_new)
            seen[n++] = points[i].size;
    }
    return n;
}

static void fill_cloud(const struct regression_point *points, size_t count, double size_max,
                       double exponent, struct cloud *cloud) {
    *cloud = (struct cloud){.n = count};
    for (size_t i = 0; i < count; i++) {
        const double share = size_max > 0 ? points[i].size / size_max : 0;
        cloud->u[i] = exponent > 1 ? pow(share, exponent) : share;
        cloud->value[i] = points[i].value;
        cloud->is_at_least[i] = points[i].is_at_least;
    }
}

/* A faster curve takes the line's place when it explains the points much better, where the line
 * misses them visibly. */
static void try_curves(struct workspace *space, size_t count, double noise,
                       struct regression *fit) {
    static const double exponents[] = {1.5, 2, 2.5, 3};
    const double n = (double)fit->n_exact, floor = n * noise * noise / 4;
    struct cloud *best = &space->best, *candidate = &space->candidate;
    const double line = best->squares;
    if (fit->n_exact < LEAST_POINTS_FOR_CURVE || fit->size_max < 1.5 * fit->size_min ||
        count_sizes(space->usable, count) < LEAST_SIZES_FOR_CURVE || sqrt(line / n) < curve_visible)
        return;
    for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
        fill_cloud(space->usable, count, fit->size_max, exponents[i], candidate);
        refine(candidate, space->slopes, space->scratch, noise);
        if (candidate->squares + floor >= (line + floor) / curve_gain ||
            candidate->squares >= best->squares)
            continue;
        *best = *candidate;
        fit->exponent = exponents[i];
        fit->shape = REGRESSION_FASTER;
    }
}

static void invert(const struct cloud *cloud, struct regression *fit) {
    double s = 0, su = 0, suu = 0;
    for (size_t i = 0; i < cloud->n; i++) {
        const double fitted = at(cloud, i);
        const double w = fitted > 0 ? cloud->weight[i] / (fitted * fitted) : 0;
        s += w;
        su += w * cloud->u[i];
        suu += w * cloud->u[i] * cloud->u[i];
    }
    const double determinant = s * suu - su * su;
    if (determinant > 1e-12 * s * suu) {
        fit->inverse[0] = suu / determinant;
        fit->inverse[1] = -su / determinant;
        fit->inverse[2] = s / determinant;
    } else if (s > 0) {
        fit->inverse[0] = 1 / s;
    }
}

static void finish(const struct cloud *cloud, double *scratch, double noise,
                   struct regression *fit) {
    const double n = (double)fit->n_exact;
    const double taken = fit->shape == REGRESSION_ONE_SIZE ? 1 : 2;
    fit->fixed = cloud->a;
    fit->slope = fit->size_max > 0 ? cloud->b / pow(fit->size_max, fit->exponent) : 0;
    fit->freedom = prior_freedom + fmax(0, n - taken);
    fit->spread = sqrt((prior_freedom * noise * noise + cloud->squares) / fit->freedom);
    fit->top = cloud->a + cloud->b;
    invert(cloud, fit);
    size_t used = 0;
    for (size_t i = 0; i < cloud->n; i++)
        if (!cloud->is_at_least[i])
            scratch[used++] = residual(cloud, i);
    if (used >= LEAST_POINTS_FOR_TAIL)
        fit->tail = fmax(0, quantile(scratch, used, 0.95));
    else if (fit->shape == REGRESSION_ONE_SIZE)
        fit->tail = fmax(0, quantile(scratch, used, 1));
}

/* ---- the whole ---- */

static size_t take_usable(const struct regression_point *points, size_t count,
                          struct regression_point *usable, struct regression *fit) {
    size_t n = 0;
    for (size_t i = 0; i < count && n < REGRESSION_MAX_POINTS; i++) {
        const struct regression_point *point = &points[i];
        if (!(point->value > 0) || !isfinite(point->value) || !(point->size >= 0) ||
            !isfinite(point->size))
            continue;
        usable[n++] = *point;
        if (point->is_at_least) {
            fit->n_at_least++;
            continue;
        }
        if (fit->n_exact == 0 || point->size < fit->size_min)
            fit->size_min = point->size;
        if (fit->n_exact == 0 || point->size > fit->size_max)
            fit->size_max = point->size;
        fit->n_exact++;
    }
    return n;
}

int regression_fit(const struct regression_point *points, size_t count, double noise,
                   struct regression *ret) {
    struct regression fit = {.exponent = 1};
    CLEANUP_FREE struct workspace *space = malloc(sizeof(*space));
    if (!space)
        return -ENOMEM;
    const size_t n = take_usable(points, count, space->usable, &fit);
    if (fit.n_exact == 0) {
        *ret = fit;
        return 0;
    }
    fit.shape = fit.size_max > fit.size_min * same_size ? REGRESSION_LINE : REGRESSION_ONE_SIZE;
    fill_cloud(space->usable, n, fit.size_max, 1, &space->best);
    if (fit.shape == REGRESSION_ONE_SIZE) /* nothing to draw a slope from */
        for (size_t i = 0; i < n; i++)
            space->best.u[i] = 0;
    refine(&space->best, space->slopes, space->scratch, noise);
    if (fit.shape == REGRESSION_LINE)
        try_curves(space, n, noise, &fit);
    finish(&space->best, space->scratch, noise, &fit);
    *ret = fit;
    return 0;
}

bool regression_is_beyond(const struct regression *fit, double size) {
    return size > fit->size_max * same_size;
}

bool regression_is_far(const struct regression *fit, double size) {
    return size > fit->size_max * 2;
}

double regression_estimate(const struct regression *fit, double size) {
    switch (fit->shape) {
    case REGRESSION_ONE_SIZE: /* beyond: between "all is fixed" and "all grows" */
        if (!regression_is_beyond(fit, size) || !(fit->size_max > 0))
            return fit->fixed;
        return fit->fixed * (1 + size / fit->size_max) / 2;
    case REGRESSION_LINE:
    case REGRESSION_FASTER:
        return fit->fixed + fit->slope * pow(size, fit->exponent);
    default:
        return 0;
    }
}

/* What the interval adds to the estimate inside the sizes seen. */
static double interval(const struct regression *fit, double size, double estimate) {
    const double u = fit->size_max > 0 ? pow(size / fit->size_max, fit->exponent) : 0;
    const double leverage = fit->inverse[0] + 2 * u * fit->inverse[1] + u * u * fit->inverse[2];
    const double t = t_99(fit->freedom);
    return fmax(fit->tail * estimate,
                t * fit->spread * sqrt(estimate * estimate + fmax(0, leverage)));
}

/* Few points on a line do not say that it goes on as a line: from the smallest to the largest seen,
 * and on from there, memory may have grown with the square of the size, with a fixed part or
 * without. */
static double square_bound(const struct regression *fit, double size) {
    const double seen = fit->size_max * fit->size_max, least = fit->size_min * fit->size_min;
    const double rise = fit->top - regression_estimate(fit, fit->size_min);
    const double with_fixed = fit->top + rise * (size * size - seen) / (seen - least);
    const double without = fit->top * size * size / seen;
    const double bound = fmin(with_fixed, without);
    return bound + interval(fit, size, bound);
}

double regression_upper(const struct regression *fit, double size) {
    if (fit->shape == REGRESSION_NONE)
        return INFINITY;
    const bool beyond = regression_is_beyond(fit, size);
    if (fit->shape == REGRESSION_ONE_SIZE) {
        const double here = fit->fixed + interval(fit, fit->size_max, fit->fixed);
        if (!beyond)
            return here;
        const double ratio = size / fit->size_max;
        return fit->size_max > 0 ? here * ratio * ratio : INFINITY;
    }
    const double estimate = regression_estimate(fit, size);
    const double upper = estimate + interval(fit, size, estimate);
    if (!beyond)
        return upper;
    if (fit->shape == REGRESSION_LINE && fit->n_exact < ENOUGH_POINTS)
        return fmax(estimate, square_bound(fit, size));
    const double growth = estimate - fit->top;
    const double widening = fmin(most_widening, 1 / (double)fit->n_exact);
    return fmax(estimate, upper + fmax(least_widening, widening) * fmax(0, growth));
}
