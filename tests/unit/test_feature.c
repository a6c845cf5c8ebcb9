/* What the global search compares: faint structure counts beside strong structure, and flat ground
 * counts for nothing. */
#include "worker/align/feature.h"

#include "common/cleanup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { SIDE = 96, COUNT = SIDE * SIDE };

static const struct feature_scales SCALES = {0.7, 4, 8};

/* A faint weave, 6 px from thread to thread, with a round hole of the given depth in the middle. */
static void draw(float hole, float *ret) {
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double weave = sin(2 * 3.14159265358979323846 * x / 6.0) * cos(y / 2.0);
            bool inside = hypot(x - SIDE / 2.0, y - SIDE / 2.0) < SIDE / 5.0;
            ret[y * SIDE + x] = 0.5F + 0.01F * (float)weave - (inside ? hole : 0);
        }
}

static void make(float hole, float *ret) {
    static float scratch[COUNT];
    struct failure failure = {0};
    draw(hole, ret);
    assert_int_equal(feature_local(ret, SIDE, SIDE, &SCALES, scratch, &failure), 0);
}

static double power_of(const float *feature, bool (*counts)(double radius)) {
    double power = 0, n = 0;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if (counts(hypot(x - SIDE / 2.0, y - SIDE / 2.0))) {
                power += pow(feature[y * SIDE + x], 2);
                n++;
            }
    return power / n;
}

static bool is_rim(double radius) { return fabs(radius - SIDE / 5.0) < 2; }
static bool is_weave(double radius) { return radius > SIDE / 5.0 + 24; }

static void the_rim_of_a_hole_does_not_drown_the_rest(void **state) {
    (void)state;
    static float shallow[COUNT], deep[COUNT];
    make(0.1F, shallow);
    make(0.4F, deep);
    for (int i = 0; i < COUNT; i++)
        assert_true(fabsf(deep[i]) <= 1);
    /* pixel by pixel at most so many times the weave, though the step is forty times as high */
    assert_true(power_of(shallow, is_rim) < 10 * power_of(shallow, is_weave));
    assert_true(power_of(deep, is_rim) <= 1);
}

static void flat_ground_counts_for_nothing(void **state) {
    (void)state;
    static float flat[COUNT], scratch[COUNT];
    struct failure failure = {0};
    for (int i = 0; i < COUNT; i++)
        flat[i] = 0.7F;
    assert_int_equal(feature_local(flat, SIDE, SIDE, &SCALES, scratch, &failure), 0);
    for (int i = 0; i < COUNT; i++)
        assert_true(fabsf(flat[i]) < 0.05F);
}

static void the_taper_ends_at_the_border(void **state) {
    (void)state;
    static float image[COUNT];
    for (int i = 0; i < COUNT; i++)
        image[i] = 1;
    feature_taper(image, SIDE, SIDE, 8);
    assert_true(image[SIDE / 2] < 0.02F);
    assert_true(fabsf(image[SIDE / 2 * SIDE + SIDE / 2] - 1) < 1e-6F);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rim_of_a_hole_does_not_drown_the_rest),
        cmocka_unit_test(flat_ground_counts_for_nothing),
        cmocka_unit_test(the_taper_ends_at_the_border),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
