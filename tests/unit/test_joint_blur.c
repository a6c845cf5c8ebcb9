/* How much more one image is blurred than the other: worker/align/joint_blur. */
#include "worker/align/joint_blur.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { SIDE = 160, COUNT = SIDE * SIDE };

static float fixed[COUNT], moved[COUNT], weight[COUNT];
static unsigned char covered[COUNT];
static const struct joint_blur_images images = {fixed, moved, weight, covered, SIDE, SIDE};

/* Discs with edges that a Gaussian of this variance makes: of unequal brightness, since the tone
 * alone could make one kind of edge into another. */
static void draw(double variance, float *ret) {
    for (int i = 0; i < COUNT; i++) {
        int column = i % SIDE / 20, row = i / SIDE / 20;
        double x = i % SIDE % 20 - 9.5, y = i / SIDE % 20 - 9.5;
        double bright = 0.2 + 0.7 * ((column * 3 + row * 5) % 8) / 8;
        ret[i] = (float)(0.1 + bright / 2 * (1 + erf((6 - hypot(x, y)) / sqrt(2 * variance))));
    }
}

static double measure(double fixed_variance, double moved_variance, float gain) {
    struct joint_tone tone;
    const struct joint_tone_pixels pixels = {fixed, moved, weight, COUNT};
    draw(fixed_variance, fixed);
    draw(moved_variance, moved);
    for (int i = 0; i < COUNT; i++) {
        fixed[i] = gain > 0 ? gain * fixed[i] : 1 + gain * fixed[i];
        weight[i] = 1;
    }
    joint_tone_begin(&pixels, &tone);
    return joint_blur_difference(&images, &tone);
}

static void half_of_the_difference_is_found_either_way(void **state) {
    (void)state;
    memset(covered, 1, sizeof(covered));
    assert_float_equal(measure(2, 2, 1), 0, 0.1);
    assert_float_equal(measure(2, 2, -0.8F), 0, 0.1); /* inverted contrast */
    const float gains[] = {1, 0.4F, -0.8F};
    for (size_t i = 0; i < sizeof(gains) / sizeof(*gains); i++) {
        assert_float_equal(measure(3, 2, gains[i]), 0.5, 0.4);
        assert_float_equal(measure(2, 3, gains[i]), -0.5, 0.4);
    }
}

static void what_is_not_covered_or_has_no_weight_is_not_asked(void **state) {
    (void)state;
    memset(covered, 1, sizeof(covered));
    double whole = measure(2.5, 2, 1);
    struct joint_tone tone;
    joint_tone_begin(&(struct joint_tone_pixels){fixed, moved, weight, COUNT}, &tone);
    for (int i = 0; i < COUNT / 4; i++) /* objects of one image alone */
        fixed[i] = i % 17 < 4 ? 1 : fixed[i];
    assert_true(fabs(joint_blur_difference(&images, &tone) - whole) > 0.2);
    for (int i = 0; i < COUNT / 4; i++)
        weight[i] = 0;
    assert_float_equal(joint_blur_difference(&images, &tone), whole, 0.05);
    memset(covered, 0, sizeof(covered));
    assert_float_equal(joint_blur_difference(&images, &tone), 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_of_the_difference_is_found_either_way),
        cmocka_unit_test(what_is_not_covered_or_has_no_weight_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
