/* The pre image's border in rendered tiles, and values at the ends of the range: a pixel is covered
 * by whether its centre falls onto the image, and then has its full value (no dark fringe, nothing
 * mixed with the outside); what overshoots is clamped, never wrapped around. */
#include "worker/output/tile_render.h"

#include "worker/tiff/tiff_writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 300, HEIGHT = 270, MIDDLE = 150, PAD = 40, MOST_SAMPLES = 3 };

static char folder[] = "/tmp/test_tile_edges.XXXXXX";

static int set_up(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

struct kind {
    uint32_t samples, bits;
};

static const struct kind kinds[] = {{1, 8}, {3, 8}, {1, 16}, {3, 16}};

static uint32_t most(const struct kind *kind) { return kind->bits == 8 ? 255 : 65535; }

static uint32_t get(const void *pixels, const struct kind *kind, size_t i) {
    return kind->bits == 8 ? ((const uint8_t *)pixels)[i] : ((const uint16_t *)pixels)[i];
}

/* left of MIDDLE: `left` in all samples; else `right`. */
static struct image *make_image(const struct kind *kind, uint32_t left, uint32_t right) {
    static uint16_t tile[TILE_RENDER_PX * TILE_RENDER_PX * MOST_SAMPLES];
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/pre.tif", folder);
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    struct tiff_writer_options options = {
        .width = WIDTH, .height = HEIGHT, .samples = kind->samples, .bits = kind->bits};
    assert_int_equal(tiff_writer_open(path, &options, &writer, &failure), 0);
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t at = 0; at < TILE_RENDER_PX * TILE_RENDER_PX; at++) {
            uint32_t x = i % 2 * TILE_RENDER_PX + at % TILE_RENDER_PX;
            for (uint32_t s = 0; s < kind->samples; s++) {
                uint32_t value = x < MIDDLE ? left : right;
                if (kind->bits == 8)
                    ((uint8_t *)tile)[at * kind->samples + s] = (uint8_t)value;
                else
                    tile[at * kind->samples + s] = (uint16_t)value;
            }
        }
        assert_int_equal(tiff_writer_put(writer, i % 2, i / 2, tile, &failure), 0);
    }
    assert_int_equal(tiff_writer_publish(writer, &failure), 0);
    struct image *image = NULL;
    if (image_open(path, &image, &failure) < 0)
        fail_msg("%s", failure.text);
    return image;
}

typedef void (*check_cb)(const struct kind *kind, struct map_point pre, uint32_t value);

/* Renders the image onto a padded canvas of its own size and shows each sample to the check. */
static void render(const struct kind *kind, uint32_t left, uint32_t right,
                   enum params_interpolation interpolation, check_cb check) {
    static const struct transform turned = {
        .map = {{0.97031, -0.24193, 31.3137, 0.24193, 0.97031, -36.7219, 0, 0, 1}}};
    struct image *image = make_image(kind, left, right);
    struct signal signal = {.n_channels = 1, .samples = kind->samples, .bits = kind->bits};
    struct tile_render_task task = {.pre = image,
                                    .post = image,
                                    .post_to_pre = &turned,
                                    .pre_signal = &signal,
                                    .post_signal = &signal,
                                    .interpolation = interpolation,
                                    .pad = PAD};
    struct failure failure = {0};
    struct tile_render *render = NULL;
    assert_int_equal(tile_render_open(&task, 1 << 20, &render, &failure), 0);
    uint64_t n_covered = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const struct tile_render_tile *tile = NULL;
        assert_int_equal(tile_render_run(render, i % 2, i / 2, &tile, &failure), 0);
        n_covered += tile->n_covered;
        for (uint32_t y = 0; y < tile->height; y++)
            for (uint32_t x = 0; x < tile->width; x++) {
                struct map_point pre =
                    map_apply(&turned.map, (double)(i % 2 * TILE_RENDER_PX + x) - PAD,
                              (double)(i / 2 * TILE_RENDER_PX + y) - PAD);
                for (uint32_t s = 0; s < kind->samples; s++)
                    check(kind, pre,
                          get(tile->aligned, kind,
                              (size_t)(y * TILE_RENDER_PX + x) * kind->samples + s));
            }
    }
    assert_true(n_covered > WIDTH * HEIGHT / 2);
    tile_render_close(render);
    image_close(image);
}

static bool on_image(struct map_point pre) {
    return pre.x >= -0.5 && pre.x < WIDTH - 0.5 && pre.y >= -0.5 && pre.y < HEIGHT - 0.5;
}

static void is_flat(const struct kind *kind, struct map_point pre, uint32_t value) {
    uint32_t wanted = on_image(pre) ? most(kind) / 5 * 4 : 0;
    if (value != wanted)
        fail_msg("%u x %u bits at pre %.3f, %.3f: %u, wanted %u", kind->samples, kind->bits, pre.x,
                 pre.y, value, wanted);
}

static void a_flat_image_has_no_fringe(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (int kernel = 0; kernel < PARAMS_INTERPOLATION_COUNT; kernel++)
            render(&kinds[i], most(&kinds[i]) / 5 * 4, most(&kinds[i]) / 5 * 4, kernel, is_flat);
}

/* An eighth of the step is more than any kernel overshoots; wrapped around, it would be most of it.
 */
static void is_a_step(const struct kind *kind, struct map_point pre, uint32_t value) {
    if (!on_image(pre))
        assert_int_equal(value, 0);
    else if (pre.x < MIDDLE - 4)
        assert_int_equal(value, 0);
    else if (pre.x > MIDDLE + 3)
        assert_int_equal(value, most(kind));
    else if (pre.x < MIDDLE - 1)
        assert_true(value <= most(kind) / 8);
    else if (pre.x > MIDDLE)
        assert_true(value >= most(kind) - most(kind) / 8);
}

static void overshoot_is_clamped(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (int kernel = 0; kernel < PARAMS_INTERPOLATION_COUNT; kernel++)
            render(&kinds[i], 0, most(&kinds[i]), kernel, is_a_step);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flat_image_has_no_fringe),
        cmocka_unit_test(overshoot_is_clamped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
