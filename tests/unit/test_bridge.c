/* The bridge to OpenCV: what it computes, and that its exceptions come back as failures. */
#include "worker/opencv/bridge.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 12, HEIGHT = 10, SIDE = 200, MOST_KEYPOINTS = 50 };

static void transform_there_and_back(void **state) {
    (void)state;
    float pixels[2 * WIDTH * HEIGHT], before[2 * WIDTH * HEIGHT];
    struct failure failure = {0};
    for (size_t i = 0; i < 2 * WIDTH * HEIGHT; i++)
        pixels[i] = before[i] = (float)((i * 7) % 13);
    double sum = 0;
    for (size_t i = 0; i < WIDTH * HEIGHT; i++)
        sum += pixels[2 * i];
    assert_int_equal(bridge_dft(pixels, WIDTH, HEIGHT, false, &failure), 0);
    assert_true(fabs(pixels[0] - sum) < 1e-2); /* frequency 0 */
    assert_int_equal(bridge_dft(pixels, WIDTH, HEIGHT, true, &failure), 0);
    for (size_t i = 0; i < 2 * WIDTH * HEIGHT; i++)
        assert_true(fabsf(pixels[i] - before[i]) < 1e-4F);
}

static void blur_keeps_a_constant(void **state) {
    (void)state;
    float pixels[WIDTH * HEIGHT];
    struct failure failure = {0};
    for (size_t i = 0; i < WIDTH * HEIGHT; i++)
        pixels[i] = 5;
    assert_int_equal(bridge_blur(pixels, WIDTH, HEIGHT, 2, pixels, &failure), 0);
    for (size_t i = 0; i < WIDTH * HEIGHT; i++)
        assert_true(fabsf(pixels[i] - 5) < 1e-5F);
}

static void fast_sizes_are_even_and_large_enough(void **state) {
    (void)state;
    for (int size = 1; size < 700; size++) {
        int fast = bridge_dft_size(size);
        assert_true(fast >= size && fast % 2 == 0 && fast < size + 64 + size / 4);
    }
}

static void an_exception_becomes_a_failure(void **state) {
    (void)state;
    float pixel = 0;
    struct failure failure = {0};
    assert_true(bridge_dft(&pixel, 0, 0, false, &failure) < 0);
    assert_non_null(strstr(failure.text, "OpenCV's Fourier transform failed"));
    assert_true(bridge_blur(&pixel, -1, 1, 2, &pixel, &failure) < 0);
    assert_non_null(strstr(failure.text, "OpenCV's Gaussian blur failed"));
}

/* Blobs on a ground, seen upright or turned by 90 degrees. */
static void draw_blobs(bool turned, unsigned char ret[SIDE * SIDE]) {
    memset(ret, 40, SIDE * SIDE);
    uint32_t state = 7;
    for (int i = 0; i < 60; i++) {
        int at[3];
        for (int k = 0; k < 3; k++) {
            state = state * 1664525 + 1013904223;
            at[k] = (int)(state >> 8) % (SIDE - 40) + 20;
        }
        for (int y = -6; y <= 6; y++)
            for (int x = -6; x <= 6 - at[2] % 4; x++) {
                int row = at[1] + y, column = at[0] + x;
                if (x * x + y * y <= 36)
                    ret[turned ? column * SIDE + (SIDE - 1 - row) : row * SIDE + column] =
                        (unsigned char)(80 + at[2]);
            }
    }
}

static void keypoints_turn_with_the_image(void **state) {
    (void)state;
    static unsigned char pixels[SIDE * SIDE];
    static struct bridge_keypoint upright[MOST_KEYPOINTS], turned[MOST_KEYPOINTS];
    size_t n_upright = 0, n_turned = 0;
    struct failure failure = {0};
    draw_blobs(false, pixels);
    assert_int_equal(
        bridge_keypoints(pixels, SIDE, SIDE, MOST_KEYPOINTS, upright, &n_upright, &failure), 0);
    draw_blobs(true, pixels);
    assert_int_equal(
        bridge_keypoints(pixels, SIDE, SIDE, MOST_KEYPOINTS, turned, &n_turned, &failure), 0);
    assert_int_equal(n_upright, MOST_KEYPOINTS);
    size_t found = 0;
    for (size_t i = 0; i < n_upright; i++)
        for (size_t j = 0; j < n_turned; j++) {
            double x = SIDE - 1 - upright[i].y, y = upright[i].x;
            double turn = turned[j].angle_rad - upright[i].angle_rad;
            double squared = 0;
            for (int k = 0; k < BRIDGE_DESCRIPTOR_BYTES; k++)
                squared += pow(upright[i].descriptor[k] - turned[j].descriptor[k], 2);
            found += hypot(turned[j].x - x, turned[j].y - y) < 1 && squared < 150 * 150 &&
                     fabs(remainder(turn - acos(0), 4 * acos(0))) < 0.2;
        }
    if (found < n_upright / 2)
        fail_msg("%zu of %zu key points are found again", found, n_upright);
}

static void images_of_opencv_itself_are_tracked(void **state) {
    (void)state;
    static unsigned char pixels[SIDE * SIDE];
    static struct bridge_keypoint keypoints[MOST_KEYPOINTS];
    size_t count = 77;
    struct failure failure = {0};
    draw_blobs(false, pixels);
    uint64_t before = tracked_now();
    (void)tracked_take_stage_peak();
    assert_int_equal(
        bridge_keypoints(pixels, SIDE, SIDE, MOST_KEYPOINTS, keypoints, &count, &failure), 0);
    assert_true(tracked_take_stage_peak() > before + 4 * SIDE * SIDE);
    assert_true(tracked_now() == before);
    count = 77;
    tracked_set_budget(before + SIDE * SIDE);
    int r = bridge_keypoints(pixels, SIDE, SIDE, MOST_KEYPOINTS, keypoints, &count, &failure);
    tracked_set_budget(0);
    assert_int_equal(r, -ENOMEM);
    assert_int_equal(count, 77);
    assert_non_null(strstr(failure.text, "SIFT"));
    assert_true(tracked_now() == before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transform_there_and_back),
        cmocka_unit_test(blur_keeps_a_constant),
        cmocka_unit_test(fast_sizes_are_even_and_large_enough),
        cmocka_unit_test(an_exception_becomes_a_failure),
        cmocka_unit_test(keypoints_turn_with_the_image),
        cmocka_unit_test(images_of_opencv_itself_are_tracked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
