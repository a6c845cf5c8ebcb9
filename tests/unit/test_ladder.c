/* Which rung matches ask for, and that a fold is never climbed to. timeout: 300 */
#include "worker/align/ladder.h"

#include "worker/align/refine.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { COUNT = 200, REACH_PX = 32 };
static const double WIDTH = 4000, HEIGHT = 3000;
static const struct transform start = {.map = {{0.98, -0.2, 300, 0.2, 0.98, -50, 0, 0, 1}}};
static const struct map affine = {{0.98, -0.2, 300, 0.21, 0.96, -50, 0, 0, 1}};

/* A fixed sequence in [0, 1): the same matches in every run. */
static double next_uniform(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) / 16777216.0;
}

/* Waves of this height and length on the affine map. */
struct waves {
    double height_px, length_px;
};

static struct map_point true_place(const struct waves *waves, double x, double y) {
    struct map_point p = map_apply(&affine, x, y);
    double turn = 6.2831853 / waves->length_px;
    p.x += waves->height_px * sin(turn * x + 1) * cos(turn * y);
    p.y += waves->height_px * sin(turn * y + 2);
    return p;
}

static void make_matches(const struct waves *waves, double wrong_share, struct fit_match *ret) {
    uint32_t state = 5;
    for (int i = 0; i < COUNT; i++) {
        double x = WIDTH * (i % 20 + 0.5) / 20, y = HEIGHT * (i / 20 + 0.5) / (COUNT / 20);
        struct map_point p = true_place(waves, x, y);
        p.x += 0.1 * (next_uniform(&state) - 0.5);
        p.y += 0.1 * (next_uniform(&state) - 0.5);
        if (next_uniform(&state) < wrong_share) {
            p.x += 2 * REACH_PX * (next_uniform(&state) - 0.5);
            p.y += 2 * REACH_PX * (next_uniform(&state) - 0.5);
        }
        ret[i] = (struct fit_match){x, y, p.x, p.y, 100, 0, 100};
    }
    for (int i = COUNT - 1; i > 0; i--) { /* neighbours are not in the same fold by their order */
        int k = (int)(next_uniform(&state) * (i + 1));
        struct fit_match other = ret[i];
        ret[i] = ret[k];
        ret[k] = other;
    }
}

static struct params parameters(const char *model) {
    struct params params;
    struct failure failure = {0};
    char assignment[32];
    json_t *object = params_defaults();
    (void)snprintf(assignment, sizeof(assignment), "model=%s", model);
    assert_int_equal(params_set_text(object, assignment, "--set", &failure), 0);
    assert_int_equal(params_parse(object, &params, &failure), 0);
    json_decref(object);
    return params;
}

static struct ladder_fit climb(const char *model, const struct waves *waves, double wrong_share) {
    struct fit_match matches[COUNT];
    struct params params = parameters(model);
    struct ladder_request request = {
        .params = &params, .width = WIDTH, .height = HEIGHT, .reach_px = REACH_PX, .start = &start};
    struct ladder_fit fit;
    struct failure failure = {0};
    make_matches(waves, wrong_share, matches);
    assert_int_equal(ladder_climb(matches, COUNT, &request, &fit, &failure), 0);
    return fit;
}

/* At least margin_px from the frame's edge. */
static double worst_px(const struct transform *transform, const struct waves *waves,
                       double margin_px) {
    double worst = 0;
    for (double y = margin_px; y <= HEIGHT - margin_px; y += 50)
        for (double x = margin_px; x <= WIDTH - margin_px; x += 50) {
            struct map_point p = transform_apply(transform, x, y);
            struct map_point wanted = true_place(waves, x, y);
            worst = fmax(worst, hypot(p.x - wanted.x, p.y - wanted.y));
        }
    return worst;
}

static void an_affine_map_is_not_bent(void **state) {
    (void)state;
    struct waves none = {0, 1};
    struct ladder_fit fit = climb("auto", &none, 0.2);
    assert_true(fit.credible);
    assert_string_equal(refine_model_name(&fit.transform, fit.model), "affine");
    fit = climb("grid", &none, 0.2);
    assert_string_equal(refine_model_name(&fit.transform, fit.model), "grid");
    if (worst_px(&fit.transform, &none, 150) > 0.3)
        fail_msg("a grid bends it by %g px", worst_px(&fit.transform, &none, 150));
}

/* A grid follows the matches' own errors as well: it must explain clearly more than these. */
static void a_bend_as_small_as_the_errors_is_none(void **state) {
    (void)state;
    struct waves waves = {0.08, 2000};
    struct ladder_fit fit = climb("auto", &waves, 0);
    assert_true(fit.grid_cost < 0.85 * fit.map_cost);
    assert_string_equal(refine_model_name(&fit.transform, fit.model), "affine");
    waves.height_px = 0.11;
    fit = climb("auto", &waves, 0);
    assert_string_equal(refine_model_name(&fit.transform, fit.model), "grid");
}

static void a_bend_is_followed_among_wrong_matches(void **state) {
    (void)state;
    struct waves waves = {6, 2000};
    struct ladder_fit fit = climb("auto", &waves, 0.2);
    assert_true(fit.credible);
    assert_string_equal(refine_model_name(&fit.transform, fit.model), "grid");
    /* wrong ones at the edge have neighbours on one side only */
    if (worst_px(&fit.transform, &waves, 450) > 0.6)
        fail_msg("%g px off", worst_px(&fit.transform, &waves, 450));
    fit = climb("affine", &waves, 0.2);
    assert_string_equal(refine_model_name(&fit.transform, fit.model), "affine");
    assert_true(worst_px(&fit.transform, &waves, 150) > 5);
}

/* A bend beyond what a consensus of one similarity explains. */
static void the_grid_does_without_a_consensus(void **state) {
    (void)state;
    struct waves waves = {25, 3000};
    struct ladder_fit fit = climb("auto", &waves, 0);
    assert_true(fit.credible);
    assert_string_equal(refine_model_name(&fit.transform, fit.model), "grid");
    if (worst_px(&fit.transform, &waves, 150) > 1)
        fail_msg("%g px off", worst_px(&fit.transform, &waves, 150));
}

static void the_map_is_the_best_affine_part(void **state) {
    (void)state;
    struct waves waves = {6, 2000};
    struct ladder_fit fit = climb("grid", &waves, 0);
    double x_sum = 0, y_sum = 0, x_slope = 0, y_slope = 0;
    for (int i = 0; i < COUNT; i++) { /* at the matches: what is left has no mean and no slope */
        double x = WIDTH * (i % 20 + 0.5) / 20, y = HEIGHT * (i / 20 + 0.5) / (COUNT / 20);
        struct map_point d = bspline_at(&fit.transform.grid, x, y);
        x_sum += d.x / COUNT;
        y_sum += d.y / COUNT;
        x_slope += d.x * (x - WIDTH / 2) / WIDTH / COUNT;
        y_slope += d.y * (y - HEIGHT / 2) / HEIGHT / COUNT;
    }
    assert_true(fabs(x_sum) < 0.1 && fabs(y_sum) < 0.1);
    assert_true(fabs(x_slope) < 0.1 && fabs(y_slope) < 0.1);
}

/* Waves so steep that the plane would fold: a grid that gives way is stiffer, or none. */
static void a_fold_is_refused(void **state) {
    (void)state;
    struct waves steep = {260, 1600};
    struct params params = parameters("grid");
    struct ladder_fit fit = climb("grid", &steep, 0);
    if (fit.credible)
        assert_true(refine_is_plausible(&fit.transform, &params, WIDTH, HEIGHT));
    struct transform folded = {.map = affine, .grid = bspline_over(WIDTH, HEIGHT, 8)};
    assert_true(refine_is_plausible(&folded, &params, WIDTH, HEIGHT));
    folded.grid.dx[folded.grid.columns * 4 + 5] = 1.4 * folded.grid.step;
    folded.grid.dx[folded.grid.columns * 4 + 6] = -1.4 * folded.grid.step;
    assert_false(refine_is_plausible(&folded, &params, WIDTH, HEIGHT));
}

static void nothing_is_climbed_to_by_accident(void **state) {
    (void)state;
    struct waves none = {0, 1};
    struct ladder_fit fit = climb("auto", &none, 1);
    assert_false(fit.credible);
    fit = climb("grid", &none, 1);
    assert_false(fit.credible);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_affine_map_is_not_bent),
        cmocka_unit_test(a_bend_as_small_as_the_errors_is_none),
        cmocka_unit_test(a_bend_is_followed_among_wrong_matches),
        cmocka_unit_test(the_grid_does_without_a_consensus),
        cmocka_unit_test(the_map_is_the_best_affine_part),
        cmocka_unit_test(a_fold_is_refused),
        cmocka_unit_test(nothing_is_climbed_to_by_accident),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
