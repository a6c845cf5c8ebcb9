/* Least-squares fit of the Moffat profile amp (1 + ((x - mu) / alpha)^2)^-beta (Moffat 1969), by
 * Levenberg-Marquardt (MINPACK's lmdif in cminpack). A heavy-tailed bell: for large beta a
 * Gaussian.
 */
#ifndef WORKER_OUTPUT_MOFFAT_H
#define WORKER_OUTPUT_MOFFAT_H

#include <stdbool.h>
#include <stddef.h>

struct moffat {
    double amp, mu, alpha, beta; /* amp, alpha, beta > 0 */
};

double moffat_value(const struct moffat *moffat, double x);

/* Fits count >= 5 points from the start in *fit; on success *fit is the fit and *ret_rms the root
 * mean square residual. False: no convergence, or a profile that is none; *fit is left alone. */
bool moffat_fit(const double *x, const double *y, size_t count, struct moffat *fit,
                double *ret_rms);

#endif
