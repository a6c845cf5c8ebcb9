/* Fits of known maps from noisy matches, many of them wrong. */
#include "worker/align/fit.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { COUNT = 200 };

/* A fixed sequence in [0, 1): the same matches in every run. */
static double next_uniform(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) / 16777216.0;
}

static void make_matches(const struct map *truth, double noise_px, double wrong_share,
                         struct fit_match *ret) {
    uint32_t state = 7;
    for (int i = 0; i < COUNT; i++) {
        double x = 12000 * next_uniform(&state), y = 10000 * next_uniform(&state);
        struct map_point p = map_apply(truth, x, y);
        p.x += noise_px * (next_uniform(&state) - 0.5);
        p.y += noise_px * (next_uniform(&state) - 0.5);
        if (next_uniform(&state) < wrong_share) {
            p.x += 400 * (next_uniform(&state) - 0.5);
            p.y += 400 * (next_uniform(&state) - 0.5);
        }
        ret[i] = (struct fit_match){x, y, p.x, p.y, 1, 0, 1};
    }
}

static double worst_corner(const struct map *a, const struct map *b) {
    double worst = 0;
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? 12000 : 0, y = corner & 2 ? 10000 : 0;
        struct map_point p = map_apply(a, x, y), q = map_apply(b, x, y);
        worst = fmax(worst, hypot(p.x - q.x, p.y - q.y));
    }
    return worst;
}

static const struct map truths[FIT_MODEL_COUNT] = {
    [FIT_SIMILARITY] = {{0.94, -0.31, 900, 0.31, 0.94, -2000, 0, 0, 1}},
    [FIT_AFFINE] = {{0.94, -0.31, 900, 0.30, 0.96, -2000, 0, 0, 1}},
    [FIT_HOMOGRAPHY] = {{0.94, -0.31, 900, 0.309, 0.942, -2000, 5e-8, -4e-8, 1}},
};

static void exact_matches_give_the_exact_map(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    for (enum fit_model model = 0; model < FIT_MODEL_COUNT; model++) {
        make_matches(&truths[model], 0, 0, matches);
        struct fit_options options = {model, 20, 1};
        struct map map;
        assert_int_equal(fit_run(matches, COUNT, &options, &map), 0);
        assert_true(worst_corner(&map, &truths[model]) < 1e-4);
    }
}

static void wrong_matches_do_not_pull(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    for (enum fit_model model = 0; model < FIT_MODEL_COUNT; model++) {
        make_matches(&truths[model], 1, 0.6, matches);
        struct fit_options options = {model, 20, 1};
        struct map map;
        assert_int_equal(fit_run(matches, COUNT, &options, &map), 0);
        if (worst_corner(&map, &truths[model]) > 0.5)
            fail_msg("%s: %g px off", fit_model_name(model), worst_corner(&map, &truths[model]));
    }
}

/* A match that is only sure along x must not pull along y. */
static void information_is_directional(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(&map_identity, 0, 0, matches);
    for (int i = 0; i < COUNT; i++) {
        matches[i].info_yy = 1e-6;
        if (i % 2) { /* sure along y instead, and these say 0.01 px */
            matches[i].info_xx = 1e-6;
            matches[i].info_yy = 1;
            matches[i].v += 0.01;
        }
    }
    struct map map;
    assert_int_equal(fit_polish(matches, COUNT, FIT_AFFINE, &map_identity, &map), 0);
    struct map_point p = map_apply(&map, 6000, 5000);
    assert_true(fabs(p.x - 6000) < 1e-4);
    assert_true(fabs(p.y - 5000.01) < 1e-4);
}

/* Along an edge a match may lie far off: that is no reason to leave out what it knows across. */
static void edges_count_across(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(&map_identity, 0, 0, matches);
    uint32_t random = 3;
    for (int i = 0; i < COUNT; i++) {
        double far = 8 * (next_uniform(&random) - 0.5);
        if (i % 2) {
            matches[i].info_yy = 0.01;
            matches[i].v += far;
        } else {
            matches[i].info_xx = 0.01;
            matches[i].u += far;
        }
    }
    struct map map;
    assert_int_equal(fit_polish(matches, COUNT, FIT_AFFINE, &map_identity, &map), 0);
    assert_true(worst_corner(&map, &map_identity) < 0.05);
    assert_true(fit_misfit(&matches[1], &map) < 0.45);
    assert_true(fit_misfit(&matches[1], &map_identity) <= fit_residual(&matches[1], &map_identity));
}

static void too_little_is_refused(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    make_matches(&map_identity, 0, 0, matches);
    struct fit_options options = {FIT_HOMOGRAPHY, 20, 1};
    struct map map;
    assert_int_equal(fit_run(matches, 3, &options, &map), -ENODATA);
    for (int i = 0; i < COUNT; i++) { /* all on one line: an affine map is not determined */
        matches[i].y = matches[i].v = 0;
        matches[i].u = matches[i].x;
    }
    options.model = FIT_AFFINE;
    assert_int_equal(fit_run(matches, COUNT, &options, &map), -ENODATA);
}

static void residuals_of_left_out_matches_tell_the_model(void **state) {
    (void)state;
    struct fit_match matches[COUNT];
    double medians[FIT_MODEL_COUNT], residuals[COUNT];
    make_matches(&truths[FIT_AFFINE], 1, 0, matches);
    for (enum fit_model model = 0; model < FIT_MODEL_COUNT; model++) {
        fit_cross_residuals(matches, COUNT, model, &truths[FIT_SIMILARITY], 5, residuals);
        medians[model] = fit_quantile(residuals, COUNT, 0.5);
    }
    assert_true(medians[FIT_AFFINE] < 0.1 * medians[FIT_SIMILARITY]);
    assert_true(medians[FIT_HOMOGRAPHY] > 0.95 * medians[FIT_AFFINE]);
}

static void quantiles(void **state) {
    (void)state;
    double values[] = {4, 1, 3, 2};
    assert_true(fit_quantile(values, 4, 0) == 1);
    assert_true(fit_quantile(values, 4, 0.5) == 2.5);
    assert_true(fit_quantile(values, 4, 1) == 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_matches_give_the_exact_map),
        cmocka_unit_test(wrong_matches_do_not_pull),
        cmocka_unit_test(information_is_directional),
        cmocka_unit_test(edges_count_across),
        cmocka_unit_test(too_little_is_refused),
        cmocka_unit_test(residuals_of_left_out_matches_tell_the_model),
        cmocka_unit_test(quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
