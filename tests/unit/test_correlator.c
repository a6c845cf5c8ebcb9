/* Correlation of small images under a similarity: a known one is found, and told from its mirror
 * image, its half turn and its negative. */
#include "worker/align/correlator.h"

#include "common/cleanup.h"
#include "worker/align/sample.h"
#include "worker/memory/tracked.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 144, HEIGHT = 108, BLOBS = 60, PITCH = 8 };

static const double DEGREE = 3.14159265358979323846 / 180;
static const struct feature_scales SCALES = {1.0, 6.0, 10.0};
static const struct correlator_steps STEPS = {.angle_rad = 2.5 * DEGREE,
                                              .scale_ratio = 1.04,
                                              .angle_limit_rad = 360 * DEGREE,
                                              .scale_min = 0.5,
                                              .scale_max = 2,
                                              .rounds = 2};

/* A specimen of blobs, in thumbnail pixels. */
static double specimen(double x, double y) {
    double value = 100;
    uint32_t state = 12345;
    for (int i = 0; i < BLOBS; i++) {
        double place[3];
        for (int k = 0; k < 3; k++) {
            state = state * 1664525 + 1013904223;
            place[k] = (state >> 8) / (double)(1 << 24);
        }
        double dx = x - place[0] * WIDTH, dy = y - place[1] * HEIGHT, r = 2 + 4 * place[2];
        value += 400 * exp(-(dx * dx + 2 * dy * dy) / (2 * r * r));
    }
    return value;
}

/* The specimen seen where the map puts each pixel. */
static struct thumbnail draw(const struct map *map, double sign) {
    struct thumbnail image = {tracked_alloc((size_t)WIDTH * HEIGHT, sizeof(float), "thumbnail"),
                              WIDTH, HEIGHT, PITCH};
    assert_non_null(image.pixels);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            struct map_point p = map_apply(map, x, y);
            image.pixels[y * WIDTH + x] = (float)(500 + sign * (specimen(p.x, p.y) - 500));
        }
    return image;
}

/* truth: fixed thumbnail pixels to moving ones. */
static struct correlator *open_pair(const struct map *truth, double sign) {
    const struct survey survey = {
        .low = 100, .high = 900, .layout = {.width = WIDTH * PITCH, .height = HEIGHT * PITCH}};
    struct correlator_images images = {.fixed = draw(truth, sign),
                                       .moving = draw(&map_identity, 1),
                                       .post = &survey,
                                       .pre = &survey,
                                       .scales = SCALES,
                                       .threads = 1};
    struct failure failure = {0};
    struct correlator *correlator = NULL;
    const char *blank = NULL;
    assert_int_equal(correlator_open(&images, &correlator, &blank, &failure), 0);
    assert_null(blank);
    return correlator;
}

static struct map about_centre(double angle_deg, double scale, double shift_x, double shift_y,
                               bool mirror) {
    struct map map = map_similarity(angle_deg * DEGREE, scale, 0, 0);
    if (mirror)
        for (int i = 0; i < 3; i++)
            map.h[i] = -map.h[i];
    struct map_point p = map_apply(&map, (WIDTH - 1) / 2.0, (HEIGHT - 1) / 2.0);
    map.h[2] = (WIDTH - 1) / 2.0 - p.x + shift_x;
    map.h[5] = (HEIGHT - 1) / 2.0 - p.y + shift_y;
    return map;
}

/* Mean distance between the found map and the truth, thumbnail px. */
static double miss(const struct correlator *correlator, const struct correlator_pose *pose,
                   const struct map *truth) {
    struct map found = correlator_map(correlator, pose);
    double sum = 0;
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? WIDTH - 1 : 0, y = corner & 2 ? HEIGHT - 1 : 0;
        struct map_point p = map_apply(&found, (x + 0.5) * PITCH - 0.5, (y + 0.5) * PITCH - 0.5);
        struct map_point q = map_apply(truth, x, y);
        sum += hypot((p.x + 0.5) / PITCH - 0.5 - q.x, (p.y + 0.5) / PITCH - 0.5 - q.y) / 4;
    }
    return sum;
}

static void sweep_and_climb_find_a_similarity(void **state) {
    (void)state;
    struct map truth = about_centre(37, 1.1, 20, -9, false);
    struct correlator *correlator = open_pair(&truth, 1);
    struct failure failure = {0};
    struct correlator_sweep found;
    assert_int_equal(correlator_sweep(correlator, 0, 35 * DEGREE, 1.13, &found, NULL, &failure), 0);
    struct correlator_pose pose = found.peaks[0];
    assert_true(miss(correlator, &pose, &truth) < 5);
    double before = pose.score;
    correlator_climb(correlator, 0, &STEPS, &pose);
    assert_true(pose.score > before);
    assert_true(pose.score > 0.6);
    assert_true(pose.score > 2 * found.mirrored.score);
    assert_true(pose.score > 2 * found.inverted.score);
    assert_true(pose.score > 1.5 * found.peaks[1].score);
    if (miss(correlator, &pose, &truth) > 2)
        fail_msg("off by %.2f px", miss(correlator, &pose, &truth));
    correlator_close(correlator);
}

static void half_turn_is_the_sweep_of_the_turned_image(void **state) {
    (void)state;
    struct map truth = about_centre(37, 1.1, 20, -9, false);
    struct correlator *correlator = open_pair(&truth, 1);
    struct failure failure = {0};
    struct correlator_sweep direct, other, turned;
    assert_int_equal(correlator_sweep(correlator, 0, 37 * DEGREE, 1.1, &direct, NULL, &failure), 0);
    assert_int_equal(
        correlator_sweep(correlator, 0, (37 - 180) * DEGREE, 1.1, &other, &turned, &failure), 0);
    assert_int_equal(turned.peaks[0].x, direct.peaks[0].x);
    assert_int_equal(turned.peaks[0].y, direct.peaks[0].y);
    assert_true(fabs(turned.peaks[0].score - direct.peaks[0].score) < 1e-3);
    assert_true(fabs(turned.mirrored.score - direct.mirrored.score) < 1e-3);
    assert_true(fabs(turned.inverted.score - direct.inverted.score) < 1e-3);
    assert_true(other.peaks[0].score < direct.peaks[0].score / 2);
    correlator_close(correlator);
}

static void mirror_image_is_told(void **state) {
    (void)state;
    struct map truth = about_centre(-70, 0.95, 5, 12, true);
    struct correlator *correlator = open_pair(&truth, 1);
    struct failure failure = {0};
    struct correlator_sweep found;
    assert_int_equal(correlator_sweep(correlator, 0, -70 * DEGREE, 0.95, &found, NULL, &failure),
                     0);
    assert_true(found.mirrored.score > 2 * found.peaks[0].score);
    struct correlator_pose pose = found.mirrored;
    correlator_climb(correlator, 0, &STEPS, &pose);
    assert_true(pose.mirrored);
    assert_true(pose.score >= found.mirrored.score - 0.02);
    assert_true(miss(correlator, &pose, &truth) < 1.5);
    correlator_close(correlator);
}

static void inverted_contrast_is_told(void **state) {
    (void)state;
    struct map truth = about_centre(12, 1, -14, 3, false);
    struct correlator *correlator = open_pair(&truth, -1);
    struct failure failure = {0};
    struct correlator_sweep found;
    assert_int_equal(correlator_sweep(correlator, 0, 12 * DEGREE, 1, &found, NULL, &failure), 0);
    assert_true(found.inverted.score > 1.5 * found.peaks[0].score);
    struct correlator_pose pose = found.inverted;
    correlator_climb(correlator, 0, &STEPS, &pose);
    assert_true(pose.inverted);
    assert_true(miss(correlator, &pose, &truth) < 1.5);
    correlator_close(correlator);
}

static void climb_keeps_to_the_limits(void **state) {
    (void)state;
    struct map truth = about_centre(14, 1.1, 0, 0, false);
    struct correlator *correlator = open_pair(&truth, 1);
    struct map start = about_centre(11, 1.06, 0, 0, false);
    struct map in = {
        {1.0 / PITCH, 0, 0.5 / PITCH - 0.5, 0, 1.0 / PITCH, 0.5 / PITCH - 0.5, 0, 0, 1}};
    struct map up;
    assert_true(map_invert(&in, &up));
    struct map half = map_compose(&in, &start), full = map_compose(&half, &up);
    struct correlator_pose pose = correlator_pose(correlator, &full);
    struct correlator_steps steps = STEPS;
    steps.angle_limit_rad = 12 * DEGREE;
    steps.scale_max = 1.07;
    correlator_climb(correlator, 0, &steps, &pose);
    assert_true(pose.angle_rad <= 12 * DEGREE);
    assert_true(pose.scale <= 1.07);
    correlator_close(correlator);
}

static void pose_and_map_are_inverse(void **state) {
    (void)state;
    struct correlator *correlator = open_pair(&map_identity, 1);
    const struct correlator_pose poses[] = {
        {.angle_rad = 2, .scale = 0.9, .x = 13, .y = -20},
        {.angle_rad = -0.4, .scale = 1.2, .x = -3, .y = 4, .mirrored = true},
        {.angle_rad = 0, .scale = 1, .x = 0, .y = 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(poses); i++) {
        struct map map = correlator_map(correlator, &poses[i]);
        struct correlator_pose back = correlator_pose(correlator, &map);
        assert_true(fabs(remainder(back.angle_rad - poses[i].angle_rad, 360 * DEGREE)) < 1e-9);
        assert_true(fabs(back.scale - poses[i].scale) < 1e-9);
        assert_int_equal(back.x, poses[i].x);
        assert_int_equal(back.y, poses[i].y);
        assert_int_equal(back.mirrored, poses[i].mirrored);
    }
    correlator_close(correlator);
}

static void blank_image_is_named(void **state) {
    (void)state;
    const struct survey survey = {.low = 0, .high = 100};
    struct correlator_images images = {.fixed = draw(&map_identity, 0),
                                       .moving = draw(&map_identity, 1),
                                       .post = &survey,
                                       .pre = &survey,
                                       .scales = SCALES,
                                       .threads = 1};
    struct failure failure = {0};
    struct correlator *correlator = NULL;
    const char *blank = NULL;
    struct survey right = {.low = 100, .high = 900};
    images.pre = &right;
    assert_int_equal(correlator_open(&images, &correlator, &blank, &failure), 0);
    assert_null(correlator);
    assert_string_equal(blank, "post");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweep_and_climb_find_a_similarity),
        cmocka_unit_test(half_turn_is_the_sweep_of_the_turned_image),
        cmocka_unit_test(mirror_image_is_told),
        cmocka_unit_test(inverted_contrast_is_told),
        cmocka_unit_test(climb_keeps_to_the_limits),
        cmocka_unit_test(pose_and_map_are_inverse),
        cmocka_unit_test(blank_image_is_named),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
