/* The bridge to OpenCV: what it computes, and that its exceptions come back as failures. */
#include "worker/opencv/bridge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 12, HEIGHT = 10 };

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transform_there_and_back),
        cmocka_unit_test(blur_keeps_a_constant),
        cmocka_unit_test(fast_sizes_are_even_and_large_enough),
        cmocka_unit_test(an_exception_becomes_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
