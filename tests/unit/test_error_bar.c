/* The error bar against what is known of the noise, and against maps that are off. */
#include "worker/align/error_bar.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { SIDE = 10, COUNT = SIDE * SIDE };

static const double FRAME_PX = 1000;

struct sample {
    struct fit_match matches[COUNT];
    struct map_point places[COUNT + ERROR_BAR_CORNERS];
};

/* A fixed sequence, mean 0, deviation 1. */
static double next_normal(uint32_t *state) {
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        *state = *state * 1664525U + 1013904223U;
        sum += (*state >> 8) / 16777216.0;
    }
    return sum - 6;
}

/* Tiles all over the frame that lie (dx, dy) from where the map puts them, with noise. */
static void make_sample(double dx, double dy, double noise_px, uint32_t seed, struct sample *ret) {
    const struct map_point corners[] = {{0, 0}, {FRAME_PX, 0}, {FRAME_PX, FRAME_PX}, {0, FRAME_PX}};
    memcpy(ret->places, corners, sizeof(corners));
    for (int i = 0; i < COUNT; i++) {
        double x = (i % SIDE + 0.5) * FRAME_PX / SIDE, y = (i / SIDE + 0.5) * FRAME_PX / SIDE;
        ret->places[ERROR_BAR_CORNERS + i] = (struct map_point){x, y};
        ret->matches[i] = (struct fit_match){
            x, y, x + dx + noise_px * next_normal(&seed), y + dy + noise_px * next_normal(&seed), 1,
            0, 1};
    }
}

static struct error_bar find(const struct sample *sample, size_t count, enum fit_model model) {
    struct error_bar_sample drawn_from = {.matches = sample->matches,
                                          .count = count,
                                          .places = sample->places,
                                          .n_places = COUNT + ERROR_BAR_CORNERS,
                                          .model = model,
                                          .rounds = ERROR_BAR_ROUNDS,
                                          .seed = 1};
    struct error_bar bar;
    struct failure failure;
    assert_int_equal(error_bar_find(&drawn_from, &bar, &failure), 0);
    return bar;
}

/* Of an affine fit to n places on a square the variance at a corner is 7 times that of the mean
 * (1 + 2 x 3: each slope's leverage there is 3), and 95 % of a plane's normal errors are within
 * 2.45 deviations. The held-out fit is itself off by one deviation, so the radius, which is about
 * the map, is between one and two times that. */
static void the_bar_is_as_long_as_the_noise_makes_it(void **state) {
    (void)state;
    static struct sample sample;
    double sum = 0;
    for (uint32_t seed = 1; seed <= 8; seed++) {
        make_sample(0, 0, 0.5, seed, &sample);
        struct error_bar bar = find(&sample, COUNT, FIT_AFFINE);
        assert_int_equal(bar.tiles, COUNT);
        for (int i = 0; i < ERROR_BAR_CORNERS; i++)
            sum += bar.corners_px[i] / (8 * ERROR_BAR_CORNERS);
        assert_true(bar.tissue_px < 1.05 * fmax(fmax(bar.corners_px[0], bar.corners_px[1]),
                                                fmax(bar.corners_px[2], bar.corners_px[3])));
    }
    double deviation_px = 0.5 * sqrt(7.0 / COUNT);
    assert_true(sum > 2.45 * deviation_px);
    assert_true(sum < 2 * 2.45 * deviation_px);
}

static void an_offset_of_the_map_is_seen(void **state) {
    (void)state;
    static struct sample sample;
    make_sample(1.2, -0.9, 0.2, 3, &sample);
    struct error_bar bar = find(&sample, COUNT, FIT_SIMILARITY);
    assert_true(fabs(bar.offset_px - 1.5) < 0.1);
    assert_true(bar.tissue_px > 1.45 && bar.tissue_px < 1.7);
}

static void fewer_tiles_know_less(void **state) {
    (void)state;
    static struct sample sample;
    make_sample(0, 0, 0.5, 5, &sample);
    double all = find(&sample, COUNT, FIT_HOMOGRAPHY).corners_px[2];
    double upper = find(&sample, 3 * SIDE, FIT_HOMOGRAPHY).corners_px[2]; /* far below is guessed */
    assert_true(upper > 3 * all);
    assert_int_equal(find(&sample, 11, FIT_HOMOGRAPHY).tiles, 0);
}

static void the_same_sample_gives_the_same_bar(void **state) {
    (void)state;
    static struct sample sample;
    make_sample(0.1, 0, 0.5, 9, &sample);
    struct error_bar a = find(&sample, COUNT, FIT_AFFINE);
    struct error_bar b = find(&sample, COUNT, FIT_AFFINE);
    assert_true(a.tissue_px == b.tissue_px && a.corners_px[3] == b.corners_px[3]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bar_is_as_long_as_the_noise_makes_it),
        cmocka_unit_test(an_offset_of_the_map_is_seen),
        cmocka_unit_test(fewer_tiles_know_less),
        cmocka_unit_test(the_same_sample_gives_the_same_bar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
