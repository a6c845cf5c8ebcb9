/* Peaks of correlation surfaces: both parts, both signs, round the edge. */
#include "worker/align/surface.h"

#include "common/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { SIZE = 50 }; /* rows of no whole number of vectors */

static float values[2 * SIZE * SIZE];

static void put(int x, int y, enum surface_part part, float value) {
    values[2 * (y * SIZE + x) + (int)part] = value;
}

static void finds_peaks_of_each_part_and_sign(void **state) {
    (void)state;
    memset(values, 0, sizeof(values));
    put(49, 3, SURFACE_REAL, 5);
    put(48, 3, SURFACE_REAL, 4.5F); /* the same peak */
    put(20, 30, SURFACE_REAL, 3);
    put(7, 8, SURFACE_REAL, -6);
    put(25, 25, SURFACE_IMAGINARY, 9);
    put(0, 49, SURFACE_IMAGINARY, -1);
    struct surface surface = {.values = values, .size = SIZE};
    surface_scan(&surface);
    const struct {
        enum surface_part part;
        float sign, value;
        int x, y;
    } expected[] = {{SURFACE_REAL, 1, 5, -1, 3},
                    {SURFACE_REAL, -1, 6, 7, 8},
                    {SURFACE_IMAGINARY, 1, 9, -25, -25},
                    {SURFACE_IMAGINARY, -1, 1, 0, -1}};
    struct surface_peak first = {0};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct surface_peak peak =
            surface_find_peak(&surface, expected[i].part, expected[i].sign, NULL);
        assert_true(peak.value == expected[i].value);
        assert_int_equal(peak.x, expected[i].x);
        assert_int_equal(peak.y, expected[i].y);
        first = i == 0 ? peak : first;
    }
    struct surface_peak next = surface_find_peak(&surface, SURFACE_REAL, 1, &first);
    assert_true(next.value == 3);
    assert_int_equal(next.x, 20);
    assert_int_equal(next.y, -20);
}

static void wraps_shifts(void **state) {
    (void)state;
    assert_int_equal(surface_wrap(0, 10), 0);
    assert_int_equal(surface_wrap(4, 10), 4);
    assert_int_equal(surface_wrap(5, 10), -5);
    assert_int_equal(surface_wrap(-6, 10), 4);
    assert_int_equal(surface_wrap(23, 10), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_peaks_of_each_part_and_sign),
        cmocka_unit_test(wraps_shifts),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
