/* The overlay and the difference on images that are known: with the right map both are without
 * colour, with one that is off by a few pixels there are fringes. */
#include "worker/memory/tracked.h"
#include "worker/qc/colour.h"
#include "worker/qc/qc_picture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 280, HEIGHT = 210, SHIFT = 9, LEFT = 76, TOP = 98, PANEL = 560, GAP = 76 };

static struct qc_data data;
static struct qc_task task;

/* Spots every 20 px. */
static float scene(int x, int y) {
    double dx = x - 20 * round(x / 20.0), dy = y - 20 * round(y / 20.0);
    return (float)(100 + 800 * exp(-(dx * dx + dy * dy) / 18));
}

static struct reduced make_image(int shift) {
    struct reduced image = {tracked_alloc(WIDTH * HEIGHT, sizeof(float), "test"), WIDTH, HEIGHT, 0};
    assert_non_null(image.pixels);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            image.pixels[y * WIDTH + x] = scene(x + shift, y);
    return image;
}

/* Pre shows at x what post shows at x + SHIFT, with half the brightness; the map says `shift`. */
static int set_up_with(double shift) {
    task = (struct qc_task){.scale = json_pack("{s:f,s:s}", "scale", 2.0, "scale_kind", "moffat")};
    data = (struct qc_data){.task = &task,
                            .status = "aligned",
                            .reason = "",
                            .has_map = true,
                            .scale = 2,
                            .transform = {.map = map_similarity(0, 1, -shift, 0)},
                            .post_range = {100, 900, 900},
                            .pre_range = {50, 450, 450}};
    data.pre_survey.layout = data.post_survey.layout =
        (struct pyramid_layout){.width = WIDTH, .height = HEIGHT};
    for (int i = 0; i <= QC_DATA_TONES; i++)
        data.tones[i] = (float)i / QC_DATA_TONES;
    data.post = make_image(0);
    data.pre = make_image(SHIFT);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        data.pre.pixels[i] /= 2;
    data.aligned = tracked_alloc(WIDTH * HEIGHT, sizeof(float), "test");
    assert_non_null(data.aligned);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            data.aligned[y * WIDTH + x] = (float)reduced_at(&data.pre, x - shift, y);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    qc_data_close(&data);
    json_decref((json_t *)task.scale);
    return 0;
}

static int set_up_right(void **state) {
    (void)state;
    return set_up_with(SHIFT);
}

static int set_up_wrong(void **state) {
    (void)state;
    return set_up_with(SHIFT + 5);
}

/* Largest distance of red and green inside a panel, away from its left edge, where pre is missing.
 */
static int largest_fringe(const struct canvas *canvas, int left) {
    int most = 0;
    for (int y = TOP + 2; y < TOP + 418; y++)
        for (int x = left + 60; x < left + PANEL - 60; x++) {
            uint32_t rgb = canvas->pixels[y * canvas->width + x];
            int fringe = abs((int)(rgb >> 16 & 255) - (int)(rgb >> 8 & 255));
            most = fringe > most ? fringe : most;
        }
    return most;
}

static void the_right_map_leaves_no_fringe(void **state) {
    (void)state;
    struct failure failure;
    CLEANUP(canvas_close) struct canvas canvas = {0};
    assert_int_equal(qc_overlay(&data, &canvas, &failure), 0);
    assert_true(largest_fringe(&canvas, LEFT) > 150);
    assert_true(largest_fringe(&canvas, LEFT + PANEL + GAP) <= 2);
}

static void a_shifted_map_leaves_fringes(void **state) {
    (void)state;
    struct failure failure;
    CLEANUP(canvas_close) struct canvas canvas = {0};
    assert_int_equal(qc_overlay(&data, &canvas, &failure), 0);
    assert_true(largest_fringe(&canvas, LEFT + PANEL + GAP) > 150);
}

/* Of difference.png: the share of pixels with the colour of zero, and of those outside. */
static void look_at_difference(double *ret_zero, int *ret_outside) {
    struct failure failure;
    CLEANUP(canvas_close) struct canvas canvas = {0};
    assert_int_equal(qc_difference(&data, &canvas, &failure), 0);
    int zero = 0, n = 0;
    *ret_outside = 0;
    for (int y = 90; y < 700; y++)
        for (int x = 80; x < 900; x++, n++) {
            uint32_t rgb = canvas.pixels[y * canvas.width + x] & 0xffffff;
            zero += rgb == colour_at(COLOUR_DIVERGING, 0.5);
            *ret_outside += rgb == COLOUR_OUTSIDE;
        }
    *ret_zero = (double)zero / n;
}

static void no_difference_is_the_middle_colour(void **state) {
    (void)state;
    double zero;
    int outside;
    look_at_difference(&zero, &outside);
    assert_true(zero > 0.9);
    assert_true(outside > 10000); /* nine columns, three px wide each */
}

static void a_shifted_map_leaves_differences(void **state) {
    (void)state;
    double zero;
    int outside;
    look_at_difference(&zero, &outside);
    assert_true(zero < 0.5);
}

static void a_failed_pair_has_no_difference_and_nothing_to_flicker(void **state) {
    (void)state;
    struct failure failure;
    CLEANUP(canvas_close) struct canvas canvas = {0};
    data.is_failed = true;
    assert_int_equal(qc_difference(&data, &canvas, &failure), -ENODATA);
    assert_int_equal(qc_blink_pre(&data, &canvas, &failure), -ENODATA);
    assert_int_equal(qc_blink_post(&data, &canvas, &failure), -ENODATA);
    assert_int_equal(qc_overlay(&data, &canvas, &failure), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_right_map_leaves_no_fringe, set_up_right, tear_down),
        cmocka_unit_test_setup_teardown(a_shifted_map_leaves_fringes, set_up_wrong, tear_down),
        cmocka_unit_test_setup_teardown(no_difference_is_the_middle_colour, set_up_right,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_shifted_map_leaves_differences, set_up_wrong, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_pair_has_no_difference_and_nothing_to_flicker,
                                        set_up_right, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
