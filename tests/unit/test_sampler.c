/* The kernels: interpolating at pixel centres, exact on what they must reproduce, right about which
 * way is which, and safe for any position. */
#include "worker/output/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void assert_near(double actual, double wanted, double tolerance) {
    if (!(fabs(actual - wanted) <= tolerance))
        fail_msg("%.9g is not within %g of %.9g", actual, tolerance, wanted);
}

enum { WIDTH = 40, HEIGHT = 32, ORIGIN_X = 1000, ORIGIN_Y = -50 };

/* A block whose pixel (x, y) in image coordinates is value(x, y), in every used lane times lane
 * + 1.
 */
static float *make_block(int lanes, double (*value)(double x, double y),
                         struct sampler_source *ret) {
    float *pixels = calloc((size_t)WIDTH * HEIGHT * (size_t)lanes, sizeof(float));
    assert_non_null(pixels);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int lane = 0; lane < lanes; lane++)
                pixels[(y * WIDTH + x) * lanes + lane] =
                    (float)(value(x + ORIGIN_X, y + ORIGIN_Y) * (lane + 1));
    *ret = (struct sampler_source){.pixels = pixels,
                                   .lanes = lanes,
                                   .stride = (size_t)(WIDTH * lanes),
                                   .x = ORIGIN_X,
                                   .y = ORIGIN_Y,
                                   .width = WIDTH,
                                   .height = HEIGHT};
    return pixels;
}

static double constant(double x, double y) {
    (void)x;
    (void)y;
    return 123;
}
static double plane(double x, double y) { return 3 * (x - ORIGIN_X) + 7 * (y - ORIGIN_Y); }
static double parabola(double x, double y) {
    return (x - ORIGIN_X) * (x - ORIGIN_X) + 2 * (y - ORIGIN_Y);
}
static double waves(double x, double y) { return 100 + 50 * sin(0.3 * x) * cos(0.25 * y); }

static double sample(enum params_interpolation kind, int lanes, double (*value)(double, double),
                     double x, double y, int lane) {
    struct sampler_source source;
    float *pixels = make_block(lanes, value, &source);
    float result[4];
    sampler_run(kind, &source, &x, &y, 1, result);
    free(pixels);
    return (double)result[lane];
}

static void centres_are_kept(void **state) {
    (void)state;
    for (int kind = 0; kind < PARAMS_INTERPOLATION_COUNT; kind++)
        for (int lanes = 1; lanes <= 4; lanes += 3)
            for (int lane = 0; lane < lanes; lane++) {
                double got = sample(kind, lanes, plane, ORIGIN_X + 12, ORIGIN_Y + 9, lane);
                assert_near(got, (3 * 12 + 7 * 9) * (lane + 1), 1e-4);
            }
}

/* What each kernel reproduces exactly, anywhere between the centres. */
static void polynomials_are_reproduced(void **state) {
    (void)state;
    static const struct {
        enum params_interpolation kind;
        double (*value)(double, double);
        double tolerance;
    } cases[] = {
        {PARAMS_INTERPOLATION_NEAREST, constant, 0},
        {PARAMS_INTERPOLATION_LINEAR, plane, 1e-3},
        {PARAMS_INTERPOLATION_CUBIC, plane, 1e-3},
        {PARAMS_INTERPOLATION_CUBIC, parabola, 1e-3},
        {PARAMS_INTERPOLATION_LANCZOS, constant, 1e-4},
        {PARAMS_INTERPOLATION_LANCZOS, waves, 0.5},
        {PARAMS_INTERPOLATION_CUBIC, waves, 0.1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int lanes = 1; lanes <= 4; lanes += 3)
            for (double t = 0.03; t < 1; t += 0.07) {
                double x = ORIGIN_X + 14 + t, y = ORIGIN_Y + 11 + 1 - t;
                assert_near(sample(cases[i].kind, lanes, cases[i].value, x, y, lanes - 1),
                            cases[i].value(x, y) * lanes, cases[i].tolerance * lanes);
            }
}

/* Both lane counts do the same arithmetic but for its order. */
static void lanes_agree(void **state) {
    (void)state;
    for (int kind = 0; kind < PARAMS_INTERPOLATION_COUNT; kind++)
        for (double t = 0.01; t < 1; t += 0.09) {
            double x = ORIGIN_X + 20 + t, y = ORIGIN_Y + 15 + t * t;
            assert_near(sample(kind, 1, waves, x, y, 0), sample(kind, 4, waves, x, y, 0), 1e-3);
        }
}

static void nearest_rounds_at_halves(void **state) {
    (void)state;
    assert_near(sample(PARAMS_INTERPOLATION_NEAREST, 1, plane, ORIGIN_X + 12.49, ORIGIN_Y + 9, 0),
                3 * 12 + 7 * 9, 0);
    assert_near(sample(PARAMS_INTERPOLATION_NEAREST, 1, plane, ORIGIN_X + 12.51, ORIGIN_Y + 9, 0),
                3 * 13 + 7 * 9, 0);
}

/* Lanczos divides by t: next to a centre it must neither blow up nor jump. */
static void lanczos_is_smooth_at_centres(void **state) {
    (void)state;
    static const double steps[] = {-1e-3, -1e-6, -1e-7, -1e-9, 0, 1e-9, 1e-7, 1e-6, 1e-3};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        assert_near(sample(PARAMS_INTERPOLATION_LANCZOS, 1, waves, ORIGIN_X + 12 + steps[i],
                           ORIGIN_Y + 9, 0),
                    waves(ORIGIN_X + 12, ORIGIN_Y + 9), 0.05);
}

/* Wild positions read inside the block (the sanitizers watch) and give a finite number. */
static void wild_positions_are_safe(void **state) {
    (void)state;
    static const double wild[] = {NAN,
                                  INFINITY,
                                  -INFINITY,
                                  1e18,
                                  -1e18,
                                  0,
                                  ORIGIN_X - 3,
                                  ORIGIN_X + WIDTH - 0.1,
                                  ORIGIN_X + WIDTH + 5};
    for (int kind = 0; kind < PARAMS_INTERPOLATION_COUNT; kind++)
        for (int lanes = 1; lanes <= 4; lanes += 3)
            for (size_t i = 0; i < ARRAY_LEN(wild); i++)
                for (size_t k = 0; k < ARRAY_LEN(wild); k++)
                    assert_true(isfinite(sample(kind, lanes, waves, wild[i], wild[k], 0)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(centres_are_kept),
        cmocka_unit_test(polynomials_are_reproduced),
        cmocka_unit_test(lanes_agree),
        cmocka_unit_test(nearest_rounds_at_halves),
        cmocka_unit_test(lanczos_is_smooth_at_centres),
        cmocka_unit_test(wild_positions_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
