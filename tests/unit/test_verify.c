/* timeout: 360 */
/* Verify is handed wrong maps of a pair whose right one is known: none may be called aligned. */
#include "worker/align/verify.h"

#include "worker/align/map_json.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { WIDTH = 1000, HEIGHT = 800, CELLS = 2500, PATH_BYTES = 256 };

static const double PI = 3.14159265358979323846;

struct pair {
    char folder[PATH_BYTES];
    struct image *pre, *post;
    struct params params;
    struct align_context context;
    json_t *surveys[2], *search, *refine;
    struct map truth;
};

/* A fixed sequence in [0, 1). */
static double next_uniform(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) / 16777216.0;
}

/* Round cells where the map takes them, and noise of the image's own. */
static void draw(const char *path, const struct map *map, uint32_t noise_seed) {
    static float pixels[HEIGHT][WIDTH];
    uint32_t cells = 5;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            pixels[y][x] = (float)(30 + 8 * next_uniform(&noise_seed));
    for (int i = 0; i < CELLS; i++) {
        double x = WIDTH * next_uniform(&cells), y = HEIGHT * next_uniform(&cells);
        double radius = 2.5 + 5 * next_uniform(&cells), light = 40 + 60 * next_uniform(&cells);
        struct map_point at = map_apply(map, x, y);
        for (int v = (int)fmax(at.y - 3 * radius, 0); v < HEIGHT && v < at.y + 3 * radius; v++)
            for (int u = (int)fmax(at.x - 3 * radius, 0); u < WIDTH && u < at.x + 3 * radius; u++) {
                double squared = (u - at.x) * (u - at.x) + (v - at.y) * (v - at.y);
                pixels[v][u] += (float)(light * exp(-squared / (radius * radius)));
            }
    }
    TIFF *tiff = TIFFOpen(path, "w");
    assert_non_null(tiff);
    (void)TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, WIDTH);
    (void)TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, HEIGHT);
    (void)TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    (void)TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
    (void)TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    (void)TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 64);
    for (uint32_t y = 0; y < HEIGHT; y++) {
        uint8_t row[WIDTH];
        for (int x = 0; x < WIDTH; x++)
            row[x] = (uint8_t)fminf(pixels[y][x], 255);
        assert_int_equal(TIFFWriteScanline(tiff, row, y, 0), 1);
    }
    TIFFClose(tiff);
}

static void open_image(struct pair *pair, const char *which, const struct map *map, uint32_t seed,
                       struct image **ret) {
    char path[2 * PATH_BYTES];
    struct failure failure;
    (void)snprintf(path, sizeof(path), "%s/%s.tif", pair->folder, which);
    draw(path, map, seed);
    if (image_open(path, ret, &failure) < 0)
        fail_msg("%s", failure.text);
}

/* A search that found the right place, and nothing else. */
static json_t *make_search(const struct pair *pair) {
    const struct search_result found = {
        .hypotheses = {{.score = 0.7, .angle_rad = 0.12, .scale = 1.03, .map = pair->truth}},
        .count = 1,
        .mirrored = {.score = 0.1, .scale = 1, .map = map_identity}};
    json_t *search = NULL;
    struct failure failure;
    if (search_write(&found, &search, &failure) < 0)
        fail_msg("%s", failure.text);
    return search;
}

static int set_up(void **state) {
    static struct pair pair;
    struct failure failure;
    (void)snprintf(pair.folder, sizeof(pair.folder), "/tmp/test_verify.XXXXXX");
    if (!mkdtemp(pair.folder))
        return -1;
    pair.truth = map_similarity(0.12, 1.03, 40, -60);
    open_image(&pair, "pre", &pair.truth, 11, &pair.pre);
    open_image(&pair, "post", &map_identity, 12, &pair.post);
    CLEANUP_JSON json_t *defaults = params_defaults();
    if (params_parse(defaults, &pair.params, &failure) < 0)
        return -1;
    pair.context = (struct align_context){.pre = pair.pre,
                                          .post = pair.post,
                                          .pre_folder = pair.folder,
                                          .post_folder = pair.folder,
                                          .params = &pair.params,
                                          .threads = 2};
    pair.search = make_search(&pair);
    *state = &pair;
    if (align_survey(&pair.context, "pre", &pair.surveys[0], &failure) < 0 ||
        align_survey(&pair.context, "post", &pair.surveys[1], &failure) < 0 ||
        align_refine(&pair.context, pair.surveys[0], pair.surveys[1], pair.search, &pair.refine,
                     &failure) < 0)
        return -1;
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"pre.tif", "post.tif", "pre.levels", "post.levels"};
    struct pair *pair = *state;
    char path[2 * PATH_BYTES];
    image_close(pair->pre);
    image_close(pair->post);
    json_decref(pair->surveys[0]);
    json_decref(pair->surveys[1]);
    json_decref(pair->search);
    json_decref(pair->refine);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", pair->folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(pair->folder); /* fails when a test left something there */
}

/* The truth after a turn and a magnification about the middle, and a shift. */
static struct map wrong_map(const struct pair *pair, double dx, double dy, double turn_deg,
                            double scale) {
    struct map wrong = map_similarity(turn_deg * PI / 180, scale, 0, 0);
    struct map_point middle = map_apply(&wrong, WIDTH / 2.0, HEIGHT / 2.0);
    wrong.h[2] = WIDTH / 2.0 - middle.x + dx;
    wrong.h[5] = HEIGHT / 2.0 - middle.y + dy;
    return map_compose(&wrong, &pair->truth);
}

/* What verify says of a map that everything before it believed in. */
static json_t *verify(const struct pair *pair, const struct map *map) {
    CLEANUP_JSON json_t *refine = json_deep_copy(pair->refine);
    assert_int_equal(json_object_set_new(refine, "post_to_pre", map_json_write(map)), 0);
    json_t *found = NULL;
    struct failure failure;
    if (align_verify(&pair->context, pair->surveys[0], pair->surveys[1], pair->search, refine,
                     &found, &failure) < 0)
        fail_msg("%s", failure.text);
    return found;
}

static double number_in(const json_t *object, const char *member, const char *key) {
    return json_number_value(json_object_get(json_object_get(object, member), key));
}

static void the_right_map_is_aligned(void **state) {
    const struct pair *pair = *state;
    CLEANUP_JSON json_t *found = verify(pair, &pair->truth);
    if (strcmp(json_string_value(json_object_get(found, "status")), "aligned") != 0)
        fail_msg("%s", json_string_value(json_object_get(found, "reason")));
    assert_true(number_in(found, "error_px", "tissue") < 0.3);
    assert_true(fabs(number_in(found, "planted_shift", "slope_x") - 1) < 0.01);
    assert_true(fabs(number_in(found, "planted_shift", "slope_y") - 1) < 0.01);
}

/* Of the map that is handed out, from the true one; at the frame's worst corner. */
static double error_px(const struct pair *pair, const json_t *found) {
    struct map map;
    struct failure failure;
    double most = 0;
    assert_int_equal(map_json_read(json_object_get(found, "post_to_pre"), "here", &map, &failure),
                     0);
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? WIDTH : 0, y = corner & 2 ? HEIGHT : 0;
        struct map_point there = map_apply(&pair->truth, x, y), at = map_apply(&map, x, y);
        most = fmax(most, hypot(at.x - there.x, at.y - there.y));
    }
    return most;
}

/* What is handed out is nearer to the truth than what was judged. */
static void all_tiles_together_correct_the_map(void **state) {
    const struct pair *pair = *state;
    struct map start = wrong_map(pair, 0.5, -0.4, 0, 1);
    CLEANUP_JSON json_t *found = verify(pair, &start);
    assert_string_equal(json_string_value(json_object_get(found, "status")), "aligned");
    assert_true(error_px(pair, found) < 0.1);
    assert_true(fabs(number_in(found, "error_px", "offset") - hypot(0.5, 0.4)) < 0.1);
    assert_true(number_in(found, "residual_px", "median") > 0.5); /* of the map before */
}

/* All pixels may lead from it to the true one, which is another map then. */
static void no_wrong_map_is_aligned(void **state) {
    static const struct {
        double dx, dy, turn_deg, scale;
    } wrong[] = {{2, 0, 0, 1},  {0, -2, 0, 1},  {1.7, 0, 0, 1},  {-3.5, 3.5, 0, 1},
                 {5, 0, 0, 1},  {0, 50, 0, 1},  {300, 0, 0, 1},  {0, 0, 1, 1},
                 {0, 0, 90, 1}, {0, 0, 180, 1}, {0, 0, 0, 1.01}, {0, 0, 0, 0.99},
                 {0, 0, 0.2, 1}};
    const struct pair *pair = *state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct map map =
            wrong_map(pair, wrong[i].dx, wrong[i].dy, wrong[i].turn_deg, wrong[i].scale);
        CLEANUP_JSON json_t *found = verify(pair, &map);
        assert_true(number_in(found, "evidence", "sectors") <= TILES_SECTORS * TILES_SECTORS);
        if (strcmp(json_string_value(json_object_get(found, "status")), "aligned") == 0 &&
            error_px(pair, found) > 0.1)
            fail_msg("aligned although off by (%g, %g) px, %g degrees, scale %g", wrong[i].dx,
                     wrong[i].dy, wrong[i].turn_deg, wrong[i].scale);
    }
}

/* The reason of a map that is off by some pixels says by how many. */
static void what_the_tiles_say_in_place_is_told(void **state) {
    const struct pair *pair = *state;
    struct map map = wrong_map(pair, 6, 8, 0, 1);
    CLEANUP_JSON json_t *found = verify(pair, &map);
    assert_non_null(strstr(json_string_value(json_object_get(found, "reason")),
                           "about 10 px away from where the map puts them"));
}

/* The checkpoint is a file that anybody may have edited. */
static void a_tile_of_no_such_size_is_refused(void **state) {
    static const int sizes[] = {132, 47, 1 << 30};
    const struct pair *pair = *state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CLEANUP_JSON json_t *refine = json_deep_copy(pair->refine);
        assert_int_equal(json_object_set_new(refine, "tile_px", json_integer(sizes[i])), 0);
        json_t *found = NULL;
        struct failure failure;
        assert_int_equal(align_verify(&pair->context, pair->surveys[0], pair->surveys[1],
                                      pair->search, refine, &found, &failure),
                         -EINVAL);
        assert_non_null(strstr(failure.text, "is no tile's size"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_map_is_aligned),
        cmocka_unit_test(all_tiles_together_correct_the_map),
        cmocka_unit_test(no_wrong_map_is_aligned),
        cmocka_unit_test(what_the_tiles_say_in_place_is_told),
        cmocka_unit_test(a_tile_of_no_such_size_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
