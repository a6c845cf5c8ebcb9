/* The slope that planted shifts are judged by. */
#include "worker/align/verify_planted.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { COUNT = 60 };

static void make_points(double slope, int wrong, struct verify_planted_point *ret) {
    static const double planted[] = {0.3, -0.7, 1.9, -3.2, 4.1, 0};
    for (int i = 0; i < COUNT; i++) {
        ret[i].planted = planted[i % 6];
        ret[i].measured = slope * ret[i].planted + (i % 2 ? 0.004 : -0.004);
        if (i % 10 < wrong) /* found at some other place */
            ret[i].measured = (i * 7919 % 17) - 8.0;
    }
}

static void the_slope_is_found(void **state) {
    (void)state;
    struct verify_planted_point points[COUNT];
    for (double slope = -1; slope < 1.2; slope += 0.25) {
        make_points(slope, 0, points);
        assert_true(fabs(verify_planted_slope(points, COUNT) - slope) < 0.02);
    }
}

static void wrong_points_do_not_bend_it(void **state) {
    (void)state;
    struct verify_planted_point points[COUNT];
    make_points(1, 3, points);
    assert_true(fabs(verify_planted_slope(points, COUNT) - 1) < 0.05);
    make_points(0, 3, points);
    assert_true(fabs(verify_planted_slope(points, COUNT)) < 0.05);
}

static void nothing_planted_has_no_slope(void **state) {
    (void)state;
    struct verify_planted_point points[] = {{0, 1}, {0, -1}};
    assert_true(verify_planted_slope(points, 2) == 0);
    assert_true(verify_planted_slope(points, 0) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slope_is_found),
        cmocka_unit_test(wrong_points_do_not_bend_it),
        cmocka_unit_test(nothing_planted_has_no_slope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
