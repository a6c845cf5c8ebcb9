/* From pre to post: there and back through a homography and a grid, and what has no way back. */
#include "worker/align/transform_inverse.h"

#include "common/cleanup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 1500, HEIGHT = 1200, STEP_PX = 37 };

static const struct map affine = {{1.01, 0.03, -20, -0.03, 0.99, 31, 0, 0, 1}};

/* Displacements of up to `most` px, the same on every machine. */
static struct transform bent(double most) {
    struct transform transform = {.map = affine, .grid = bspline_over(WIDTH, HEIGHT, 8)};
    uint32_t state = 7;
    for (int i = 0; i < transform.grid.columns * transform.grid.rows; i++) {
        state = state * 1664525 + 1013904223;
        transform.grid.dx[i] = most * ((state >> 16) / 32767.5 - 1);
        state = state * 1664525 + 1013904223;
        transform.grid.dy[i] = most * ((state >> 16) / 32767.5 - 1);
    }
    return transform;
}

/* The largest way from a post pixel to where it comes back to; -1 when one does not come back. */
static double round_trip(const struct transform *transform, double margin) {
    struct transform_inverse inverse;
    double most = 0;
    assert_true(transform_inverse_make(transform, WIDTH, HEIGHT, &inverse));
    for (double y = -margin; y < HEIGHT + margin; y += STEP_PX)
        for (double x = -margin; x < WIDTH + margin; x += STEP_PX) {
            struct map_point there = transform_apply(transform, x, y), back;
            if (!transform_inverse_at(&inverse, there.x, there.y, &back))
                return -1;
            most = fmax(most, hypot(back.x - x, back.y - y));
        }
    return most;
}

static void assert_trip(double distance, double limit) {
    if (!(distance >= 0 && distance <= limit))
        fail_msg("%g px after a round trip, %g are allowed", distance, limit);
}

static void projective_maps_come_back_exactly(void **state) {
    (void)state;
    const struct transform straight = {.map = affine};
    const struct transform leaning = {.map = {{1.02, 0.1, -31, -0.09, 0.97, 44, 2e-5, -3e-5, 1}}};
    const struct transform negated = {
        .map = {{-1.02, -0.1, 31, 0.09, -0.97, -44, -2e-5, 3e-5, -1}}};
    assert_trip(round_trip(&straight, 5000), 1e-8);
    assert_trip(round_trip(&leaning, 500), 1e-8);
    assert_trip(round_trip(&negated, 500), 1e-8);
}

static void grids_come_back_inside_and_outside_of_the_frame(void **state) {
    (void)state;
    const struct transform gentle = bent(10), wild = bent(45);
    assert_trip(round_trip(&gentle, 0), 1e-3);
    assert_trip(round_trip(&gentle, 400), 1e-3);
    assert_trip(round_trip(&wild, 0), 1e-3);
}

static void a_near_answer_leads_to_the_same_one(void **state) {
    (void)state;
    const struct transform transform = bent(20);
    struct transform_inverse inverse;
    assert_true(transform_inverse_make(&transform, WIDTH, HEIGHT, &inverse));
    struct map_point there = transform_apply(&transform, 700, 500), far, near;
    assert_true(transform_inverse_at(&inverse, there.x, there.y, &far));
    assert_true(
        transform_inverse_near(&inverse, there.x, there.y, (struct map_point){701, 498.5}, &near));
    assert_true(hypot(far.x - near.x, far.y - near.y) < 1e-5);
}

static void what_lies_beyond_the_horizon_has_no_place(void **state) {
    (void)state;
    const struct transform transform = {.map = {{1, 0, 0, 0, 1, 0, 1e-4, 0, 1}}};
    struct transform_inverse inverse;
    struct map_point back;
    assert_true(transform_inverse_make(&transform, WIDTH, HEIGHT, &inverse));
    /* x / (1 + x / 10000) stays below 10,000 on this side of the horizon */
    assert_true(transform_inverse_at(&inverse, 9000, 100, &back));
    assert_false(transform_inverse_at(&inverse, 10000, 100, &back));
    assert_false(transform_inverse_at(&inverse, 11000, 100, &back));
    assert_false(transform_inverse_at(&inverse, NAN, 100, &back));
}

static void maps_without_an_inverse_are_refused(void **state) {
    (void)state;
    struct transform_inverse inverse;
    const struct transform flat = {.map = {{1, 2, 0, 2, 4, 0, 0, 0, 1}}};
    const struct transform horizon = {.map = {{1, 0, 0, 0, 1, 0, -1e-3, 0, 1}}};
    const struct transform folded = bent(400);
    struct transform endless = bent(1);
    endless.grid.dx[40] = 1e308;
    assert_false(transform_inverse_make(&flat, WIDTH, HEIGHT, &inverse));
    assert_false(transform_inverse_make(&horizon, WIDTH, HEIGHT, &inverse));
    assert_false(transform_inverse_make(&folded, WIDTH, HEIGHT, &inverse));
    assert_false(transform_inverse_make(&endless, WIDTH, HEIGHT, &inverse));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(projective_maps_come_back_exactly),
        cmocka_unit_test(grids_come_back_inside_and_outside_of_the_frame),
        cmocka_unit_test(a_near_answer_leads_to_the_same_one),
        cmocka_unit_test(what_lies_beyond_the_horizon_has_no_place),
        cmocka_unit_test(maps_without_an_inverse_are_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
