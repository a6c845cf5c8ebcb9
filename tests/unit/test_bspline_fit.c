/* Fields found from noisy matches, some of them wrong. */
#include "worker/align/bspline_fit.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { COUNT = 400 };
static const double WIDTH = 4000, HEIGHT = 3000;
static const struct map affine = {{0.98, -0.2, 300, 0.21, 0.97, -50, 0, 0, 1}};

/* A fixed sequence in [0, 1): the same matches in every run. */
static double next_uniform(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) / 16777216.0;
}

/* Not a B-spline. */
static struct map_point true_place(double x, double y) {
    struct map_point p = map_apply(&affine, x, y);
    p.x += 12 * sin(x / 500 + 1) * cos(y / 700);
    p.y += 9 * cos(x / 650) * sin(y / 450 + 0.5);
    return p;
}

static void make_matches(double noise_px, double wrong_share, struct fit_match *ret) {
    uint32_t state = 11;
    for (int i = 0; i < COUNT; i++) {
        double x = WIDTH * next_uniform(&state), y = HEIGHT * next_uniform(&state);
        struct map_point p = true_place(x, y);
        p.x += noise_px * (next_uniform(&state) - 0.5);
        p.y += noise_px * (next_uniform(&state) - 0.5);
        if (next_uniform(&state) < wrong_share) {
            p.x += 200 * (next_uniform(&state) - 0.5);
            p.y += 200 * (next_uniform(&state) - 0.5);
        }
        ret[i] = (struct fit_match){x, y, p.x, p.y, 100, 20, 150};
    }
}

/* Mean distance from the truth, away from the frame's edge. */
static double mean_error(const struct bspline *grid) {
    double sum = 0;
    int n = 0;
    for (double y = 200; y < HEIGHT - 200; y += 50)
        for (double x = 200; x < WIDTH - 200; x += 50, n++) {
            struct map_point p = map_apply(&affine, x, y), d = bspline_at(grid, x, y);
            struct map_point wanted = true_place(x, y);
            sum += hypot(p.x + d.x - wanted.x, p.y + d.y - wanted.y);
        }
    return sum / n;
}

static double fitted_error(const struct fit_match *matches, double penalty) {
    struct bspline grid = bspline_over(WIDTH, HEIGHT, 12);
    struct bspline_fit_problem problem = {matches, COUNT, &affine, penalty};
    assert_int_equal(bspline_fit(&problem, &grid), 0);
    return mean_error(&grid);
}

static void a_smooth_field_is_recovered(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(0, 0, matches);
    double error = fitted_error(matches, 1e-6);
    if (error > 0.1)
        fail_msg("%g px off", error);
}

static void wrong_matches_do_not_pull(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(0.5, 0.25, matches);
    double error = fitted_error(matches, 1e-5);
    if (error > 0.3)
        fail_msg("%g px off", error);
}

static void a_high_penalty_makes_it_stiff(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(0, 0, matches);
    struct bspline grid = bspline_over(WIDTH, HEIGHT, 12);
    struct bspline_fit_problem problem = {matches, COUNT, &affine, 1e6};
    assert_int_equal(bspline_fit(&problem, &grid), 0);
    struct map_point left = bspline_at(&grid, 0, 1500), right = bspline_at(&grid, WIDTH, 1500);
    assert_true(hypot(left.x - right.x, left.y - right.y) < 0.1); /* flat but for a shift */
}

/* Directions that a match does not know must not count: here half of them only know x. */
static void information_is_directional(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(0, 0, matches);
    for (int i = 0; i < COUNT; i++) {
        matches[i].info_xy = 0;
        if (i % 2) {
            matches[i].v += 0.4;
            matches[i].info_yy = 1e-6;
        }
    }
    double error = fitted_error(matches, 1e-6);
    if (error > 0.15)
        fail_msg("%g px off", error);
}

static void left_out_residuals_tell_noise_from_a_field(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    double residuals[COUNT];
    make_matches(1, 0, matches);
    double medians[3];
    const double penalties[3] = {10, 1e-4, 1e-12}; /* too stiff, right, too soft */
    for (int i = 0; i < 3; i++) {
        struct bspline grid = bspline_over(WIDTH, HEIGHT, 16);
        struct bspline_fit_problem problem = {matches, COUNT, &affine, penalties[i]};
        bspline_fit_cross(&problem, &grid, 5, residuals);
        medians[i] = fit_quantile(residuals, COUNT, 0.5);
    }
    assert_true(medians[1] < 0.5 * medians[0]);
    assert_true(medians[1] < 0.9 * medians[2]);
}

static void too_little_is_refused(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(0, 0, matches);
    struct bspline grid = bspline_over(WIDTH, HEIGHT, 12);
    struct bspline_fit_problem problem = {matches, 2, &affine, 1};
    assert_int_equal(bspline_fit(&problem, &grid), -ENODATA);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_smooth_field_is_recovered),
        cmocka_unit_test(wrong_matches_do_not_pull),
        cmocka_unit_test(a_high_penalty_makes_it_stiff),
        cmocka_unit_test(information_is_directional),
        cmocka_unit_test(left_out_residuals_tell_noise_from_a_field),
        cmocka_unit_test(too_little_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
