/* The equations of a correction: what is put in by finite differences comes out again. */
#include "worker/align/joint_equations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { SIDE = 100, STEP = 7 };

static const struct joint_frame frame = {(SIDE - 1) / 2.0, (SIDE - 1) / 2.0, SIDE / 2.0};

/* Pixels whose gradients point all ways and whose residuals are what the map's shift there makes.
 */
static struct joint_equations equations_of(const struct map *map) {
    struct joint_equations equations = {0};
    for (int i = 0; i < SIDE * SIDE; i += STEP) {
        double x = i % SIDE, y = floor(i / (double)SIDE);
        struct map_point to = map_apply(map, x, y);
        double gx = cos(0.7 * i), gy = sin(0.7 * i);
        const struct joint_pixel pixel = {x,        y, gx, gy, gx * (to.x - x) + gy * (to.y - y),
                                          1 + i % 3};
        joint_equations_add_pixel(&frame, &pixel, &equations);
    }
    return equations;
}

/* Small enough that the equations' being linear does not show. */
static const struct map small = {{1 + 2e-5, -3e-5, 0.004, 4e-5, 1 - 1e-5, -0.003, 2e-8, -3e-8, 1}};

static double farthest_apart(const struct map *a, const struct map *b) {
    double farthest = 0;
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? SIDE - 1 : 0, y = corner & 2 ? SIDE - 1 : 0;
        struct map_point p = map_apply(a, x, y), q = map_apply(b, x, y);
        farthest = fmax(farthest, hypot(p.x - q.x, p.y - q.y));
    }
    return farthest;
}

static void a_small_homography_is_found(void **state) {
    (void)state;
    struct joint_equations equations = equations_of(&small);
    struct map found;
    assert_true(joint_equations_solve(&equations, &frame, JOINT_PARAMETERS, &found));
    assert_true(farthest_apart(&small, &found) < 1e-6);
    assert_true(farthest_apart(&small, &map_identity) > 5e-3);
}

static void a_similarity_has_no_shear_nor_perspective(void **state) {
    (void)state;
    struct joint_equations equations = equations_of(&small);
    struct map found;
    assert_true(joint_equations_solve(&equations, &frame, 4, &found));
    assert_true(fabs(found.h[0] - found.h[4]) < 1e-12);
    assert_true(fabs(found.h[1] + found.h[3]) < 1e-12);
    assert_true(found.h[6] == 0 && found.h[7] == 0);
    assert_true(farthest_apart(&small, &found) < 5e-3);
}

static void cells_add_up_in_any_order(void **state) {
    (void)state;
    struct joint_equations one = equations_of(&small), sum = {0};
    struct map found, of_sum;
    joint_equations_add(&one, &sum);
    joint_equations_add(&one, &sum);
    assert_true(joint_equations_solve(&one, &frame, JOINT_PARAMETERS, &found));
    assert_true(joint_equations_solve(&sum, &frame, JOINT_PARAMETERS, &of_sum));
    assert_true(farthest_apart(&found, &of_sum) < 1e-9);
}

/* Edges of one direction say nothing along themselves. */
static void edges_of_one_direction_are_not_enough(void **state) {
    (void)state;
    struct joint_equations equations = {0};
    for (int i = 0; i < SIDE * SIDE; i += STEP) {
        const struct joint_pixel pixel = {i % SIDE, floor(i / (double)SIDE), 1, 0, 0.1, 1};
        joint_equations_add_pixel(&frame, &pixel, &equations);
    }
    struct map found = {{7}};
    assert_false(joint_equations_solve(&equations, &frame, JOINT_PARAMETERS, &found));
    assert_true(found.h[0] == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_homography_is_found),
        cmocka_unit_test(a_similarity_has_no_shear_nor_perspective),
        cmocka_unit_test(cells_add_up_in_any_order),
        cmocka_unit_test(edges_of_one_direction_are_not_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
