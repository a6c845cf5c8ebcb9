/* The background scale's estimate on distributions whose mode is known: with post-only objects,
 * with the pile of equal small counts at 0, with a gain of exactly 1, and with too little. */
#include "worker/output/log_ratio.h"

#include "common/cleanup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void assert_near(double actual, double wanted, double tolerance) {
    if (!(fabs(actual - wanted) <= tolerance))
        fail_msg("%.9g is not within %g of %.9g", actual, tolerance, wanted);
}

static uint64_t *fine;

static int set_up(void **state) {
    (void)state;
    fine = calloc(LOG_RATIO_FINE_BINS, sizeof(*fine));
    return fine ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    free(fine);
    return 0;
}

/* Adds `pixels` pixels spread like the profile around log10(ratio). */
static void add_bell(double pixels, double ratio, double width) {
    struct moffat bell = {.amp = 1, .mu = log10(ratio), .alpha = width, .beta = 3};
    double sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < LOG_RATIO_FINE_BINS; i++) {
            double x = ((double)i + 0.5) / LOG_RATIO_PER_DECADE - LOG_RATIO_DECADES / 2.0;
            double value = moffat_value(&bell, x);
            if (pass == 0)
                sum += value;
            else
                fine[i] += (uint64_t)lround(pixels * value / sum);
        }
}

static void check_scale(double gain, double tolerance) {
    struct log_ratio_scale scale;
    assert_true(log_ratio_estimate(fine, &scale));
    assert_true(scale.fitted);
    assert_near(pow(10, scale.moffat.mu) / gain, 1, tolerance);
    assert_near(pow(10, scale.peak) / gain, 1, 0.03);
}

static void bins_are_where_they_should_be(void **state) {
    (void)state;
    assert_int_equal(log_ratio_bin(10, 10), LOG_RATIO_FINE_BINS / 2);
    assert_in_range(log_ratio_bin(1, 10), LOG_RATIO_FINE_BINS / 2 + LOG_RATIO_PER_DECADE - 1,
                    LOG_RATIO_FINE_BINS / 2 + LOG_RATIO_PER_DECADE + 1);
    assert_int_equal(log_ratio_bin(1, 1e9F), LOG_RATIO_FINE_BINS - 1);
    assert_int_equal(log_ratio_bin(1e9F, 1), 0);
}

static void gains(void **state) {
    (void)state;
    static const double gains[] = {0.3, 0.5, 0.77, 0.98, 1.0, 1.01, 1.31, 2.0, 3.0};
    static const double widths[] = {0.004, 0.03, 0.12};
    for (size_t i = 0; i < ARRAY_LEN(gains); i++)
        for (size_t k = 0; k < ARRAY_LEN(widths); k++) {
            memset(fine, 0, LOG_RATIO_FINE_BINS * sizeof(*fine));
            add_bell(3e6, gains[i], widths[k]);
            check_scale(gains[i], 0.01);
        }
}

static void objects_in_post_do_not_pull(void **state) {
    (void)state;
    add_bell(3e6, 1.4, 0.05);
    add_bell(3e5, 1.4 * 4, 0.25); /* 10 % of the pixels, four times brighter */
    check_scale(1.4, 0.01);
}

static void the_pile_at_zero_is_left_out(void **state) {
    (void)state;
    add_bell(1e6, 0.7, 0.05);
    fine[LOG_RATIO_FINE_BINS / 2] += 400000;
    check_scale(0.7, 0.01);
}

static void too_few_pixels_say_nothing(void **state) {
    (void)state;
    struct log_ratio_scale scale;
    fine[LOG_RATIO_FINE_BINS / 2 + 100] = LOG_RATIO_LEAST_PIXELS - 1;
    assert_false(log_ratio_estimate(fine, &scale));
}

/* One single ratio: no profile to fit, but the peak stands. */
static void a_single_ratio_falls_back_to_the_peak(void **state) {
    (void)state;
    struct log_ratio_scale scale;
    fine[log_ratio_bin(2, 3)] = 100000;
    assert_true(log_ratio_estimate(fine, &scale));
    assert_near(pow(10, scale.peak), 1.5, 0.01);
}

static void percentiles(void **state) {
    (void)state;
    assert_true(isnan(log_ratio_percentile(fine, 50)));
    add_bell(1e6, 2, 0.05);
    assert_near(log_ratio_percentile(fine, 50), log10(2), 2e-4);
    assert_true(log_ratio_percentile(fine, 10) < log_ratio_percentile(fine, 90));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bins_are_where_they_should_be),
        cmocka_unit_test_setup_teardown(gains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_in_post_do_not_pull, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_pile_at_zero_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_few_pixels_say_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_single_ratio_falls_back_to_the_peak, set_up, tear_down),
        cmocka_unit_test_setup_teardown(percentiles, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
