/* The common tone: a curve that is known is found, whatever else lies among the pixels. */
#include "worker/align/joint_tone.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { COUNT = 40000 };

static float fixed[COUNT], moving[COUNT], weight[COUNT];
static const struct joint_tone_pixels pixels = {fixed, moving, weight, COUNT};

static float curve(float tone) { return 0.1F + 0.8F * tone * tone; }

/* Every missing-th pixel shows the ground in the fixed image. 0: none. */
static void draw(int missing) {
    for (int i = 0; i < COUNT; i++) {
        moving[i] = (float)((i * 7919) % COUNT) / COUNT;
        fixed[i] = missing && i % missing == 0 ? 0.05F : curve(moving[i]);
        weight[i] = 1;
    }
}

static void expect_curve(const struct joint_tone *tone, double tolerance) {
    for (float value = 0.1F; value < 0.9F; value += 0.01F) {
        struct joint_tone_point at = joint_tone_look(tone, value);
        if (!(fabsf(at.value - curve(value)) < (float)tolerance))
            fail_msg("%f in place of %f at %f", (double)at.value, (double)curve(value),
                     (double)value);
        assert_true(fabsf(at.gain - 1.6F * value) < 0.1F);
        assert_true(at.deviation > 0);
    }
}

static void a_bent_tone_is_followed(void **state) {
    (void)state;
    struct joint_tone tone;
    draw(0);
    joint_tone_begin(&pixels, &tone);
    expect_curve(&tone, 0.005);
    joint_tone_again(&pixels, &tone);
    expect_curve(&tone, 0.005);
}

static void what_is_missing_does_not_pull(void **state) {
    (void)state;
    struct joint_tone tone;
    draw(3);
    joint_tone_begin(&pixels, &tone);
    for (float value = 0.3F; value < 0.9F; value += 0.01F)
        assert_true(fabsf(joint_tone_look(&tone, value).value - curve(value)) < 0.03F);
    for (int i = 0; i < COUNT; i += 3)
        weight[i] = 0;
    joint_tone_again(&pixels, &tone);
    expect_curve(&tone, 0.005);
}

static void beyond_the_ends_the_tone_stays(void **state) {
    (void)state;
    struct joint_tone tone;
    draw(0);
    joint_tone_begin(&pixels, &tone);
    assert_true(joint_tone_look(&tone, -1).value == joint_tone_look(&tone, 0).value);
    assert_true(joint_tone_look(&tone, 2).value == joint_tone_look(&tone, 1).value);
}

static void pixels_of_one_tone_make_no_curve(void **state) {
    (void)state;
    struct joint_tone tone;
    draw(0);
    for (int i = 0; i < COUNT; i++)
        moving[i] = 0.4F;
    joint_tone_begin(&pixels, &tone);
    assert_true(tone.count < 2);
}

/* Weights that leave next to nothing leave the curve. */
static void without_weight_the_curve_stays(void **state) {
    (void)state;
    struct joint_tone tone;
    draw(0);
    joint_tone_begin(&pixels, &tone);
    struct joint_tone before = tone;
    memset(weight, 0, sizeof(weight));
    joint_tone_again(&pixels, &tone);
    assert_memory_equal(&before, &tone, sizeof(tone));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bent_tone_is_followed),
        cmocka_unit_test(what_is_missing_does_not_pull),
        cmocka_unit_test(beyond_the_ends_the_tone_stays),
        cmocka_unit_test(pixels_of_one_tone_make_no_curve),
        cmocka_unit_test(without_weight_the_curve_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
