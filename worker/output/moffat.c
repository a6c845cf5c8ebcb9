/* The fit works on logarithms of amp, alpha and beta, which keeps them positive, and in units of
 * the start's amp and alpha, which keeps the problem well scaled; see moffat.h. */
#include "worker/output/moffat.h"

#include "common/cleanup.h"

#include <cminpack-1/cminpack.h>
#include <math.h>

enum { N_PARAMETERS = 4, MAX_EVALUATIONS = 2000 };

struct problem {
    const double *x, *y;
    struct moffat start;
};

double moffat_value(const struct moffat *moffat, double x) {
    double t = (x - moffat->mu) / moffat->alpha;
    return moffat->amp * exp(-moffat->beta * log1p(t * t));
}

static struct moffat from_parameters(const struct moffat *start, const double *p) {
    return (struct moffat){
        .amp = start->amp * exp(p[0]),
        .mu = start->mu + start->alpha * p[1],
        .alpha = start->alpha * exp(p[2]),
        .beta = start->beta * exp(p[3]),
    };
}

static int residuals(void *context, int count, int n_parameters, const double *p, double *ret,
                     int flag) {
    (void)n_parameters;
    (void)flag;
    const struct problem *problem = context;
    struct moffat moffat = from_parameters(&problem->start, p);
    for (int i = 0; i < count; i++)
        ret[i] = (moffat_value(&moffat, problem->x[i]) - problem->y[i]) / problem->start.amp;
    return 0;
}

static bool is_profile(const struct moffat *moffat) {
    return isfinite(moffat->amp) && isfinite(moffat->mu) && isfinite(moffat->alpha) &&
           isfinite(moffat->beta) && moffat->amp > 0 && moffat->alpha > 0 && moffat->beta > 0;
}

bool moffat_fit(const double *x, const double *y, size_t count, struct moffat *fit,
                double *ret_rms) {
    if (count <= N_PARAMETERS || count > 100000 || !is_profile(fit))
        return false;
    struct problem problem = {.x = x, .y = y, .start = *fit};
    int m = (int)count, n_evaluations = 0;
    double p[N_PARAMETERS] = {0}, scale[N_PARAMETERS], transformed[N_PARAMETERS];
    double work[N_PARAMETERS * 3];
    int pivots[N_PARAMETERS];
    CLEANUP_FREE double *residual = calloc(count, sizeof(double));
    CLEANUP_FREE double *jacobian = calloc(count * N_PARAMETERS, sizeof(double));
    CLEANUP_FREE double *work_m = calloc(count, sizeof(double));
    if (!residual || !jacobian || !work_m)
        return false;
    const double tolerance = 1e-8;
    int info = lmdif(residuals, &problem, m, N_PARAMETERS, p, residual, tolerance, tolerance, 0,
                     MAX_EVALUATIONS, 0, scale, 1, 100, 0, &n_evaluations, jacobian, m, pivots,
                     transformed, work, work + N_PARAMETERS, work + 2 * N_PARAMETERS, work_m);
    struct moffat result = from_parameters(&problem.start, p);
    /* 1 to 4: converged; 6 to 8: no further gain is possible at machine precision */
    if (info < 1 || info == 5 || !is_profile(&result))
        return false;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += residual[i] * residual[i];
    *ret_rms = sqrt(sum / (double)count) * problem.start.amp;
    *fit = result;
    return true;
}
