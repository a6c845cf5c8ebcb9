/* regression: exact on exact points, robust to wrong ones, careful with few, and honest about how
 * far it can be off, on tables and on seeded random clouds. */
#include "supervisor/memory/regression.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

#define MIB 1048576.0

static const double noise = 0.01;

static uint64_t random_state = 1;

/* Uniform in [0, 1): the same in every run. */
static double random_unit(void) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

/* About normal, of variance 1. */
static double random_normal(void) {
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += random_unit();
    return sum;
}

static struct regression fit_points(const struct regression_point *points, size_t n) {
    struct regression fit;
    assert_int_equal(regression_fit(points, n, noise, &fit), 0);
    return fit;
}

static void assert_near(double value, double wanted, double relative) {
    if (fabs(value - wanted) > relative * fabs(wanted))
        fail_msg("%g is not within %g of %g", value, relative, wanted);
}

static void nothing_is_known_without_points(void **state) {
    (void)state;
    const struct regression_point useless[] = {{5, 7, true}, {1, NAN, false}, {1, 0, false}};
    const struct regression fit = fit_points(useless, ARRAY_LEN(useless));
    assert_int_equal(fit.shape, REGRESSION_NONE);
    assert_int_equal(fit.n_at_least, 1);
    assert_true(isinf(regression_upper(&fit, 3)));
    assert_true(regression_estimate(&fit, 3) <= 0);
}

static void one_point_bounds_by_the_square(void **state) {
    (void)state;
    const struct regression_point one[] = {{10 * MIB, 70 * MIB, false}};
    const struct regression fit = fit_points(one, 1);
    assert_int_equal(fit.shape, REGRESSION_ONE_SIZE);
    assert_near(regression_estimate(&fit, 5 * MIB), 70 * MIB, 1e-9);
    const double here = regression_upper(&fit, 10 * MIB);
    assert_true(here > 70 * MIB && here < 80 * MIB);
    assert_near(regression_upper(&fit, MIB), here, 1e-9); /* smaller never needs more */
    assert_near(regression_upper(&fit, 100 * MIB), 100 * here, 1e-9);
    const double beyond = regression_estimate(&fit, 30 * MIB);
    assert_true(beyond > 70 * MIB && beyond < 210 * MIB);
    const struct regression_point unsized[] = {{0, MIB, false}};
    const struct regression flat = fit_points(unsized, 1);
    assert_true(regression_upper(&flat, 0) < 1.1 * MIB);
    assert_true(isinf(regression_upper(&flat, 1))); /* from nothing, no proportion */
}

static void exact_lines_are_found(void **state) {
    (void)state;
    static const struct {
        double fixed, slope;
    } lines[] = {{50 * MIB, 3}, {50 * MIB, 0}, {0, 7}, {1, 1e6}, {50 * MIB, 0.01}};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct regression_point points[5];
        for (size_t j = 0; j < ARRAY_LEN(points); j++) {
            points[j].size = (double)(j + 1) * 10 * MIB;
            points[j].value = lines[i].fixed + lines[i].slope * points[j].size;
            points[j].is_at_least = false;
        }
        const struct regression fit = fit_points(points, ARRAY_LEN(points));
        assert_int_equal(fit.shape, REGRESSION_LINE);
        const double far = 200 * MIB, true_far = lines[i].fixed + lines[i].slope * far;
        assert_near(regression_estimate(&fit, far), true_far, 1e-3);
        assert_near(regression_estimate(&fit, 25 * MIB), lines[i].fixed + lines[i].slope * 25 * MIB,
                    1e-3);
        assert_true(regression_is_beyond(&fit, far) && !regression_is_beyond(&fit, 50 * MIB));
        const double inside = regression_upper(&fit, 30 * MIB);
        assert_near(inside, lines[i].fixed + lines[i].slope * 30 * MIB, 0.04);
        assert_true(regression_upper(&fit, far) > true_far);
    }
}

static void wrong_points_do_not_matter(void **state) {
    (void)state;
    struct regression_point points[12];
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        points[i] = (struct regression_point){(double)(i + 1), 50 + 2 * (double)(i + 1), false};
    points[3].value = 900;
    points[7].value = 3;
    points[10].value = 500;
    const struct regression fit = fit_points(points, ARRAY_LEN(points));
    assert_int_equal(fit.shape, REGRESSION_LINE);
    assert_near(fit.fixed, 50, 0.02);
    assert_near(fit.slope, 2, 0.05);
}

static void at_least_pulls_up_and_never_down(void **state) {
    (void)state;
    struct regression_point points[7];
    for (size_t i = 0; i < 5; i++)
        points[i] = (struct regression_point){(double)(i + 1), 50 + 2 * (double)(i + 1), false};
    points[5] = (struct regression_point){10, 20, true}; /* it died long before its peak */
    struct regression fit = fit_points(points, 6);
    assert_near(regression_estimate(&fit, 10), 70, 1e-3);
    points[5].value = points[6].value = 100;
    points[6].size = 10;
    points[6].is_at_least = true;
    fit = fit_points(points, 7);
    assert_true(regression_estimate(&fit, 10) > 72);
    assert_int_equal(fit.n_at_least, 2);
}

static void faster_than_linear_is_seen(void **state) {
    (void)state;
    static const double exponents[] = {1.5, 2, 3};
    for (size_t e = 0; e < ARRAY_LEN(exponents); e++) {
        struct regression_point points[8];
        for (size_t i = 0; i < ARRAY_LEN(points); i++) {
            const double size = (double)(i + 1) * 4;
            points[i] = (struct regression_point){
                size, (50 + pow(size, exponents[e]) / 2) * (1 + 0.004 * random_normal()), false};
        }
        const struct regression fit = fit_points(points, ARRAY_LEN(points));
        assert_int_equal(fit.shape, REGRESSION_FASTER);
        const double far = 48, there = 50 + pow(far, exponents[e]) / 2;
        assert_near(regression_estimate(&fit, far), there, 0.1);
        assert_true(1.1 * regression_upper(&fit, far) > there);
    }
}

/* Lines with noise are hardly ever called curves, and the bound holds as often as it says. */
static void random_lines(void **state) {
    (void)state;
    enum { ROUNDS = 2000 };
    int curved = 0, above = 0;
    double width = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct regression_point points[20];
        const size_t n = 5 + (size_t)(random_unit() * 15);
        const double fixed = 50 + 50 * random_unit(), slope = 5 * random_unit();
        const double scatter = 0.03 * random_unit();
        for (size_t i = 0; i < n; i++) {
            points[i].size = 10 + 90 * random_unit();
            points[i].value = (fixed + slope * points[i].size) * (1 + scatter * random_normal());
            points[i].is_at_least = false;
        }
        const struct regression fit = fit_points(points, n);
        const double size = 10 + 90 * random_unit();
        const double value = (fixed + slope * size) * (1 + scatter * random_normal());
        curved += fit.shape == REGRESSION_FASTER;
        above += value > regression_upper(&fit, size);
        width += regression_upper(&fit, size) / regression_estimate(&fit, size) - 1;
    }
    print_message("curved %d, above the bound %d of %d, mean width %.3f\n", curved, above, ROUNDS,
                  width / ROUNDS);
    assert_true(curved <= ROUNDS / 500);
    assert_true(above <= 3 * ROUNDS / 100);
    assert_true(width / ROUNDS < 0.1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_without_points),
        cmocka_unit_test(one_point_bounds_by_the_square),
        cmocka_unit_test(exact_lines_are_found),
        cmocka_unit_test(wrong_points_do_not_matter),
        cmocka_unit_test(at_least_pulls_up_and_never_down),
        cmocka_unit_test(faster_than_linear_is_seen),
        cmocka_unit_test(random_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
