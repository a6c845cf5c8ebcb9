/* Sampling: exact where theory says so, zero outside, and never past the block. */
#include "worker/align/sample.h"

#include "common/cleanup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { SIDE = 40, ORIGIN_X = 100, ORIGIN_Y = -7 };

static double quadratic(double x, double y) {
    x -= ORIGIN_X;
    y -= ORIGIN_Y;
    return 3 + 0.5 * x - 0.25 * y + 0.02 * x * x - 0.03 * x * y + 0.01 * y * y;
}

static void fill(float pixels[SIDE * SIDE]) {
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            pixels[y * SIDE + x] = (float)quadratic(ORIGIN_X + x, ORIGIN_Y + y);
}

/* Keys' kernel with a = -1/2 reproduces polynomials up to the second degree. */
static void cubic_is_exact_for_quadratics(void **state) {
    (void)state;
    float pixels[SIDE * SIDE], values[100], weights[100];
    fill(pixels);
    struct sample_block block = {pixels, ORIGIN_X, ORIGIN_Y, SIDE, SIDE};
    struct sample_window window = {0, 0, 10, 10};
    const struct map maps[] = {
        {{0.9, -0.2, ORIGIN_X + 15.3, 0.2, 0.9, ORIGIN_Y + 12.7, 0, 0, 1}},
        {{1.8, -0.4, 2 * ORIGIN_X + 30.6, 0.4, 1.8, 2 * ORIGIN_Y + 25.4, 0, 0, 2}},
        {{0.9, -0.2, ORIGIN_X + 15.3, 0.2, 0.9, ORIGIN_Y + 12.7, 1e-4, 2e-4, 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        sample_cubic(&block, &maps[i], &window, values, weights);
        for (int y = 0; y < 10; y++)
            for (int x = 0; x < 10; x++) {
                struct map_point p = map_apply(&maps[i], x, y);
                assert_true(weights[y * 10 + x] == 1);
                if (fabs(values[y * 10 + x] - quadratic(p.x, p.y)) > 1e-4)
                    fail_msg("map %zu at %d, %d: %g is not %g", i, x, y, values[y * 10 + x],
                             quadratic(p.x, p.y));
            }
    }
}

static void outside_is_zero_and_says_so(void **state) {
    (void)state;
    float pixels[SIDE * SIDE], values[2500], weights[2500];
    fill(pixels);
    struct sample_block block = {pixels, ORIGIN_X, ORIGIN_Y, SIDE, SIDE};
    struct sample_window window = {ORIGIN_X - 5, ORIGIN_Y - 5, 50, 50};
    assert_int_equal(sample_cubic(&block, &map_identity, &window, values, weights), 37 * 37);
    assert_int_equal(sample_cubic(&block, &map_identity, &window, values, NULL), 37 * 37);
    for (int y = 0; y < 50; y++)
        for (int x = 0; x < 50; x++) {
            bool inside = x >= 6 && y >= 6 && x < 43 && y < 43;
            assert_true(weights[y * 50 + x] == (inside ? 1 : 0));
            assert_true(inside || values[y * 50 + x] == 0);
        }
    sample_linear(&block, &map_identity, &window, values);
    assert_true(values[0] == 0);
    assert_true(values[10 * 50 + 10] == pixels[5 * SIDE + 5]);
}

static void reach_holds_every_tap(void **state) {
    (void)state;
    const struct map map = map_similarity(0.7, 1.2, -30, 55);
    struct sample_window window = {200, 300, 64, 64};
    struct sample_window reach = sample_reach(&map, &window, 0);
    for (int corner = 0; corner < 4; corner++) {
        struct map_point p = map_apply(&map, corner & 1 ? 263 : 200, corner & 2 ? 363 : 300);
        assert_true(floor(p.x) - 1 >= reach.x && floor(p.x) + 2 < reach.x + reach.width);
        assert_true(floor(p.y) - 1 >= reach.y && floor(p.y) + 2 < reach.y + reach.height);
    }
    const struct map wild = {{1e30, 0, 0, 0, 1, 0, 0, 0, 1}};
    assert_int_equal(sample_reach(&wild, &window, 0).width, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cubic_is_exact_for_quadratics),
        cmocka_unit_test(outside_is_zero_and_says_so),
        cmocka_unit_test(reach_holds_every_tap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
