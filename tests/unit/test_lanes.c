/* Pixels to float lanes and back: every format, every count around the row length, nothing written
 * beyond; and rounding and clamping. */
#include "worker/output/lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { MOST_COUNT = 600, GUARD = 16 };

static uint32_t sample_of(const uint8_t *pixels, uint32_t bits, size_t at) {
    uint16_t wide;
    if (bits == 8)
        return pixels[at];
    memcpy(&wide, pixels + 2 * at, sizeof(wide));
    return wide;
}

/* The buffer ends where the pixels do: the sanitizers see what reads beyond. */
static void check(uint32_t samples, uint32_t bits, size_t first, size_t n, size_t count) {
    size_t bytes = count * samples * bits / 8, n_lanes = lanes_of(samples);
    struct lanes_format format = {.samples = samples, .bits = bits, .first = first, .n = n};
    uint8_t *pixels = malloc(bytes), *back = malloc(bytes + GUARD);
    float *lanes = malloc(count * n_lanes * sizeof(float));
    assert_true(pixels && back && lanes);
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)(i * 37 + i / 256);
    lanes_widen(&format, pixels, count, lanes);
    for (size_t i = 0; i < count; i++)
        for (size_t lane = 0; lane < n_lanes; lane++) {
            float wanted =
                lane < n ? (float)sample_of(pixels, bits, i * samples + first + lane) : 0;
            assert_true(lanes[i * n_lanes + lane] == wanted);
        }
    memset(back, 0xa5, bytes + GUARD);
    for (size_t done = 0; done < count; done += LANES_MOST_PIXELS)
        lanes_narrow(&format, lanes + done * n_lanes,
                     count - done < LANES_MOST_PIXELS ? count - done : LANES_MOST_PIXELS,
                     back + done * samples * bits / 8);
    for (size_t i = 0; i < count * samples; i++) {
        size_t channel = i % samples;
        uint32_t untouched = bits == 8 ? 0xa5 : 0xa5a5;
        assert_int_equal(sample_of(back, bits, i), channel >= first && channel < first + n
                                                       ? sample_of(pixels, bits, i)
                                                       : untouched);
    }
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(back[bytes + i], 0xa5);
    free(pixels);
    free(back);
    free(lanes);
}

static void there_and_back(void **state) {
    (void)state;
    static const size_t counts[] = {1, 2, 3, 7, 100, 255, 256, 257, MOST_COUNT};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        for (uint32_t bits = 8; bits <= 16; bits += 8) {
            check(1, bits, 0, 1, counts[i]);
            check(2, bits, 0, 2, counts[i]);
            check(3, bits, 0, 3, counts[i]);
            check(4, bits, 0, 4, counts[i]);
            check(7, bits, 0, 4, counts[i]); /* two groups of lanes */
            check(7, bits, 4, 3, counts[i]);
        }
}

static void rounds_and_clamps(void **state) {
    (void)state;
    static const float values[] = {-1e9F, -0.6F, 0.49F, 0.5F, 7.5F, 254.49F, 254.5F, 255.4F, 1e9F};
    static const uint8_t wanted[] = {0, 0, 0, 1, 8, 254, 255, 255, 255};
    uint8_t bytes[sizeof(wanted)];
    uint16_t shorts[sizeof(wanted)];
    struct lanes_format format = {.samples = 1, .bits = 8, .n = 1};
    lanes_narrow(&format, values, sizeof(wanted), bytes);
    assert_memory_equal(bytes, wanted, sizeof(wanted));
    format.bits = 16;
    lanes_narrow(&format, values, sizeof(wanted), shorts);
    for (size_t i = 0; i + 1 < sizeof(wanted); i++)
        assert_int_equal(shorts[i], wanted[i]);
    assert_int_equal(shorts[sizeof(wanted) - 1], 65535);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(rounds_and_clamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
