/* The shift of one tile from its normal equations, and the tone that is fitted beside it. */
#include "worker/align/tile_equations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { SIZE = 50, COUNT = SIZE * SIZE }; /* rows are not whole vectors */

struct fixture {
    float fixed[COUNT], moving[COUNT], weight[COUNT], robust[COUNT];
    struct tile_images images;
};

static void is_near(double value, double wanted, double tolerance) {
    if (!(fabs(value - wanted) <= tolerance))
        fail_msg("%.12g is not %.12g", value, wanted);
}

static double scene(double x, double y) {
    return 0.5 + 0.1 * sin(0.31 * x + 0.1 * y) + 0.08 * cos(0.23 * y - 0.07 * x);
}

/* The moving image shows at (x, y) what the fixed one shows at (x + dx, y + dy), darker. */
static void fill(struct fixture *f, double dx, double dy) {
    for (int i = 0; i < COUNT; i++) {
        f->fixed[i] = (float)scene(i % SIZE, i / SIZE);
        f->moving[i] = (float)(0.1 + 0.5 * scene(i % SIZE - dx, i / SIZE - dy));
        f->weight[i] = 1;
    }
    f->images = (struct tile_images){f->fixed, f->moving, f->weight, f->robust, SIZE};
}

/* Three rounds, as the tone's weights need them. */
static struct tile_equations gather(struct fixture *f) {
    struct tile_tone tone = {0};
    struct tile_equations n = {0};
    for (int i = 0; i < 3; i++)
        n = tile_equations_gather(&f->images, false, &tone);
    return n;
}

static void expect_shift(const struct tile_equations *n, double dx, double dy,
                         double tolerance_px) {
    double x, y;
    assert_true(tile_equations_solve(n, &x, &y));
    is_near(x, dx, tolerance_px);
    is_near(y, dy, tolerance_px);
}

static void a_small_shift_is_found(void **state) {
    (void)state;
    static struct fixture f;
    fill(&f, 0.2, -0.1);
    struct tile_equations n = gather(&f);
    assert_true(n.variance > 1e-7 && n.variance < 1e-4);
    expect_shift(&n, 0.2, -0.1, 0.01);
}

/* Uncovered pixels and their neighbours, whatever stands there, and objects of one image. */
static void what_is_not_shared_does_not_count(void **state) {
    (void)state;
    static struct fixture f;
    fill(&f, 0.2, -0.1);
    for (int i = 0; i < COUNT; i++) {
        int x = i % SIZE, y = i / SIZE;
        bool is_hidden = x >= 40 || (x / 10 == 2 && y / 10 == 2), is_object = x < 8 && y < 8;
        f.weight[i] = is_hidden ? 0 : 1;
        f.moving[i] = is_hidden ? 1e6F : f.moving[i];
        f.fixed[i] += is_object ? 5 : 0;
    }
    struct tile_equations n = gather(&f);
    expect_shift(&n, 0.2, -0.1, 0.02);
}

/* A plane, exactly: gradients are known, and weights are 1. */
static void each_inner_pixel_counts_once(void **state) {
    (void)state;
    static struct fixture f;
    fill(&f, 0, 0);
    for (int i = 0; i < COUNT; i++)
        f.fixed[i] = f.moving[i] = 0.01F * (float)(i % SIZE) + 0.02F * (float)(i / SIZE);
    struct tile_equations n = gather(&f);
    double inner = (SIZE - 2) * (SIZE - 2);
    is_near(n.xx, inner * 1e-4, 1e-4);
    is_near(n.xy, inner * 2e-4, 1e-4);
    is_near(n.yy, inner * 4e-4, 1e-4);
}

/* Six pixels are worth one. */
static void a_shift_is_known_as_its_equations_say(void **state) {
    (void)state;
    const struct tile_equations n = {.xx = 6, .yy = 24, .variance = 1}, nothing = {.variance = 1};
    struct tile_information info = tile_equations_information(&n, 1);
    is_near(info.xx, 1 / (1.0 + 1), 1e-12);
    is_near(info.xy, 0, 1e-12);
    is_near(info.yy, 1 / (0.25 + 1), 1e-12);
    struct tile_equations expected = tile_equations_expect(nothing, 2, 3, -1);
    is_near(expected.xx, 6 / 4.0, 1e-12);
    expect_shift(&expected, -3, 1, 1e-12);
}

/* Stripes say nothing of the direction along them. */
static void stripes_have_no_shift(void **state) {
    (void)state;
    static struct fixture f;
    fill(&f, 0, 0);
    for (int i = 0; i < COUNT; i++)
        f.fixed[i] = f.moving[i] = (float)sin(i % SIZE);
    struct tile_equations n = gather(&f);
    double dx, dy;
    assert_false(tile_equations_solve(&n, &dx, &dy));
}

/* Rows that are no whole vectors: every pixel counts once. */
static void moments_are_those_of_the_definition(void **state) {
    (void)state;
    static struct fixture f;
    fill(&f, 0.2, -0.1);
    double weight = 0, sum = 0, squares = 0;
    for (int i = 0; i < COUNT; i++) {
        f.weight[i] = (float)(i % 3);
        weight += f.weight[i];
        sum += f.weight[i] * (double)f.fixed[i];
    }
    for (int i = 0; i < COUNT; i++)
        squares += f.weight[i] * pow(f.fixed[i] - sum / weight, 2);
    struct tile_moments m = tile_tone_moments(f.fixed, f.moving, f.weight, COUNT);
    is_near(m.weight, weight, 1e-9);
    is_near(m.fixed_mean, sum / weight, 1e-12);
    is_near(m.fixed_power, squares / weight, 1e-12);
}

/* fixed = mean + slope z + bend (z^2 - skew z - 1), where that is how it was made. */
static void a_bent_tone_is_found(void **state) {
    (void)state;
    static struct fixture f;
    fill(&f, 0, 0);
    for (int i = 0; i < COUNT; i++)
        f.fixed[i] = 2 * f.moving[i] + 3 * f.moving[i] * f.moving[i];
    struct tile_tone tone = {0};
    for (int i = 0; i < 4; i++) {
        tile_tone_fit(f.fixed, f.moving, f.weight, COUNT, true, &tone, f.robust);
        tone.spread = 1e-3;
    }
    for (int i = 0; i < COUNT; i += 111) {
        double z = TILE_TONE_Z(tone, (double)f.moving[i]);
        is_near(TILE_TONE_PREDICT(tone, z), f.fixed[i], 1e-3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_shift_is_found),
        cmocka_unit_test(what_is_not_shared_does_not_count),
        cmocka_unit_test(each_inner_pixel_counts_once),
        cmocka_unit_test(a_shift_is_known_as_its_equations_say),
        cmocka_unit_test(stripes_have_no_shift),
        cmocka_unit_test(moments_are_those_of_the_definition),
        cmocka_unit_test(a_bent_tone_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
