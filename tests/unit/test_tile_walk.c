/* The order of output tiles: every tile once, and strips as wide as the held blocks allow. */
#include "worker/output/tile_walk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { TILE = 256, COLUMNS = 118, ROWS = 98 };

/* An image of 30,000 px width that the canvas shows turned by `degrees`. */
static struct tile_walk_source turned(double degrees, double block_width, double block_height,
                                      double n_blocks) {
    double angle = degrees * M_PI / 180;
    return (struct tile_walk_source){.right_x = cos(angle),
                                     .right_y = sin(angle),
                                     .down_x = -sin(angle),
                                     .down_y = cos(angle),
                                     .block_width = block_width,
                                     .block_height = block_height,
                                     .width = 30000,
                                     .n_blocks = n_blocks};
}

static uint32_t strip_for(struct tile_walk_source source) {
    return tile_walk_choose(COLUMNS, ROWS, TILE, &source, 1).strip;
}

static void every_tile_once(void **state) {
    (void)state;
    static const struct tile_walk walks[] = {{7, 5, 7}, {7, 5, 3}, {1, 9, 1}, {20, 1, 6}};
    for (size_t i = 0; i < sizeof(walks) / sizeof(*walks); i++) {
        const struct tile_walk *walk = &walks[i];
        bool *seen = calloc(tile_walk_length(walk), sizeof(*seen));
        assert_non_null(seen);
        uint32_t x = 0, y = 0, last_strip = 0;
        for (uint64_t position = 0; position < tile_walk_length(walk); position++) {
            tile_walk_locate(walk, position, &x, &y);
            assert_true(x < walk->columns && y < walk->rows);
            assert_false(seen[y * walk->columns + x]);
            seen[y * walk->columns + x] = true;
            assert_true(x / walk->strip >= last_strip);
            last_strip = x / walk->strip;
        }
        assert_true(x == walk->columns - 1 && y == walk->rows - 1);
        free(seen);
    }
}

/* Rows of an uncompressed file, some thousands of them held by the kernel: whole rows of the canvas
 * while the image lies straight, columns of a few tiles when it is turned. */
static void rows_of_a_file(void **state) {
    (void)state;
    const double held = 256e6 / 90000;
    assert_int_equal(strip_for(turned(0, 30000, 1, held)), COLUMNS);
    uint32_t slanted = strip_for(turned(7, 30000, 1, held));
    uint32_t upright = strip_for(turned(90, 30000, 1, held));
    assert_true(slanted < COLUMNS && slanted > upright);
    assert_true(upright * TILE < held && upright >= 4);
    assert_int_equal(strip_for(turned(180, 30000, 1, held)), COLUMNS);
}

/* Square blocks: no angle is much worse than another, and more memory makes wider strips. */
static void square_blocks(void **state) {
    (void)state;
    uint32_t straight = strip_for(turned(0, TILE, TILE, 72));
    for (double degrees = 0; degrees < 360; degrees += 15) {
        uint32_t strip = strip_for(turned(degrees, TILE, TILE, 72));
        assert_true(strip <= straight && 2 * strip >= straight);
    }
    assert_true(strip_for(turned(30, TILE, TILE, 300)) > straight);
    assert_int_equal(strip_for(turned(30, TILE, TILE, 1)), 4); /* there must be some strip */
}

/* The hungrier of two images decides. */
static void two_sources(void **state) {
    (void)state;
    struct tile_walk_source sources[] = {turned(0, 30000, 1, 2800), turned(40, TILE, TILE, 72)};
    struct tile_walk both = tile_walk_choose(COLUMNS, ROWS, TILE, sources, 2);
    assert_int_equal(both.strip, strip_for(sources[1]));
    assert_true(both.columns == COLUMNS && both.rows == ROWS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_once),
        cmocka_unit_test(rows_of_a_file),
        cmocka_unit_test(square_blocks),
        cmocka_unit_test(two_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
