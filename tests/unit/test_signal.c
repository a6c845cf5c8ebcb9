/* The signal: which channels are chosen, and that every way to extract it gives the same number. */
#include "worker/align/signal.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static const struct params automatic = {.channel_auto = true};

static struct signal_channel dark(double mean) {
    return (struct signal_channel){
        .mean = mean, .p5 = 0, .p50 = mean / 2, .p95 = 3 * mean, .p999 = 6 * mean};
}

static struct signal_channel bright(double tint) {
    return (struct signal_channel){
        .mean = 215, .p5 = 150, .p50 = 230 - tint, .p95 = 245 - tint, .p999 = 255};
}

static struct signal choose(const struct image_info *info, const struct signal_channel *channels,
                            const struct params *params) {
    struct signal signal;
    struct failure failure = {0};
    assert_int_equal(signal_choose(info, channels, params, "a.tif", &signal, &failure), 0);
    return signal;
}

static void grey_is_taken_as_it_is(void **state) {
    (void)state;
    const struct image_info info = {.samples = 1, .bits = 16};
    const struct signal_channel channels[] = {dark(0.01)};
    struct signal signal = choose(&info, channels, &automatic);
    assert_int_equal(signal.n_channels, 1);
    assert_int_equal(signal.channels[0], 0);
    assert_false(signal.inverted_luminance);
}

static void rgb_channels_are_chosen_by_their_means(void **state) {
    (void)state;
    const struct image_info info = {.samples = 3, .bits = 8, .rgb = true};
    const struct signal_channel one[] = {dark(0.1), dark(40), dark(0.5)};
    struct signal signal = choose(&info, one, &automatic);
    assert_int_equal(signal.n_channels, 1);
    assert_int_equal(signal.channels[0], 1);
    const struct signal_channel two[] = {dark(0.51), dark(0), dark(7)};
    signal = choose(&info, two, &automatic);
    assert_int_equal(signal.n_channels, 2);
    assert_int_equal(signal.channels[0], 0);
    assert_int_equal(signal.channels[1], 2);
    assert_true(signal_max(&signal) == 510);
    const struct signal_channel none[] = {dark(0.1), dark(0.2), dark(0.3)};
    signal = choose(&info, none, &automatic);
    assert_int_equal(signal.n_channels, 1);
    assert_int_equal(signal.channels[0], 2);
}

static void bright_field_is_told_from_fluorescence(void **state) {
    (void)state;
    const struct image_info info = {.samples = 3, .bits = 8, .rgb = true};
    const struct signal_channel slide[] = {bright(0), bright(8), bright(3)};
    assert_true(choose(&info, slide, &automatic).inverted_luminance);
    /* one channel is missing in the background: not white */
    const struct signal_channel tinted[] = {bright(0), bright(0), dark(30)};
    assert_false(choose(&info, tinted, &automatic).inverted_luminance);
    /* dense fluorescence saved as grey RGB: bright, but the bright tail is the tissue */
    const struct signal_channel tissue = {
        .mean = 110, .p5 = 60, .p50 = 105, .p95 = 200, .p999 = 250};
    const struct signal_channel dense[] = {tissue, tissue, tissue};
    assert_false(choose(&info, dense, &automatic).inverted_luminance);
    /* tissue on two thirds of a slide, on all sides of white holes */
    const struct signal_channel full = {
        .mean = 190, .p5 = 143, .p50 = 180, .p95 = 232, .p999 = 245};
    const struct signal_channel covered[] = {full, full, full};
    assert_true(choose(&info, covered, &automatic).inverted_luminance);
    /* dense fluorescence that is overexposed */
    const struct signal_channel burnt = {
        .mean = 150, .p5 = 60, .p50 = 120, .p95 = 254, .p999 = 255};
    const struct signal_channel saturated[] = {burnt, burnt, burnt};
    assert_false(choose(&info, saturated, &automatic).inverted_luminance);
    /* four channels of a multiplexed scan are never a photograph */
    const struct image_info many = {.samples = 4, .bits = 8};
    const struct signal_channel four[] = {bright(0), bright(0), bright(0), bright(0)};
    assert_false(choose(&many, four, &automatic).inverted_luminance);
}

static void a_channel_that_is_not_there_is_refused(void **state) {
    (void)state;
    const struct image_info info = {.samples = 3, .bits = 8, .rgb = true};
    const struct signal_channel channels[] = {dark(1), dark(1), dark(1)};
    const struct params named = {.channels = {0, 3}, .n_channels = 2};
    struct signal signal;
    struct failure failure = {0};
    assert_int_equal(signal_choose(&info, channels, &named, "a.tif", &signal, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "a.tif has no channel 3: it has 3"));
    const struct params twice = {.channels = {2, 2}, .n_channels = 2};
    assert_int_equal(choose(&info, channels, &twice).n_channels, 1);
}

static void extraction_follows_the_weights(void **state) {
    (void)state;
    const struct signal signals[] = {
        {.channels = {0}, .n_channels = 1, .samples = 1, .bits = 16},
        {.channels = {1}, .n_channels = 1, .samples = 3, .bits = 16},
        {.channels = {0, 2}, .n_channels = 2, .samples = 3, .bits = 16},
        {.channels = {0, 1, 2}, .n_channels = 3, .samples = 3, .bits = 16},
        {.inverted_luminance = true,
         .channels = {0, 1, 2},
         .n_channels = 3,
         .samples = 3,
         .bits = 16},
        {.channels = {0, 3}, .n_channels = 2, .samples = 4, .bits = 16},
    };
    enum { COUNT = 5 };
    uint16_t wide[4 * COUNT];
    uint8_t narrow[4 * COUNT];
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        narrow[i] = (uint8_t)(i * 13);
        wide[i] = (uint16_t)(i * 13 * 257);
    }
    for (size_t s = 0; s < ARRAY_LEN(signals); s++)
        for (uint32_t bits = 8; bits <= 16; bits += 8) {
            struct signal signal = signals[s];
            signal.bits = bits;
            float values[COUNT];
            signal_extract(&signal, bits == 8 ? (void *)narrow : (void *)wide, COUNT, values);
            struct signal_weights weights = signal_get_weights(&signal);
            for (size_t i = 0; i < COUNT; i++) {
                double expected = weights.offset;
                for (size_t c = 0; c < signal.samples; c++) {
                    size_t at = i * signal.samples + c;
                    expected += weights.channels[c] * (bits == 8 ? narrow[at] : wide[at]);
                }
                if (fabs(values[i] - expected) > 1e-5 * signal_max(&signal))
                    fail_msg("signal %zu, %u bit: %g is not %g", s, bits, values[i], expected);
            }
        }
}

static void json_keeps_everything(void **state) {
    (void)state;
    const struct signal signal = {.channels = {0, 2}, .n_channels = 2, .samples = 3, .bits = 16};
    CLEANUP_JSON json_t *value = signal_to_json(&signal);
    struct signal back;
    struct failure failure = {0};
    assert_int_equal(signal_from_json(value, &back, &failure), 0);
    assert_int_equal(back.n_channels, 2);
    assert_int_equal(back.channels[1], 2);
    assert_int_equal(back.samples, 3);
    assert_int_equal(back.bits, 16);
    (void)json_object_set_new(value, "channels", json_pack("[i,i]", 0, 5));
    assert_int_equal(signal_from_json(value, &back, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "channel 1 is not one of the image's"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grey_is_taken_as_it_is),
        cmocka_unit_test(rgb_channels_are_chosen_by_their_means),
        cmocka_unit_test(bright_field_is_told_from_fluorescence),
        cmocka_unit_test(a_channel_that_is_not_there_is_refused),
        cmocka_unit_test(extraction_follows_the_weights),
        cmocka_unit_test(json_keeps_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
