/* What is blurred some rows at a time is what blurring the whole image gives; and two images have
 * in common what they show alike, whatever the tone. */
#include "worker/align/joint_bands.h"

#include "worker/align/joint_common.h"
#include "worker/opencv/bridge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 150, HEIGHT = 3 * JOINT_BAND_ROWS + 17, COUNT = WIDTH * HEIGHT };

static struct failure failure;
static float image[COUNT], other[COUNT], blurred[COUNT];
static unsigned char covered[COUNT];
static uint16_t common[COUNT];

static float next_random(void) {
    static uint32_t state = 1;
    state = state * 1664525U + 1013904223U;
    return (float)(state >> 8) / (1 << 24);
}

static void draw(float *pixels) {
    for (int i = 0; i < COUNT; i++)
        pixels[i] = next_random();
    assert_int_equal(bridge_blur(pixels, WIDTH, HEIGHT, 1.5, pixels, &failure), 0);
}

static int open_all(void **state) {
    static struct joint_bands bands;
    *state = &bands;
    draw(image);
    draw(other);
    memset(covered, 1, sizeof(covered));
    return joint_bands_open(WIDTH, HEIGHT, &bands);
}

static int close_all(void **state) {
    joint_bands_free(*state);
    joint_bands_free(*state); /* a zeroed one is fine */
    return 0;
}

static void expect_blurred(const struct joint_bands *bands, double blur_px) {
    size_t n = 0;
    assert_int_equal(bridge_blur(image, WIDTH, HEIGHT, blur_px, blurred, &failure), 0);
    for (int y = 0; y < HEIGHT; y += JOINT_BAND_ROWS) {
        struct joint_band band = joint_bands_at(bands, y, blur_px);
        assert_int_equal(band.first, n);
        for (int i = 0; i < 2; i++)
            memcpy(bands->rows[i], image + band.first_wide, band.n_wide * sizeof(*image));
        assert_int_equal(joint_bands_blur(bands, &band, 2, &failure), 0);
        for (size_t i = 0; i < band.n; i++)
            for (int k = 0; k < 2; k++)
                assert_true(fabsf(bands->rows[k][band.n_above + i] - blurred[n + i]) < 1e-6F);
        n += band.n;
    }
    assert_int_equal(n, COUNT);
}

static void bands_are_the_whole(void **state) {
    expect_blurred(*state, 2);
    expect_blurred(*state, JOINT_BANDS_MOST_BLUR_PX);
}

static double share_of(const struct joint_bands *bands, enum joint_common_kind kind,
                       bool inverted) {
    const struct joint_common_images images = {image, other, covered, inverted};
    double sum = 0;
    assert_int_equal(joint_common_find(bands, &images, kind, common, &sum, &failure), 0);
    return sum;
}

static void strangers_have_next_to_nothing_in_common(void **state) {
    assert_true(share_of(*state, JOINT_COMMON_CLEAR, false) < 0.01 * COUNT);
}

static void the_tone_does_not_matter(void **state) {
    for (int i = 0; i < COUNT; i++)
        other[i] = 0.2F + 0.3F * image[i];
    assert_true(share_of(*state, JOINT_COMMON_CLEAR, false) > 0.999 * COUNT);
    assert_true(share_of(*state, JOINT_COMMON_CLEAR, true) < 1e-3 * COUNT);
    for (int i = 0; i < COUNT; i++)
        other[i] = 0.9F - 0.3F * image[i];
    assert_true(share_of(*state, JOINT_COMMON_CLEAR, true) > 0.999 * COUNT);
}

static void only_what_is_covered_counts(void **state) {
    memcpy(other, image, sizeof(other));
    memset(covered, 0, COUNT / 2);
    double sum = share_of(*state, JOINT_COMMON_CLEAR, false);
    assert_true(fabs(sum - (COUNT - COUNT / 2)) < 1e-3 * COUNT);
}

/* Noise as strong as the image: the correlation is about 0.7. */
static void what_noise_hides_keeps_some_weight(void **state) {
    for (int i = 0; i < COUNT; i++)
        other[i] = 0.5F * (image[i] + other[i]);
    double clear = share_of(*state, JOINT_COMMON_CLEAR, false) / COUNT;
    double any = share_of(*state, JOINT_COMMON_ANY, false) / COUNT;
    assert_true(fabs(clear - 0.25) < 0.05);
    assert_true(fabs(any - 0.5) < 0.05);
}

static void a_flat_image_has_nothing_in_common(void **state) {
    for (int i = 0; i < COUNT; i++)
        other[i] = 0.5F;
    assert_true(share_of(*state, JOINT_COMMON_CLEAR, false) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bands_are_the_whole, open_all, close_all),
        cmocka_unit_test_setup_teardown(strangers_have_next_to_nothing_in_common, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(the_tone_does_not_matter, open_all, close_all),
        cmocka_unit_test_setup_teardown(only_what_is_covered_counts, open_all, close_all),
        cmocka_unit_test_setup_teardown(what_noise_hides_keeps_some_weight, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_flat_image_has_nothing_in_common, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
