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

/* cos(2 pi f x) cos(2 pi f y), f in cycles per pixel. */
static double wave_frequency;
static double wave(double x, double y) {
    return cos(2 * M_PI * wave_frequency * x) * cos(2 * M_PI * wave_frequency * y);
}

static double sinc(double d) { return d == 0 ? 1 : sin(M_PI * d) / (M_PI * d); }

/* The kernels as their papers have them, in double. */
static double textbook(enum params_interpolation kind, double d) {
    d = fabs(d);
    switch (kind) {
    case PARAMS_INTERPOLATION_NEAREST:
        return d < 0.5 ? 1 : 0;
    case PARAMS_INTERPOLATION_LINEAR:
        return d < 1 ? 1 - d : 0;
    case PARAMS_INTERPOLATION_CUBIC:
        return d < 1   ? 1.5 * d * d * d - 2.5 * d * d + 1
               : d < 2 ? -0.5 * d * d * d + 2.5 * d * d - 4 * d + 2
                       : 0;
    default:
        return d < 3 ? sinc(d) * sinc(d / 3) : 0;
    }
}

static double textbook_sample(enum params_interpolation kind, double (*value)(double, double),
                              double x, double y) {
    double sum = 0, weights = 0;
    for (double row = floor(y) - 3; row <= floor(y) + 4; row++)
        for (double column = floor(x) - 3; column <= floor(x) + 4; column++) {
            double weight = textbook(kind, x - column) * textbook(kind, y - row);
            sum += weight * value(column, row);
            weights += weight;
        }
    return sum / weights;
}

/* Every kernel is the one of the papers, at any place and frequency. */
static void kernels_are_those_of_the_papers(void **state) {
    (void)state;
    for (int kind = 0; kind < PARAMS_INTERPOLATION_COUNT; kind++)
        for (wave_frequency = 0.03; wave_frequency < 0.5; wave_frequency += 0.11)
            for (double t = 0.013; t < 1; t += 0.07)
                for (double u = 0.02; u < 1; u += 0.13) {
                    double x = ORIGIN_X + 14 + t, y = ORIGIN_Y + 11 + u;
                    assert_near(sample(kind, 1, wave, x, y, 0), textbook_sample(kind, wave, x, y),
                                2e-6);
                }
}

/* Half a pixel off in both directions is the worst place. What is left there of detail of ten and
 * of five pixels' period: the error of each longer kernel is a fraction of the one before. */
static void band_limited_signals_are_kept(void **state) {
    (void)state;
    static const struct {
        double frequency, most[PARAMS_INTERPOLATION_COUNT];
    } cases[] = {{0.1, {2, 0.0955, 0.0071, 0.0066}}, {0.2, {2, 0.3456, 0.0999, 0.0493}}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int kind = PARAMS_INTERPOLATION_LINEAR; kind < PARAMS_INTERPOLATION_COUNT; kind++) {
            double worst = 0;
            wave_frequency = cases[i].frequency;
            for (int shift = 0; shift < 20; shift++) {
                double x = ORIGIN_X + 8.5 + shift, y = ORIGIN_Y + 9.5;
                worst = fmax(worst, fabs(sample(kind, 1, wave, x, y, 0) - wave(x, y)));
            }
            if (worst > cases[i].most[kind])
                fail_msg("kernel %d at %g cycles per pixel: error %.4f", kind, wave_frequency,
                         worst);
        }
}

/* A step: only the kernels with negative lobes overshoot, and by what they must. */
static double step(double x, double y) {
    (void)y;
    return x < ORIGIN_X + 15 ? 0 : 100;
}

static void overshoot_is_the_kernels(void **state) {
    (void)state;
    static const double most[PARAMS_INTERPOLATION_COUNT] = {0, 0, 7.4, 11.8};
    for (int kind = 0; kind < PARAMS_INTERPOLATION_COUNT; kind++) {
        double low = 0, high = 0;
        for (double x = 8; x < 22; x += 0.01) {
            double value = sample(kind, 1, step, ORIGIN_X + x, ORIGIN_Y + 12.3, 0);
            low = fmin(low, value);
            high = fmax(high, value - 100);
        }
        assert_near(high, -low, 1e-3); /* as much above as below */
        assert_near(high, most[kind], 0.1);
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

/* Centres are a case of their own: next to one there must be no jump. */
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
        cmocka_unit_test(kernels_are_those_of_the_papers),
        cmocka_unit_test(band_limited_signals_are_kept),
        cmocka_unit_test(overshoot_is_the_kernels),
        cmocka_unit_test(lanes_agree),
        cmocka_unit_test(nearest_rounds_at_halves),
        cmocka_unit_test(lanczos_is_smooth_at_centres),
        cmocka_unit_test(wild_positions_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
