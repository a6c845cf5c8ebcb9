/* Maps: composition, inversion, determinant, and the half pixel between levels. */
#include "worker/align/map.h"

#include "common/cleanup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static const struct map homography = {{1.02, 0.11, -31, -0.09, 0.97, 44, 2e-6, -3e-6, 1}};

static void assert_near(double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.12g is not %.12g", a, b);
}

static void composition_applies_first_then_second(void **state) {
    (void)state;
    struct map turn = map_similarity(0.3, 1.1, 5, -7);
    struct map both = map_compose(&turn, &homography);
    struct map_point p = map_apply(&turn, 123, 456);
    p = map_apply(&homography, p.x, p.y);
    struct map_point q = map_apply(&both, 123, 456);
    assert_near(p.x, q.x, 1e-9);
    assert_near(p.y, q.y, 1e-9);
}

static void inverse_leads_back(void **state) {
    (void)state;
    struct map inverse;
    assert_true(map_invert(&homography, &inverse));
    struct map_point p = map_apply(&homography, 12000, 9000);
    p = map_apply(&inverse, p.x, p.y);
    assert_near(p.x, 12000, 1e-6);
    assert_near(p.y, 9000, 1e-6);
    const struct map singular = {{1, 2, 0, 2, 4, 0, 0, 0, 1}};
    assert_false(map_invert(&singular, &inverse));
}

static void rotation_turns_x_towards_y(void **state) {
    (void)state;
    struct map turn = map_similarity(acos(-1) / 2, 2, 0, 0);
    struct map_point p = map_apply(&turn, 1, 0);
    assert_near(p.x, 0, 1e-12);
    assert_near(p.y, 2, 1e-12);
    assert_near(map_det(&turn, 5, 5), 4, 1e-12);
}

static void determinant_matches_differences(void **state) {
    (void)state;
    double x = 800, y = 300, h = 1e-3;
    struct map_point a = map_apply(&homography, x + h, y), b = map_apply(&homography, x - h, y);
    struct map_point c = map_apply(&homography, x, y + h), d = map_apply(&homography, x, y - h);
    double det = ((a.x - b.x) * (c.y - d.y) - (c.x - d.x) * (a.y - b.y)) / (4 * h * h);
    assert_near(map_det(&homography, x, y), det, 1e-6);
    const struct map mirror = {{-1, 0, 100, 0, 1, 0, 0, 0, 1}};
    assert_near(map_det(&mirror, 3, 3), -1, 1e-12);
}

/* The centre of pixel 0 of a level reduced four times is at 1.5 of the full image. */
static void levels_keep_pixel_centres(void **state) {
    (void)state;
    struct map level = map_at_levels(&map_identity, 2, 0);
    struct map_point p = map_apply(&level, 0, 0);
    assert_near(p.x, 1.5, 1e-12);
    struct map same = map_at_levels(&homography, 0, 0);
    for (int i = 0; i < 9; i++)
        assert_near(same.h[i], homography.h[i], 1e-12);
    struct map mixed = map_at_levels(&homography, 3, 5);
    p = map_apply(&homography, (10 + 0.5) * 8 - 0.5, (20 + 0.5) * 8 - 0.5);
    struct map_point q = map_apply(&mixed, 10, 20);
    assert_near(q.x, (p.x + 0.5) / 32 - 0.5, 1e-9);
    assert_near(q.y, (p.y + 0.5) / 32 - 0.5, 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(composition_applies_first_then_second),
        cmocka_unit_test(inverse_leads_back),
        cmocka_unit_test(rotation_turns_x_towards_y),
        cmocka_unit_test(determinant_matches_differences),
        cmocka_unit_test(levels_keep_pixel_centres),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
