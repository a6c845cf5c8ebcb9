/* The Moffat fit: it finds the profile that made the points, near or far from the start, and says
 * no where there is none. */
#include "worker/output/moffat.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void assert_near(double actual, double wanted, double tolerance) {
    if (!(fabs(actual - wanted) <= tolerance))
        fail_msg("%.9g is not within %g of %.9g", actual, tolerance, wanted);
}

enum { COUNT = 120 };

static void make(const struct moffat *truth, double *x, double *y) {
    for (int i = 0; i < COUNT; i++) {
        x[i] = truth->mu + truth->alpha * (i - COUNT / 2) / 15.0;
        y[i] = moffat_value(truth, x[i]);
    }
}

static void value_at_known_places(void **state) {
    (void)state;
    struct moffat moffat = {.amp = 8, .mu = 1, .alpha = 0.5, .beta = 3};
    assert_near(moffat_value(&moffat, 1), 8, 1e-12);
    assert_near(moffat_value(&moffat, 1.5), 1, 1e-12); /* 8 * 2^-3 */
    assert_near(moffat_value(&moffat, 0.5), 1, 1e-12);
}

static void profile_is_found(void **state) {
    (void)state;
    static const struct moffat truths[] = {
        {1e6, 0.2, 0.01, 1.5}, {40, -0.4, 0.3, 4}, {3, 0, 1, 0.8}};
    for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
        double x[COUNT], y[COUNT], rms;
        make(&truths[i], x, y);
        struct moffat fit = {.amp = truths[i].amp * 0.8,
                             .mu = truths[i].mu + 0.4 * truths[i].alpha,
                             .alpha = 2 * truths[i].alpha,
                             .beta = 2};
        assert_true(moffat_fit(x, y, COUNT, &fit, &rms));
        assert_near(fit.mu, truths[i].mu, 1e-4 * truths[i].alpha);
        assert_near(fit.amp / truths[i].amp, 1, 1e-3);
        assert_near(fit.beta / truths[i].beta, 1, 0.02);
        assert_true(rms < 1e-3 * truths[i].amp);
    }
}

static void nonsense_is_refused(void **state) {
    (void)state;
    double x[COUNT] = {0}, y[COUNT] = {0}, rms = -1;
    struct moffat start = {1, 0, 1, 2}, fit = start;
    assert_false(moffat_fit(x, y, 4, &fit, &rms)); /* as many unknowns as points */
    struct moffat bad = {1, 0, -1, 2};
    assert_false(moffat_fit(x, y, COUNT, &bad, &rms));
    make(&start, x, y);
    y[7] = NAN;
    assert_false(moffat_fit(x, y, COUNT, &fit, &rms));
    assert_near(fit.beta, start.beta, 0); /* left alone */
    assert_near(rms, -1, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_at_known_places),
        cmocka_unit_test(profile_is_found),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
