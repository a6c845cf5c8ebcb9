/* Reduced levels on disk: means of 2 x 2, regions with zeros outside, files of another size. */
#include "worker/align/pyramid.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 830, HEIGHT = 411 }; /* odd numbers at several levels */

static const struct signal grey = {.channels = {0}, .n_channels = 1, .samples = 1, .bits = 8};

static uint16_t stored(int x, int y) { return (uint16_t)(100 * x + 37 * y + (x * y) % 11); }

static void write_levels(const char *path, const struct pyramid_layout *layout) {
    struct failure failure = {0};
    struct pyramid_writer *writer = NULL;
    assert_int_equal(pyramid_writer_open(path, layout, &writer, &failure), 0);
    struct pyramid_size size = pyramid_level_size(layout, 2);
    uint16_t row[WIDTH / 4];
    for (int y = 0; y < size.height; y++) {
        for (int x = 0; x < size.width; x++)
            row[x] = stored(x, y);
        assert_int_equal(pyramid_writer_row(writer, row, &failure), 0);
    }
    assert_int_equal(pyramid_writer_publish(writer, &failure), 0);
}

static char folder[] = "/tmp/test_pyramid.XXXXXX";
static char path[sizeof(folder) + 16];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/a.levels", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder); /* fails, and tells, when a temporary file was left behind */
}

static void sizes_are_rounded_down(void **state) {
    (void)state;
    struct pyramid_layout layout;
    pyramid_plan(WIDTH, HEIGHT, 255, &layout);
    assert_int_equal(pyramid_level_size(&layout, 2).width, 207);
    assert_int_equal(pyramid_level_size(&layout, 2).height, 102);
    assert_int_equal(layout.last_level, 4); /* 51 x 25; level 5 would be 25 px */
    pyramid_plan(100, 90, 255, &layout);
    assert_int_equal(layout.last_level, 1);
    pyramid_plan(100000, 3, 255, &layout);
    assert_int_equal(layout.last_level, 1); /* no row is left of it at level 2 */
}

static void levels_are_means_and_outside_is_zero(void **state) {
    (void)state;
    struct pyramid_layout layout;
    pyramid_plan(WIDTH, HEIGHT, 255, &layout);
    write_levels(path, &layout);
    struct pyramid_source source = {.path = path, .layout = layout, .signal = grey};
    struct pyramid *pyramid = NULL;
    struct failure failure = {0};
    assert_int_equal(pyramid_open(&source, &pyramid, &failure), 0);
    float values[20 * 10];
    struct pyramid_region region = {3, -4, 45, 20, 10}; /* level 3 is 103 x 51 */
    assert_int_equal(pyramid_read(pyramid, &region, values, &failure), 0);
    for (int y = 0; y < 10; y++)
        for (int x = 0; x < 20; x++) {
            int column = x - 4, row = y + 45;
            double expected = 0;
            if (column >= 0 && row < 51)
                expected = floor((stored(2 * column, 2 * row) + stored(2 * column + 1, 2 * row) +
                                  stored(2 * column, 2 * row + 1) +
                                  stored(2 * column + 1, 2 * row + 1) + 2) /
                                 4.0) /
                           layout.factor;
            if (fabs(values[y * 20 + x] - expected) > 1e-3)
                fail_msg("at %d, %d: %g is not %g", column, row, values[y * 20 + x], expected);
        }
    region.width = 5000;
    assert_int_equal(pyramid_read(pyramid, &region, values, &failure), -EINVAL);
    pyramid_close(pyramid);
}

static void a_file_of_another_size_is_refused(void **state) {
    (void)state;
    struct pyramid_layout layout;
    pyramid_plan(WIDTH, HEIGHT, 255, &layout);
    write_levels(path, &layout);
    pyramid_plan(WIDTH + 4, HEIGHT, 255, &layout);
    struct pyramid_source source = {.path = path, .layout = layout, .signal = grey};
    struct pyramid *pyramid = NULL;
    struct failure failure = {0};
    assert_int_equal(pyramid_open(&source, &pyramid, &failure), -ESTALE);
    assert_non_null(strstr(failure.text, "a.levels has"));
    assert_non_null(strstr(failure.text, "remove the checkpoints folder"));
    source.path = "/nonexistent/a.levels";
    assert_int_equal(pyramid_open(&source, &pyramid, &failure), -ENOENT);
    assert_non_null(strstr(failure.text, "cannot open /nonexistent/a.levels"));
}

static void an_abandoned_file_is_gone(void **state) {
    (void)state;
    struct pyramid_layout layout;
    pyramid_plan(WIDTH, HEIGHT, 255, &layout);
    struct failure failure = {0};
    struct pyramid_writer *writer = NULL;
    (void)unlink(path);
    assert_int_equal(pyramid_writer_open(path, &layout, &writer, &failure), 0);
    pyramid_writer_abandon(writer);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_rounded_down),
        cmocka_unit_test(levels_are_means_and_outside_is_zero),
        cmocka_unit_test(a_file_of_another_size_is_refused),
        cmocka_unit_test(an_abandoned_file_is_gone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
