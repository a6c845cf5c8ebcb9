/* Texture far from outlines: worker/align/tile_grain, worker/align/verify_content. */
#include "worker/align/verify_content.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIDE = 64, PIXELS = SIDE * SIDE, N_TILES = 36 };

static const double EDGE = 20; /* height of an outline that both images have in some tiles */

/* What the two images of every tile are made of. */
struct drawing {
    bool replaced;    /* the moving image has a texture of its own */
    double texture;   /* height of specks some px wide */
    double noise;     /* of each image's own */
    int with_texture; /* tiles, of N_TILES; the others show noise alone */
};

static double random_tone(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return (double)(*state >> 8) / (double)(1 << 24) - 0.5;
}

/* Specks whose radius is `radius` px. */
static void add_texture(uint32_t seed, double radius, double height, float *image) {
    for (int speck = 0; speck < 120; speck++) {
        double x = (random_tone(&seed) + 0.5) * SIDE, y = (random_tone(&seed) + 0.5) * SIDE;
        double sign = random_tone(&seed) > 0 ? 1 : -1;
        for (int i = 0; i < PIXELS; i++) {
            double far = hypot(i % SIDE - x, i / SIDE - y) / radius;
            image[i] += (float)(far < 4 ? sign * height * exp(-far * far) : 0);
        }
    }
}

static void draw(const struct drawing *drawing, int tile, float *fixed, float *moving) {
    uint32_t noise = 77U + (uint32_t)tile;
    for (int i = 0; i < PIXELS; i++) {
        double edge = tile % 6 == 0 ? EDGE / (1 + exp(-(i % SIDE - 20.0))) : 0;
        fixed[i] = (float)(edge + drawing->noise * random_tone(&noise));
        moving[i] = (float)(edge + drawing->noise * random_tone(&noise));
    }
    if (tile >= drawing->with_texture)
        return;
    uint32_t seed = 1000U * (uint32_t)tile;
    add_texture(seed, 3, drawing->texture, fixed);
    add_texture(drawing->replaced ? seed + 7 : seed, 3, drawing->texture, moving);
}

static struct verify_content judge(const struct drawing *drawing) {
    static float images[5][PIXELS];
    static struct tile_grains grains[N_TILES];
    static struct tiles_cell cells[N_TILES];
    struct tiles_grid grid = {.size = SIDE, .cells = cells, .count = N_TILES};
    struct verify_content content;
    struct failure failure;
    for (int tile = 0; tile < N_TILES; tile++) {
        const struct tile_grain_images drawn = {
            {images[0], images[1]}, {images[2], images[3], images[4]}, SIDE};
        cells[tile].sector = tile % (TILES_SECTORS * TILES_SECTORS);
        draw(drawing, tile, images[0], images[1]);
        assert_int_equal(tile_grain_take(&drawn, &grains[tile], &failure), 0);
        assert_int_equal(grains[tile].count, PIXELS / TILE_GRAIN_PX / TILE_GRAIN_PX);
    }
    assert_int_equal(verify_content_judge(&grid, grains, &content, &failure), 0);
    return content;
}

static int sectors_of(const struct verify_content *content) {
    int n = 0;
    for (int i = 0; i < TILES_SECTORS * TILES_SECTORS; i++)
        n += content->coincides[i];
    return n;
}

static void the_same_texture_coincides_and_another_does_not(void **state) {
    (void)state;
    struct drawing drawing = {.texture = 1, .noise = 0.2, .with_texture = N_TILES / 2};
    struct verify_content content = judge(&drawing);
    assert_true(content.fine_parts > 100);
    assert_true(content.fine_correlation > 0.8);
    assert_true(content.coarse_deviations > 10);
    assert_int_equal(sectors_of(&content), TILES_SECTORS * TILES_SECTORS);
    drawing.replaced = true;
    content = judge(&drawing);
    assert_true(content.fine_parts > 100);
    assert_true(fabs(content.fine_correlation) < 0.1);
    assert_true(fabs(content.coarse_deviations) < 3);
    assert_int_equal(sectors_of(&content), 0);
}

/* Each part says next to nothing; hundreds of them do. */
static void many_parts_are_heard_through_noise(void **state) {
    (void)state;
    struct drawing drawing = {.texture = 0.5, .noise = 8, .with_texture = N_TILES};
    assert_true(judge(&drawing).coarse_deviations > 6);
    drawing.replaced = true;
    assert_true(fabs(judge(&drawing).coarse_deviations) < 3);
}

static void shared_outlines_are_not_texture(void **state) {
    (void)state;
    const struct drawing drawing = {
        .replaced = true, .texture = 0.5, .noise = 0.1, .with_texture = N_TILES};
    struct verify_content content = judge(&drawing);
    assert_int_equal(content.parts, N_TILES * PIXELS / TILE_GRAIN_PX / TILE_GRAIN_PX);
    assert_true(content.inside < content.parts && content.inside > content.parts / 2);
    assert_true(content.coarse_parts > 100);
    assert_true(fabs(content.fine_correlation) < 0.15);
    assert_true(fabs(content.coarse_deviations) < 3);
}

static void nothing_is_known_of_uncovered_tiles(void **state) {
    (void)state;
    static struct tile_grains grains[N_TILES];
    static struct tiles_cell cells[N_TILES];
    struct tiles_grid grid = {.size = SIDE, .cells = cells, .count = N_TILES};
    struct verify_content content;
    struct failure failure;
    assert_int_equal(verify_content_judge(&grid, grains, &content, &failure), 0);
    assert_int_equal(content.fine_parts + content.coarse_parts, 0);
    assert_true(content.fine_correlation == 0 && content.coarse_deviations == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_texture_coincides_and_another_does_not),
        cmocka_unit_test(many_parts_are_heard_through_noise),
        cmocka_unit_test(shared_outlines_are_not_texture),
        cmocka_unit_test(nothing_is_known_of_uncovered_tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
