/* The displacement field and what the transform makes of it. */
#include "worker/align/transform.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static const double WIDTH = 1600, HEIGHT = 1100;

/* A fixed sequence in [0, 1): the same field in every run. */
static double next_uniform(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) / 16777216.0;
}

static struct transform rough_transform(void) {
    struct transform transform = {.map = {{0.97, -0.2, 31, 0.21, 0.98, -12, 0, 0, 1}},
                                  .grid = bspline_over(WIDTH, HEIGHT, 7)};
    uint32_t state = 3;
    for (int i = 0; i < transform.grid.columns * transform.grid.rows; i++) {
        transform.grid.dx[i] = 30 * (next_uniform(&state) - 0.5);
        transform.grid.dy[i] = 30 * (next_uniform(&state) - 0.5);
    }
    return transform;
}

static void the_grid_covers_the_frame(void **state) {
    (void)state;
    for (int cells = 1; cells <= BSPLINE_MOST_CELLS; cells++) {
        struct bspline grid = bspline_over(WIDTH, HEIGHT, cells);
        assert_int_equal(grid.columns, cells + 3);
        assert_true(grid.x + (grid.columns - 2) * grid.step > WIDTH - 1 - 1e-6);
        assert_true(grid.y + (grid.rows - 2) * grid.step > HEIGHT - 1 - 1e-6);
        assert_true(grid.y + (grid.rows - 3) * grid.step < HEIGHT - 1);
    }
    struct bspline square = bspline_over(500, 500, BSPLINE_MOST_CELLS);
    assert_int_equal(square.rows, BSPLINE_MOST_SIDE);
}

static void weights_add_up_to_one(void **state) {
    (void)state;
    struct bspline grid = bspline_over(WIDTH, HEIGHT, 9);
    for (double x = -50; x < WIDTH + 50; x += 7.3) {
        struct bspline_place place = bspline_locate(&grid, x, x / 2);
        double across = 0, down = 0;
        for (int i = 0; i < 4; i++) {
            assert_true(place.across[i] >= 0 && place.down[i] >= 0);
            across += place.across[i];
            down += place.down[i];
        }
        assert_true(fabs(across - 1) < 1e-14 && fabs(down - 1) < 1e-14);
        assert_in_range(place.column, 0, (unsigned)grid.columns - 4);
        assert_in_range(place.row, 0, (unsigned)grid.rows - 4);
    }
}

static void an_affine_field_is_reproduced(void **state) {
    (void)state;
    struct bspline grid = bspline_over(WIDTH, HEIGHT, 5);
    for (int row = 0; row < grid.rows; row++)
        for (int column = 0; column < grid.columns; column++) {
            double x = grid.x + column * grid.step, y = grid.y + row * grid.step;
            grid.dx[row * grid.columns + column] = 0.02 * x - 0.01 * y + 5;
            grid.dy[row * grid.columns + column] = -0.03 * x + 0.04 * y - 2;
        }
    for (double y = 0; y < HEIGHT; y += 31)
        for (double x = 0; x < WIDTH; x += 37) {
            struct map_point p = bspline_at(&grid, x, y);
            assert_true(fabs(p.x - (0.02 * x - 0.01 * y + 5)) < 1e-10);
            assert_true(fabs(p.y - (-0.03 * x + 0.04 * y - 2)) < 1e-10);
        }
    assert_true(bspline_bulge(&grid, 900, 700) < 1e-10);
}

static void a_row_is_the_same_as_its_points(void **state) {
    (void)state;
    struct transform transform = rough_transform();
    double xs[2000], ys[2000];
    for (double y = -40.5; y < HEIGHT + 60; y += 133) {
        memset(xs, 0, sizeof(xs));
        memset(ys, 0, sizeof(ys));
        bspline_add_row(&transform.grid, -200, y, 2000, xs, ys);
        for (int i = 0; i < 2000; i++) {
            struct map_point p = bspline_at(&transform.grid, i - 200, y);
            assert_true(fabs(p.x - xs[i]) < 1e-10 && fabs(p.y - ys[i]) < 1e-10);
        }
    }
}

static void slopes_are_derivatives(void **state) {
    (void)state;
    struct transform transform = rough_transform();
    const double h = 1e-3;
    for (double y = 10; y < HEIGHT - 10; y += 97)
        for (double x = 10; x < WIDTH - 10; x += 83) {
            struct map_point right = transform_apply(&transform, x + h, y);
            struct map_point left = transform_apply(&transform, x - h, y);
            struct map_point below = transform_apply(&transform, x, y + h);
            struct map_point above = transform_apply(&transform, x, y - h);
            double det = ((right.x - left.x) * (below.y - above.y) -
                          (below.x - above.x) * (right.y - left.y)) /
                         (4 * h * h);
            assert_true(fabs(transform_det(&transform, x, y) - det) < 1e-6);
        }
}

/* The bound holds, and is not idle. */
static void the_bulge_bounds_what_lies_between_corners(void **state) {
    (void)state;
    struct transform transform = rough_transform();
    const double sides[] = {8, 64, 128, 400};
    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++) {
        double side = sides[i], most = 0;
        double bulge = bspline_bulge(&transform.grid, side, side);
        for (double y0 = 0; y0 + side < HEIGHT; y0 += 101)
            for (double x0 = 0; x0 + side < WIDTH; x0 += 103) {
                double low = HUGE_VAL, high = -HUGE_VAL;
                for (int corner = 0; corner < 4; corner++) {
                    struct map_point p = bspline_at(&transform.grid, x0 + (corner & 1 ? side : 0),
                                                    y0 + (corner & 2 ? side : 0));
                    low = fmin(low, p.x);
                    high = fmax(high, p.x);
                }
                for (int k = 0; k < 81; k++) {
                    double x =
                        bspline_at(&transform.grid, x0 + k % 9 * side / 8, y0 + k / 9 * side / 8).x;
                    most = fmax(most, fmax(x - high, low - x));
                }
            }
        assert_true(most <= bulge);
        assert_true(most > bulge / 20);
    }
}

static void the_local_map_follows_the_field(void **state) {
    (void)state;
    struct transform transform = rough_transform();
    struct map near = transform_local(&transform, 700, 500, 2);
    struct map_point at = transform_apply(&transform, 700, 500), p = map_apply(&near, 700, 500);
    assert_true(hypot(at.x - p.x, at.y - p.y) < 1e-4);
    at = transform_apply(&transform, 703, 498), p = map_apply(&near, 703, 498);
    assert_true(hypot(at.x - p.x, at.y - p.y) < 2e-2);
    assert_true(fabs(map_det(&near, 700, 500) - transform_det(&transform, 700, 500)) < 1e-4);
    struct transform plain = {.map = transform.map};
    struct map same = transform_local(&plain, 700, 500, 128);
    assert_memory_equal(&same, &plain.map, sizeof(same));
}

static void json_keeps_every_bit(void **state) {
    (void)state;
    struct transform transform = rough_transform(), back;
    struct failure failure = {0};
    json_t *object = json_object();
    assert_int_equal(transform_write(&transform, object, &failure), 0);
    char *text = json_dumps(object, 0);
    json_t *again = json_loads(text, 0, NULL);
    assert_int_equal(transform_read(again, "here", &back, &failure), 0);
    assert_memory_equal(&back.map, &transform.map, sizeof(back.map));
    assert_memory_equal(&back.grid, &transform.grid, sizeof(back.grid));
    free(text);
    json_decref(again);
    json_decref(object);
}

static void a_damaged_grid_is_refused(void **state) {
    (void)state;
    struct transform transform = rough_transform(), back;
    struct failure failure = {0};
    json_t *object = json_object();
    assert_int_equal(transform_write(&transform, object, &failure), 0);
    json_t *grid = json_object_get(object, "grid");
    json_array_set_new(json_array_get(json_object_get(grid, "dy"), 2), 3, json_null());
    assert_int_equal(transform_read(object, "here", &back, &failure), -EINVAL);
    assert_string_equal(failure.text, "here: the grid's dy must be 8 rows of 10 finite numbers");
    json_object_set_new(grid, "columns", json_integer(400));
    assert_int_equal(transform_read(object, "here", &back, &failure), -ERANGE);
    assert_non_null(strstr(failure.text, "columns"));
    json_object_set_new(grid, "columns", json_integer(10));
    json_array_set_new(json_array_get(json_object_get(object, "post_to_pre"), 2), 0,
                       json_real(1e-6));
    assert_int_equal(transform_read(object, "here", &back, &failure), -EINVAL);
    assert_string_equal(failure.text, "here: a map with a grid must be affine");
    json_decref(object);
}

static void of_an_edge_the_way_across_counts(void **state) {
    (void)state;
    const struct transform transform = {.map = {{1, 0, 5, 0, 1, 0, 0, 0, 1}}};
    /* known to 0.1 px along x, to 10 px along y */
    struct fit_match match = {.x = 100, .y = 50, .u = 105.3, .v = 54, .info_xx = 100};
    match.info_yy = 0.01;
    assert_float_equal(transform_residual(&transform, &match), hypot(0.3, 4), 1e-9);
    assert_float_equal(transform_known_residual(&transform, &match), hypot(0.3, 0.04), 1e-9);
    match.info_yy = 100; /* as well along both */
    assert_float_equal(transform_known_residual(&transform, &match), hypot(0.3, 4), 1e-9);
    match.info_xx = match.info_yy = 0; /* nothing is known */
    assert_float_equal(transform_known_residual(&transform, &match), hypot(0.3, 4), 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grid_covers_the_frame),
        cmocka_unit_test(weights_add_up_to_one),
        cmocka_unit_test(an_affine_field_is_reproduced),
        cmocka_unit_test(a_row_is_the_same_as_its_points),
        cmocka_unit_test(slopes_are_derivatives),
        cmocka_unit_test(the_bulge_bounds_what_lies_between_corners),
        cmocka_unit_test(the_local_map_follows_the_field),
        cmocka_unit_test(of_an_edge_the_way_across_counts),
        cmocka_unit_test(json_keeps_every_bit),
        cmocka_unit_test(a_damaged_grid_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
