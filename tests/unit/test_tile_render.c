/* Rendered tiles against the analytic image that the pre file holds, under maps of every kind: each
 * pixel's value, and which pixels are covered, decided for each pixel by itself. */
#include "worker/output/tile_render.h"

#include "worker/tiff/tiff_writer.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { PRE_WIDTH = 700, PRE_HEIGHT = 500, POST_WIDTH = 640, POST_HEIGHT = 560 };

static char folder[] = "/tmp/test_tile_render.XXXXXX";

/* Smooth enough for cubic to follow it within a count. */
static double value(double x, double y, uint32_t sample) {
    return 120 + 60 * sin(0.05 * x + sample) * cos(0.04 * y) + 20 * sin(0.03 * (x + y));
}

static struct image *make_image(const char *name, uint32_t width, uint32_t height,
                                uint32_t samples) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s%u.tif", folder, name, samples);
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    struct tiff_writer_options options = {
        .width = width, .height = height, .samples = samples, .bits = 8};
    assert_int_equal(tiff_writer_open(path, &options, &writer, &failure), 0);
    uint8_t *tile = calloc((size_t)TILE_RENDER_PX * TILE_RENDER_PX, samples);
    assert_non_null(tile);
    for (uint32_t ty = 0; ty * TILE_RENDER_PX < height; ty++)
        for (uint32_t tx = 0; tx * TILE_RENDER_PX < width; tx++) {
            memset(tile, 0, (size_t)TILE_RENDER_PX * TILE_RENDER_PX * samples);
            for (uint32_t i = 0; i < TILE_RENDER_PX * TILE_RENDER_PX; i++) {
                uint32_t x = tx * TILE_RENDER_PX + i % TILE_RENDER_PX;
                uint32_t y = ty * TILE_RENDER_PX + i / TILE_RENDER_PX;
                for (uint32_t s = 0; s < samples && x < width && y < height; s++)
                    tile[i * samples + s] = (uint8_t)lround(value(x, y, s));
            }
            assert_int_equal(tiff_writer_put(writer, tx, ty, tile, &failure), 0);
        }
    free(tile);
    assert_int_equal(tiff_writer_publish(writer, &failure), 0);
    struct image *image = NULL;
    if (image_open(path, &image, &failure) < 0)
        fail_msg("%s", failure.text);
    return image;
}

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

static void check_pixel(const struct tile_render_tile *tile, uint32_t at,
                        const struct transform *transform, double post_x, double post_y,
                        uint32_t samples) {
    struct map_point p = transform_apply(transform, post_x, post_y);
    bool in_pre = p.x >= -0.5 && p.x < PRE_WIDTH - 0.5 && p.y >= -0.5 && p.y < PRE_HEIGHT - 0.5;
    bool in_post = post_x >= 0 && post_x < POST_WIDTH && post_y >= 0 && post_y < POST_HEIGHT;
    double edge = fmin(fmin(fabs(p.x + 0.5), fabs(p.x - PRE_WIDTH + 0.5)),
                       fmin(fabs(p.y + 0.5), fabs(p.y - PRE_HEIGHT + 0.5)));
    if (edge < 1e-6)
        return; /* the last bit of the arithmetic decides */
    assert_int_equal(tile->covered[at], in_pre && in_post);
    bool inside = p.x >= 1 && p.x <= PRE_WIDTH - 2 && p.y >= 1 && p.y <= PRE_HEIGHT - 2;
    for (uint32_t s = 0; s < samples; s++) {
        double got = ((const uint8_t *)tile->aligned)[at * samples + s];
        /* the edge is repeated: half a pixel beyond it is not far from the truth either */
        double tolerance = inside ? 1.5 : 4;
        if (fabs(got - (in_pre ? value(p.x, p.y, s) : 0)) > (in_pre ? tolerance : 0))
            fail_msg("post %.0f,%.0f sample %u: %.0f, wanted %.2f", post_x, post_y, s, got,
                     in_pre ? value(p.x, p.y, s) : 0);
    }
}

static void check_transform(const struct transform *transform, uint32_t samples, uint32_t pad) {
    struct image *pre = make_image("pre", PRE_WIDTH, PRE_HEIGHT, samples);
    struct image *post = make_image("post", POST_WIDTH, POST_HEIGHT, 1);
    struct signal pre_signal = {.n_channels = 1, .samples = samples, .bits = 8};
    struct signal post_signal = {.n_channels = 1, .samples = 1, .bits = 8};
    struct tile_render_task task = {.pre = pre,
                                    .post = post,
                                    .post_to_pre = transform,
                                    .pre_signal = &pre_signal,
                                    .post_signal = &post_signal,
                                    .interpolation = PARAMS_INTERPOLATION_CUBIC,
                                    .pad = pad};
    struct failure failure = {0};
    struct tile_render *render = NULL;
    assert_int_equal(tile_render_check(&task, &failure), 0);
    assert_int_equal(tile_render_open(&task, 1 << 20, &render, &failure), 0);
    uint32_t columns = (tile_render_canvas_width(&task) - 1) / TILE_RENDER_PX + 1;
    uint32_t rows = (tile_render_canvas_height(&task) - 1) / TILE_RENDER_PX + 1;
    for (uint32_t i = 0; i < columns * rows; i++) {
        const struct tile_render_tile *tile = NULL;
        uint32_t left = i % columns * TILE_RENDER_PX, top = i / columns * TILE_RENDER_PX;
        assert_int_equal(tile_render_run(render, i % columns, i / columns, &tile, &failure), 0);
        for (uint32_t y = 0; y < tile->height; y++)
            for (uint32_t x = 0; x < tile->width; x++)
                check_pixel(tile, y * TILE_RENDER_PX + x, transform, (double)left + x - pad,
                            (double)top + y - pad, samples);
    }
    tile_render_close(render);
    image_close(pre);
    image_close(post);
}

static void check(const struct map *map, uint32_t samples, uint32_t pad) {
    struct transform transform = {.map = *map};
    check_transform(&transform, samples, pad);
}

static const struct map turned = {{0.95, -0.31, 90, 0.31, 0.95, -70, 0, 0, 1}};
static const struct map perspective = {{1.02, 0.11, -20, -0.09, 0.97, 40, 1.5e-4, -9e-5, 1}};
/* Each output row runs over several times its length: source boxes exceed the block and are cut. */
static const struct map stretched = {{4.1, 0.2, -900, 0.1, 0.25, 120, 0, 0, 1}};
static const struct map mirrored = {{-1, 0, 650, 0, 1, 3, 0, 0, 1}};
static const struct map elsewhere = {{1, 0, 5000, 0, 1, 0, 0, 0, 1}};

static void grey_maps(void **state) {
    (void)state;
    check(&map_identity, 1, 0);
    check(&turned, 1, 0);
    check(&perspective, 1, 0);
    check(&stretched, 1, 0);
    check(&mirrored, 1, 0);
    check(&elsewhere, 1, 0);
}

static void several_samples(void **state) {
    (void)state;
    check(&turned, 3, 0);
    check(&perspective, 3, 0);
    check(&stretched, 3, 0);
    check(&turned, 5, 0); /* more than one group of lanes */
}

static void pads(void **state) {
    (void)state;
    check(&turned, 1, 33);
    check(&perspective, 3, 300);
}

/* Bent so far that rows leave the pre image and come back, and that pieces bulge. */
static void grids(void **state) {
    (void)state;
    struct transform bent = {.map = turned, .grid = bspline_over(POST_WIDTH, POST_HEIGHT, 6)};
    for (int i = 0; i < bent.grid.columns * bent.grid.rows; i++) {
        bent.grid.dx[i] = i % 3 * 24 - 24;
        bent.grid.dy[i] = i % 5 * 17 - 34;
    }
    check_transform(&bent, 1, 0);
    check_transform(&bent, 3, 70);
    bent.map = map_identity;
    bent.map.h[5] = -20;
    check_transform(&bent, 1, 0);
}

static void a_horizon_on_the_canvas_is_refused(void **state) {
    (void)state;
    struct image *pre = make_image("pre", PRE_WIDTH, PRE_HEIGHT, 1);
    struct transform horizon = {.map = {{1, 0, 0, 0, 1, 0, -1.0 / 300, 0, 1}}};
    struct tile_render_task task = {.pre = pre, .post = pre, .post_to_pre = &horizon};
    struct failure failure = {0};
    assert_int_equal(tile_render_check(&task, &failure), -ERANGE);
    assert_non_null(strstr(failure.text, "horizon crosses the canvas"));
    image_close(pre);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grey_maps),
        cmocka_unit_test(several_samples),
        cmocka_unit_test(pads),
        cmocka_unit_test(grids),
        cmocka_unit_test(a_horizon_on_the_canvas_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
