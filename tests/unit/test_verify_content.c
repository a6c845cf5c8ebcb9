/* What tiles show inside the outlines: worker/align/tile_parts, worker/align/verify_content. */
#include "worker/align/verify_content.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIDE = 64, N_TILES = 12 };

static float random_tone(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return (float)(*state >> 8) / (float)(1 << 24);
}

/* Specks of about 6 px, placed by the seed. */
static void draw_specks(uint32_t seed, float ret[SIDE * SIDE]) {
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++)
        ret[i] = 0;
    for (int speck = 0; speck < 60; speck++) {
        double x = SIDE * (double)random_tone(&seed), y = SIDE * (double)random_tone(&seed);
        for (int row = 0; row < SIDE; row++)
            for (int column = 0; column < SIDE; column++) {
                double far = hypot(column - x, row - y) / 3;
                ret[row * SIDE + column] += (float)exp(-far * far);
            }
    }
}

static void draw_edge(double at, float ret[SIDE * SIDE]) {
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            ret[row * SIDE + column] = (float)(1 / (1 + exp(-(column + 0.5 * row - at))));
}

static int count_parts(const struct tile_detail *detail, double *ret_mean) {
    int n = 0;
    *ret_mean = 0;
    for (int part = 0; part < TILE_PARTS; part++)
        if (detail[part].fixed.both_ways > 0 && detail[part].moving.both_ways > 0) {
            *ret_mean += (double)detail[part].correlation;
            n++;
        }
    *ret_mean /= n > 0 ? n : 1;
    return n;
}

static void the_same_specks_correlate_and_others_do_not(void **state) {
    (void)state;
    static float a[SIDE * SIDE], b[SIDE * SIDE];
    struct tile_detail detail[TILE_PARTS];
    double mean;
    draw_specks(1, a);
    draw_specks(2, b);
    tile_parts_detail(a, a, SIDE, detail);
    assert_true(count_parts(detail, &mean) >= 4);
    assert_float_equal(mean, 1, 1e-4);
    tile_parts_detail(a, b, SIDE, detail);
    (void)count_parts(detail, &mean);
    assert_true(fabs(mean) < 0.4);
}

static void an_outline_does_not_count(void **state) {
    (void)state;
    static float edge[SIDE * SIDE];
    struct tile_detail detail[TILE_PARTS];
    double mean;
    draw_edge(40, edge);
    tile_parts_detail(edge, edge, SIDE, detail);
    for (int part = 0; part < TILE_PARTS; part++)
        assert_true(detail[part].fixed.both_ways < 0.01F);
    float structure[TILE_PARTS];
    tile_parts_structure(edge, SIDE, structure);
    assert_true(structure[2] > 0.2F);
    tile_parts_detail(edge, edge, SIDE / 4, detail); /* too small for directions */
    assert_int_equal(count_parts(detail, &mean), 0);
}

static struct tile_detail seen(float fixed, float moving, float correlation) {
    return (struct tile_detail){{fixed, fixed, fixed}, {moving, moving, moving}, correlation};
}

/* Every tile: half of its parts of the one strength and correlation, half of the other. */
static void make_tiles(struct tile_detail one, struct tile_detail other,
                       struct tile_shift ret[N_TILES]) {
    for (int i = 0; i < N_TILES; i++) {
        ret[i] = (struct tile_shift){.measured = true};
        for (int part = 0; part < TILE_PARTS; part++)
            ret[i].detail[part] = part % 2 ? one : other;
    }
}

static struct verify_content judge(const struct tile_shift *sharp, const struct tile_shift *blurred,
                                   const enum verify_answer *answers) {
    static const enum verify_answer all_agree[N_TILES] = {[0 ... N_TILES - 1] = VERIFY_AGREES};
    struct verify_content content;
    struct failure failure;
    assert_int_equal(verify_content_judge(sharp, blurred, answers ? answers : all_agree, N_TILES,
                                          &content, &failure),
                     0);
    return content;
}

static void the_richest_parts_of_both_are_asked(void **state) {
    (void)state;
    struct tile_shift shifts[N_TILES];
    make_tiles(seen(1, 1, 0.9F), seen(0.2F, 0.2F, 0), shifts);
    struct verify_content content = judge(shifts, shifts, NULL);
    assert_int_equal(content.parts, N_TILES * TILE_PARTS / 2);
    assert_float_equal(content.correlation, 0.9, 1e-4);
    /* an object of one image is rich in that image alone */
    for (int i = 0; i < N_TILES; i++)
        shifts[i].detail[0] = seen(9, 0.2F, 0);
    content = judge(shifts, shifts, NULL);
    assert_int_equal(content.parts, N_TILES * TILE_PARTS / 2);
    assert_float_equal(content.correlation, 0.9, 1e-4);
    make_tiles(seen(1, 0, 0), seen(0, 1, 0), shifts);
    assert_int_equal(judge(shifts, shifts, NULL).parts, 0);
}

/* Missing tissue and objects are in the tiles that do not; strangers behind an outline in those
 * that do. */
static void the_parts_of_agreeing_tiles_are_asked(void **state) {
    (void)state;
    struct tile_shift shifts[N_TILES];
    enum verify_answer answers[N_TILES];
    make_tiles(seen(10, 10, 0.99F), seen(1, 1, 0), shifts);
    for (int i = 0; i < N_TILES; i++) {
        static const enum verify_answer others[] = {VERIFY_CONTRADICTS, VERIFY_SILENT};
        answers[i] = i < 4 ? VERIFY_AGREES : others[i % 2];
        for (int part = 1; part < TILE_PARTS && i >= 4; part += 2)
            shifts[i].detail[part] = seen(10, 10, 0);
    }
    struct verify_content content = judge(shifts, shifts, answers);
    assert_int_equal(content.parts, 4 * TILE_PARTS / 2);
    assert_float_equal(content.correlation, 0.99, 1e-4);
    assert_int_equal(content.clear, 4 * TILE_PARTS / 2);
    assert_float_equal(content.unexplained, 1, 0.05);
    for (int i = 0; i < N_TILES; i++)
        answers[i] = i < 4 ? VERIFY_CONTRADICTS : VERIFY_AGREES;
    content = judge(shifts, shifts, answers);
    assert_float_equal(content.correlation, 0, 1e-4);
    assert_true(content.unexplained > 4);
}

static void what_is_clear_must_be_explained(void **state) {
    (void)state;
    struct tile_shift shifts[N_TILES];
    make_tiles(seen(10, 10, 0.99F), seen(1, 1, 0), shifts);
    struct verify_content content = judge(shifts, shifts, NULL);
    assert_int_equal(content.clear, N_TILES * TILE_PARTS / 2);
    assert_float_equal(content.unexplained, 1, 0.05); /* 10 sqrt(1 - 0.99^2) of sqrt(1 + 0.99^2) */
    make_tiles(seen(10, 10, 0.8F), seen(1, 1, 0), shifts);
    assert_true(judge(shifts, shifts, NULL).unexplained > 4);
}

static void grains_are_asked_sharp_and_outlines_blurred(void **state) {
    (void)state;
    struct tile_shift sharp[N_TILES], blurred[N_TILES];
    make_tiles(seen(10, 10, 0.5F), seen(1, 1, 0), sharp);
    make_tiles(seen(10, 10, 0.99F), seen(1, 1, 0), blurred);
    struct verify_content content = judge(sharp, blurred, NULL);
    assert_float_equal(content.correlation, 0.5, 1e-4);
    assert_float_equal(content.unexplained, 1, 0.05);
}

static void tiles_that_were_not_measured_say_nothing(void **state) {
    (void)state;
    struct tile_shift shifts[N_TILES];
    make_tiles(seen(1, 1, 0.9F), seen(1, 1, 0.9F), shifts);
    for (int i = 1; i < N_TILES; i++)
        shifts[i].measured = false;
    assert_int_equal(judge(shifts, shifts, NULL).parts, TILE_PARTS);
    shifts[0].measured = false;
    assert_int_equal(judge(shifts, shifts, NULL).parts, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_specks_correlate_and_others_do_not),
        cmocka_unit_test(an_outline_does_not_count),
        cmocka_unit_test(the_richest_parts_of_both_are_asked),
        cmocka_unit_test(the_parts_of_agreeing_tiles_are_asked),
        cmocka_unit_test(what_is_clear_must_be_explained),
        cmocka_unit_test(grains_are_asked_sharp_and_outlines_blurred),
        cmocka_unit_test(tiles_that_were_not_measured_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
