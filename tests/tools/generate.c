/* generate: a pair of microscopy images with a known map between them.
 *
 * The two images are exposures of one analytic specimen (tests/tools/scene/scene.h) and each is
 * drawn by a thread of its own: post straight, pre through the inverse of the map. The truth beside
 * them holds the map, the gain and places in the tissue to measure at.
 */
#include "common/atomic_file.h"
#include "tests/tools/scene/request.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TRUTH_POINTS_A_SIDE = 40 };

struct drawing {
    char *path;
    struct image_layout layout;
    struct scene scene;
    struct view view;
    struct image_noise noise;
    int r;
    struct failure failure;
};

/* post to pre: about the images' centres; then the perspective, the rotation and the shift. */
static struct matrix true_map(const struct request *request) {
    const struct image_layout *post = &request->layout;
    double angle = request->rotation_deg * M_PI / 180.0;
    double c = request->scale * cos(angle);
    double s = request->scale * sin(angle);
    double mirror = request->kind == PAIR_MIRRORED ? -1.0 : 1.0;
    struct matrix to_center = {
        {1, 0, -(post->width - 1.0) / 2.0, 0, 1, -(post->height - 1.0) / 2.0, 0, 0, 1}};
    struct matrix bend = {
        {mirror, request->shear, 0, 0, 1, 0, 2.0 * request->perspective / post->width, 0, 1}};
    struct matrix turn = {{c, -s, 0, s, c, 0, 0, 0, 1}};
    struct matrix from_center = {{1, 0, (request->pre_width - 1.0) / 2.0 + request->shift_x, 0, 1,
                                  (request->pre_height - 1.0) / 2.0 + request->shift_y, 0, 0, 1}};
    struct matrix map = matrix_then(matrix_then(matrix_then(to_center, bend), turn), from_center);
    for (int i = 0; i < 9; i++)
        map.m[i] /= map.m[8];
    return map;
}

static bool build_scenes(const struct request *request, struct drawing *pre, struct drawing *post) {
    const double defects = 0.15;
    enum pair_kind kind = request->kind;
    struct scene_options options = {
        .kind = request->scene,
        .seed = (uint64_t)request->seed,
        .content_seed = (uint64_t)request->seed,
        .width = request->layout.width,
        .height = request->layout.height,
        .missing = request->missing_pre_share,
        .torn = request->torn,
        .no_tissue = kind == PAIR_EMPTY,
        .is_lattice = kind == PAIR_PERIODIC || kind == PAIR_DEFECTS,
        .defects = kind == PAIR_DEFECTS ? defects : 0.0,
    };
    if (!scene_build(&options, &pre->scene))
        return false;
    options.objects = request->objects_share;
    options.missing = request->missing_share;
    options.no_tissue = kind == PAIR_BLANK;
    if (kind == PAIR_UNRELATED)
        options.seed += 1ULL << 40;
    if (kind == PAIR_UNRELATED || kind == PAIR_REPLACED || kind == PAIR_DEFECTS)
        options.content_seed += 1ULL << 40;
    return scene_build(&options, &post->scene);
}

static struct image_noise noise_of(const struct request *request, bool alone, uint64_t *seed) {
    return (struct image_noise){.level = alone ? fmax(request->noise, 0.2) : request->noise,
                                .read = request->read_noise,
                                .photons = request->photons,
                                .seed = scene_random(seed)};
}

/* The brighter image uses the range of the pixels, the other one as much as the gain leaves it. */
static void set_up_views(const struct request *request, const struct matrix *map,
                         struct drawing *pre, struct drawing *post) {
    double light = request->layout.colour == IMAGE_BRIGHT_FIELD ? 0.85 : 1.0;
    double exposure = light / fmax(1.0, request->gain);
    uint64_t seed = (uint64_t)request->seed;
    pre->layout = post->layout = request->layout;
    pre->layout.width = request->pre_width;
    pre->layout.height = request->pre_height;
    pre->view = (struct view){.scene = &pre->scene,
                              .to_scene = matrix_inverse(*map),
                              .exposure = exposure,
                              .gamma = 1.0,
                              .blur = request->blur_pre_px,
                              .pure_noise = request->kind == PAIR_STATIC};
    post->view =
        (struct view){.scene = &post->scene,
                      .to_scene = {{1, 0, 0, 0, 1, 0, 0, 0, 1}},
                      .exposure = exposure * request->gain,
                      .gamma = request->gamma,
                      .offset = request->offset,
                      .blur = request->blur_px,
                      .pure_noise = request->kind == PAIR_NOISE || request->kind == PAIR_STATIC};
    pre->noise = noise_of(request, pre->view.pure_noise, &seed);
    post->noise = noise_of(request, post->view.pure_noise, &seed);
}

static void *draw(void *context) {
    struct drawing *drawing = context;
    drawing->r = image_file_write(drawing->path, &drawing->layout, &drawing->view, &drawing->noise,
                                  &drawing->failure);
    return NULL;
}

/* The true place in pre of a post pixel: the bend is one of the scene as pre sees it. */
static void true_place(const struct request *request, const struct matrix *map, double x, double y,
                       double *ret_x, double *ret_y) {
    if (request->bend.amplitude != 0.0)
        bend_undo(&request->bend, x, y, &x, &y);
    matrix_apply(map, x, y, ret_x, ret_y);
}

/* Places in the tissue (post px) that both images show, and where these are in pre. */
static json_t *tissue_points(const struct request *request, const struct scene *scene,
                             const struct matrix *map, json_t *ret_places) {
    json_t *points = json_array();
    double step_x = request->layout.width / (double)TRUTH_POINTS_A_SIDE;
    double step_y = request->layout.height / (double)TRUTH_POINTS_A_SIDE;
    for (int i = 0; i < TRUTH_POINTS_A_SIDE * TRUTH_POINTS_A_SIDE; i++) {
        int row = i / TRUTH_POINTS_A_SIDE;
        double x = floor((i % TRUTH_POINTS_A_SIDE + 0.5) * step_x);
        double y = floor((row + 0.5) * step_y);
        double px;
        double py;
        true_place(request, map, x, y, &px, &py);
        if ((scene->has_tissue && scene_outline(scene, x, y) < 0.0) || px < 0.0 || py < 0.0 ||
            px > request->pre_width - 1.0 || py > request->pre_height - 1.0)
            continue;
        (void)json_array_append_new(points, json_pack("[f,f]", x, y));
        (void)json_array_append_new(ret_places, json_pack("[f,f]", px, py));
    }
    return points;
}

static int write_truth(const struct request *request, const struct matrix *map,
                       const struct scene *scene, const char *path, struct failure *failure) {
    const double *m = map->m;
    json_t *places = json_array();
    json_t *points = tissue_points(request, scene, map, places);
    CLEANUP_JSON json_t *truth = json_pack(
        "{s:i, s:s, s:b, s:[[f,f,f],[f,f,f],[f,f,f]], s:[i,i], s:[i,i], s:f, s:I, s:f, s:o, s:o}",
        "version", 1, "kind", request_kind_name(request->kind), "alignable",
        request->kind == PAIR_ALIGNABLE, "post_to_pre", m[0], m[1], m[2], m[3], m[4], m[5], m[6],
        m[7], m[8], "pre_size", (int)request->pre_width, (int)request->pre_height, "post_size",
        (int)request->layout.width, (int)request->layout.height, "gain", request->gain, "seed",
        (json_int_t)request->seed, "bend", request->bend.amplitude, "tissue_points", points,
        "pre_points", places);
    if (!truth)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    return atomic_file_write_json(path, truth, failure);
}

__attribute__((format(printf, 1, 2))) static char *text_of(const char *format, ...) {
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int r = vasprintf(&text, format, arguments);
    va_end(arguments);
    return r < 0 ? NULL : text;
}

/* Makes the folders; *ret_truth is where the truth goes. */
static int set_up_paths(const struct request *request, struct drawing *pre, struct drawing *post,
                        char **ret_truth, struct failure *failure) {
    CLEANUP_FREE char *folder = text_of("%s/%s", request->raw, request->sample);
    CLEANUP_FREE char *beside = text_of("%s/../truth/%s", request->raw, request->sample);
    pre->path = text_of("%s/%s_pre_%s.tif", folder, request->sample, request->dye);
    post->path = text_of("%s/%s_post_%s.tif", folder, request->sample, request->dye);
    *ret_truth =
        request->truth ? strdup(request->truth) : text_of("%s/%s.truth.json", beside, request->dye);
    if (!folder || !beside || !pre->path || !post->path || !*ret_truth)
        return failure_set(failure, -ENOMEM, "out of memory");
    int r = atomic_file_make_folders(folder, failure);
    if (r == 0 && !request->truth)
        r = atomic_file_make_folders(beside, failure);
    return r;
}

static int draw_both(struct drawing *pre, struct drawing *post, struct failure *failure) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, draw, pre) != 0)
        return failure_set(failure, -EAGAIN, "cannot start a thread");
    (void)draw(post);
    (void)pthread_join(thread, NULL);
    const struct drawing *failed = pre->r < 0 ? pre : post;
    if (failed->r < 0)
        *failure = failed->failure;
    return failed->r;
}

static void drawing_free(struct drawing *drawing) {
    scene_free(&drawing->scene);
    free(drawing->path);
}

static int generate(const struct request *request, struct failure *failure) {
    CLEANUP(drawing_free) struct drawing pre = {0};
    CLEANUP(drawing_free) struct drawing post = {0};
    CLEANUP_FREE char *truth = NULL;
    int r = set_up_paths(request, &pre, &post, &truth, failure);
    if (r < 0)
        return r;
    if (!build_scenes(request, &pre, &post))
        return failure_set(failure, -ENOMEM, "out of memory");
    struct matrix map = true_map(request);
    set_up_views(request, &map, &pre, &post);
    pre.view.bend = request->bend;
    r = draw_both(&pre, &post, failure);
    return r < 0 ? r : write_truth(request, &map, &pre.scene, truth, failure);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        request_print_usage(stdout);
        return EXIT_SUCCESS;
    }
    struct request request;
    struct failure failure = {0};
    if (request_parse(argc, argv, &request, &failure) < 0) {
        (void)fprintf(stderr, "generate: %s (generate --help)\n", failure.text);
        return 2;
    }
    if (!request.pre_width) {
        request.pre_width = request.layout.width;
        request.pre_height = request.layout.height;
    }
    if (generate(&request, &failure) == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "generate: %s\n", failure.text);
    return EXIT_FAILURE;
}
