/* The plot layer: where ticks stand and how they are written, colours at known values, and that
 * letters take room. */
#include "worker/qc/plot.h"

#include "common/cleanup.h"
#include "worker/qc/glyphs.h"
#include "worker/qc/lettering.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void check_ticks(struct plot_axis axis, int most, const char *wanted) {
    double ticks[PLOT_MOST_TICKS];
    size_t n = plot_ticks(&axis, most, ticks);
    char text[256] = "";
    for (size_t i = 0; i < n; i++) {
        char tick[PLOT_TICK_TEXT_BYTES];
        plot_tick_text(&axis, n > 1 ? ticks[1] - ticks[0] : 1, ticks[i], tick);
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
                       tick);
    }
    assert_string_equal(text, wanted);
}

static void ticks_are_round_numbers(void **state) {
    (void)state;
    check_ticks((struct plot_axis){.low = 0, .high = 100}, 5, "0 20 40 60 80 100");
    check_ticks((struct plot_axis){.low = 100, .high = 0}, 5, "0 20 40 60 80 100");
    check_ticks((struct plot_axis){.low = -0.5, .high = 3999.5}, 9,
                "0 500 1000 1500 2000 2500 3000 3500");
    check_ticks((struct plot_axis){.low = -0.011, .high = 0.012}, 6,
                "\u22120.010 \u22120.005 0.000 0.005 0.010");
    check_ticks((struct plot_axis){.low = 0, .high = 3e-3}, 3, "0.000 0.001 0.002 0.003");
    check_ticks((struct plot_axis){.low = 1, .high = 2.5e5, .is_log = true}, 5,
                "1 10 100 1000 10k 100k");
    check_ticks((struct plot_axis){.low = 2e-4, .high = 0.5, .is_log = true}, 5, "0.001 0.01 0.1");
}

static void an_axis_without_length_has_no_ticks(void **state) {
    (void)state;
    check_ticks((struct plot_axis){.low = 3, .high = 3}, 5, "");
    check_ticks((struct plot_axis){.low = 0, .high = INFINITY}, 5, "");
    check_ticks((struct plot_axis){.low = NAN, .high = 1}, 5, "");
}

static void there_are_never_more_ticks_than_room(void **state) {
    (void)state;
    double ticks[PLOT_MOST_TICKS];
    for (double high = 1e-9; high < 1e12; high *= 1.7)
        for (int most = 1; most < 40; most++) {
            struct plot_axis axis = {.low = -high / 3, .high = high};
            size_t n = plot_ticks(&axis, most, ticks);
            assert_true(n >= 1 && n <= PLOT_MOST_TICKS);
            for (size_t i = 0; i < n; i++)
                assert_true(ticks[i] >= axis.low * 1.001 && ticks[i] <= axis.high * 1.001);
        }
}

static void places_are_linear_or_logarithmic(void **state) {
    (void)state;
    struct plot plot = {
        NULL, 10, 20, 200, 100, {.low = 0, .high = 50}, {.low = 1, .high = 100, .is_log = true}};
    assert_true(fabs(plot_x(&plot, 25) - 110) < 1e-9);
    assert_true(fabs(plot_y(&plot, 10) - 70) < 1e-9);
    assert_true(fabs(plot_y(&plot, 100) - 20) < 1e-9);
    assert_true(plot_y(&plot, 0) > 120); /* below the frame, and finite */
    assert_true(isfinite(plot_y(&plot, 0)));
}

static int luminance(uint32_t rgb) {
    return (int)(299 * (rgb >> 16 & 255) + 587 * (rgb >> 8 & 255) + 114 * (rgb & 255));
}

static void colours_rise_in_luminance(void **state) {
    (void)state;
    static const enum colour_map maps[] = {COLOUR_SEQUENTIAL, COLOUR_ERROR, COLOUR_GREY};
    for (size_t m = 0; m < ARRAY_LEN(maps); m++)
        for (int i = 1; i <= 64; i++)
            assert_true(luminance(colour_at(maps[m], i / 64.0)) >=
                        luminance(colour_at(maps[m], (i - 1) / 64.0)));
    assert_int_equal(colour_at(COLOUR_SEQUENTIAL, -1), 0x440154);
    assert_int_equal(colour_at(COLOUR_SEQUENTIAL, 7), 0xfde725);
    assert_int_equal(colour_at(COLOUR_GREY, 0.5), 0x808080);
}

static void zero_is_the_middle_of_the_diverging_map(void **state) {
    (void)state;
    uint32_t middle = colour_at(COLOUR_DIVERGING, 0.5);
    assert_int_equal(middle, 0xf7f7f7);
    for (int i = 1; i <= 32; i++) {
        uint32_t above = colour_at(COLOUR_DIVERGING, 0.5 + i / 64.0);
        uint32_t below = colour_at(COLOUR_DIVERGING, 0.5 - i / 64.0);
        assert_true(luminance(above) < luminance(middle) && luminance(below) < luminance(middle));
        assert_true((above >> 16 & 255) > (above & 255));
        assert_true((below >> 16 & 255) < (below & 255));
    }
}

static void overlays_of_equal_tones_are_grey(void **state) {
    (void)state;
    assert_int_equal(colour_overlay(1, 0), 0xff00ff);
    assert_int_equal(colour_overlay(0, 1), 0x00ff00);
    assert_int_equal(colour_overlay(0.4, 0.4), 0x666666);
    assert_int_equal(colour_overlay(-1, 2), 0x00ff00);
}

static void letters_take_room(void **state) {
    (void)state;
    assert_ptr_equal(glyphs_find(0x4e00), glyphs_find('?'));
    assert_int_equal(glyphs_find(0x2212)->code, 0x2212);
    for (uint32_t code = '!'; code < 127; code++) {
        assert_int_equal(glyphs_find(code)->code, code);
        assert_int_equal(glyphs_find(code)->path[0], 'M');
    }
    assert_true(fabs(lettering_width("mm", 20) - 2 * lettering_width("m", 20)) < 1e-9);
    assert_true(lettering_width("m", 20) > lettering_width("i", 20));
    assert_true(lettering_width("\u00b0", 10) > 0 && lettering_width("\xff\xc3", 10) > 0);
}

static void text_breaks_at_spaces(void **state) {
    (void)state;
    assert_int_equal(lettering_count_lines(10, 1000, ""), 0);
    assert_int_equal(lettering_count_lines(10, 1000, "one line of words"), 1);
    assert_int_equal(lettering_count_lines(10, 1, "four words, each alone"), 4);
    double width = lettering_width("two words", 10) + 1;
    assert_int_equal(lettering_count_lines(10, width, "two words two words two words"), 3);
}

static void drawing_changes_what_it_should(void **state) {
    (void)state;
    struct failure failure;
    CLEANUP(canvas_close) struct canvas canvas = {0};
    assert_int_equal(canvas_open(200, 100, &canvas, &failure), 0);
    struct plot plot = {&canvas, 50, 10, 100, 50, {.low = 0, .high = 10}, {.low = 0, .high = 4}};
    const double bars[] = {4, 0, 2};
    plot_begin_inside(&plot);
    plot_bars(&plot, 2, 2, bars, 3, COLOUR_BARS);
    plot_end_inside(&plot);
    const uint32_t *pixels = canvas_begin_pixels(&canvas);
    assert_int_equal(pixels[30 * 200 + 80] & 0xffffff, COLOUR_BARS); /* x 3, y 2.4: the first bar */
    assert_int_equal(pixels[30 * 200 + 100] & 0xffffff, 0xffffff);   /* x 5: none */
    assert_int_equal(pixels[30 * 200 + 120] & 0xffffff, 0xffffff);   /* above the third */
    assert_int_equal(pixels[50 * 200 + 120] & 0xffffff, COLOUR_BARS);
    canvas_set_colour(&canvas, 0x0000ff);
    lettering_draw(&canvas, 100, 80, 20, LETTERING_MIDDLE, "HHH");
    pixels = canvas_begin_pixels(&canvas);
    int blue = 0, elsewhere = 0;
    for (int i = 0; i < 200 * 100; i++)
        if ((pixels[i] & 0xffffff) == 0x0000ff) {
            int x = i % 200, y = i / 200;
            blue++;
            elsewhere += x < 70 || x > 130 || y < 60 || y > 81;
        }
    assert_true(blue > 30);
    assert_int_equal(elsewhere, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round_numbers),
        cmocka_unit_test(an_axis_without_length_has_no_ticks),
        cmocka_unit_test(there_are_never_more_ticks_than_room),
        cmocka_unit_test(places_are_linear_or_logarithmic),
        cmocka_unit_test(colours_rise_in_luminance),
        cmocka_unit_test(zero_is_the_middle_of_the_diverging_map),
        cmocka_unit_test(overlays_of_equal_tones_are_grey),
        cmocka_unit_test(letters_take_room),
        cmocka_unit_test(text_breaks_at_spaces),
        cmocka_unit_test(drawing_changes_what_it_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
