/* See joint.h. Everything but the cells' equations is done by one thread, and they are added up in
 * the cells' order: the same bytes whatever the number of threads. */
#include "worker/align/joint.h"

#include "worker/align/feature.h"
#include "worker/align/joint_blur.h"
#include "worker/align/joint_common.h"
#include "worker/align/joint_equations.h"
#include "worker/align/joint_tone.h"
#include "worker/align/parallel.h"
#include "worker/align/sample.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>

const double joint_needless_px = 0.2;

enum {
    MOST_PIXELS = 800000, /* of a reduced image (common/footprint.c) */
    MOST_PITCH = 8, /* full-resolution px of theirs: more shows too little (common/footprint.c) */
    LEAST_CELL_PX = 12, /* of them */
    LEAST_CELLS = 24,
    MOST_ITERATIONS = 24,
    ANNEALED = 6,    /* iterations, until the weights are as strict as they get */
    MATCH_EVERY = 3, /* of them the blur is matched, */
    MATCH_UNTIL = 9, /* up to this one */
};

/* px of the reduced images. */
static const double SMOOTH_PX = 1;        /* against noise, and the sampler's uneven blur */
static const double MORE_SMOOTH_PX = 2.5; /* against much of it, */
static const double BADLY_KNOWN_PX = 0.4; /* of the full image: when the map is known no better */
static const double ENERGY_PX = 2;        /* over which residuals are looked at together */
static const double LEAST_BLUR_PX = 0.2, MOST_BLUR_PX = 3; /* that one is blurred more, at a time */
static const double STANDS_STILL_PX = 0.004, LOST_PX = 16;
/* The mean squared residual nearby, in usual ones, that halves a pixel's weight: at first, while
 * the map is off, and in the end; and what a single pixel counts for in it, at most. */
static const double LENIENT = 6, STRICT = 2, MOST_ENERGY = 25;
static const double LEAST_OVERLAP = 0.15; /* smaller ones count as so much */
static const double RADIUS_SHARE = 0.95;

struct joint {
    const struct joint_request *request;
    int n_parameters;
    double smooth_px;
    struct thumbnail fixed, moving;
    struct tiles_grid grid;
    struct joint_equations *cells;
    struct joint_frame frame;
    size_t n_pixels; /* of fixed, as of these */
    float *moved, *weight;
    uint16_t *common;
    unsigned char *covered, *mask;
    struct joint_bands bands;
    double common_first, common_sum; /* of all pixels, at first and as it is */
    struct joint_tone tone;
    struct map map; /* between the reduced images */
};

static void close_buffers(struct joint *joint) {
    tracked_free(joint->moved);
    tracked_free(joint->common);
    tracked_free(joint->covered);
    joint_bands_free(&joint->bands);
    joint->moved = NULL;
    joint->common = NULL;
    joint->covered = NULL;
}

static void joint_cleanup(struct joint *joint) {
    thumbnail_free(&joint->fixed);
    thumbnail_free(&joint->moving);
    tiles_free(&joint->grid);
    tracked_free(joint->cells);
    close_buffers(joint);
}

static struct map reduced_map(const struct joint *joint, const struct map *full) {
    struct map to = thumbnail_to_full(&joint->fixed), from = thumbnail_from_full(&joint->moving);
    struct map half = map_compose(&to, full);
    return map_compose(&half, &from);
}

static struct map full_map(const struct joint *joint, const struct map *reduced) {
    struct map from = thumbnail_from_full(&joint->fixed), to = thumbnail_to_full(&joint->moving);
    struct map half = map_compose(&from, reduced), full = map_compose(&half, &to);
    double weight = full.h[8];
    for (int i = 0; i < 9; i++)
        full.h[i] /= weight;
    return full;
}

static int load(const struct joint *joint, const char *which, const struct survey *survey,
                double pitch, double smooth_px, struct thumbnail *ret, struct failure *failure) {
    int r = thumbnail_load(joint->request->context, which, survey, pitch, ret, failure);
    if (r < 0)
        return r;
    feature_tone(survey, ret->pixels, (size_t)ret->width * (size_t)ret->height);
    return bridge_blur(ret->pixels, ret->width, ret->height, smooth_px, ret->pixels, failure);
}

/* The larger image's has so many pixels, at most. The full resolution is not reduced by less than a
 * level: all of it would have to be in memory. */
static double pitch_of(const struct joint_request *request) {
    const struct pyramid_layout *pre = &request->pre->layout, *post = &request->post->layout;
    double most = fmax((double)pre->width * pre->height, (double)post->width * post->height);
    return most <= MOST_PIXELS ? 1 : fmax(2, sqrt(most / MOST_PIXELS));
}

static int load_both(struct joint *joint, const struct map *start, struct failure *failure) {
    const struct joint_request *request = joint->request;
    double middle_x = request->post->layout.width / 2.0;
    double middle_y = request->post->layout.height / 2.0;
    double magnification = sqrt(fabs(map_det(start, middle_x, middle_y)));
    double pitch = pitch_of(request);
    if (pitch > MOST_PITCH)
        return -ENODATA;
    int r = load(joint, "post", request->post, pitch, joint->smooth_px, &joint->fixed, failure);
    if (r == 0)
        r = load(joint, "pre", request->pre, pitch, joint->smooth_px * magnification,
                 &joint->moving, failure);
    if (r < 0)
        return r;
    int width = joint->fixed.width, height = joint->fixed.height;
    joint->n_pixels = (size_t)width * (size_t)height;
    joint->frame =
        (struct joint_frame){(width - 1) / 2.0, (height - 1) / 2.0, fmax(width, height) / 2};
    joint->map = reduced_map(joint, start);
    return 0;
}

/* A cell's pixels of the reduced image. */
struct box {
    int left, top, right, bottom;
};

static struct box box_of(const struct joint *joint, const struct tiles_cell *cell) {
    double pitch = joint->fixed.pitch;
    struct box box = {(int)(cell->x / pitch), (int)(cell->y / pitch),
                      (int)((cell->x + joint->grid.size) / pitch),
                      (int)((cell->y + joint->grid.size) / pitch)};
    /* inside by a pixel, for the gradient */
    box.left = box.left > 1 ? box.left : 1;
    box.top = box.top > 1 ? box.top : 1;
    box.right = box.right < joint->fixed.width - 1 ? box.right : joint->fixed.width - 1;
    box.bottom = box.bottom < joint->fixed.height - 1 ? box.bottom : joint->fixed.height - 1;
    return box;
}

static int choose_cells(const struct joint *joint, const struct map *start, bool with_empty,
                        struct tiles_grid *ret, struct failure *failure) {
    const struct joint_request *request = joint->request;
    const struct transform transform = {.map = *start};
    const struct tiles_choice choice = {.size = request->tile_px,
                                        .with_empty = with_empty,
                                        .most_tiles = SIZE_MAX,
                                        .transform = &transform};
    return tiles_choose(request->texture, request->pre, request->post, &choice, ret, failure);
}

static int open_buffers(struct joint *joint) {
    size_t n = joint->n_pixels;
    joint->moved = tracked_alloc(2 * n, sizeof(*joint->moved), "joint");
    joint->common = tracked_alloc(n, sizeof(*joint->common), "joint");
    joint->covered = tracked_alloc(2 * n, sizeof(*joint->covered), "joint");
    if (!joint->moved || !joint->common || !joint->covered)
        return -ENODATA;
    joint->weight = joint->moved + n;
    joint->mask = joint->covered + n;
    return joint_bands_open(joint->fixed.width, joint->fixed.height, &joint->bands);
}

/* And the mask of their pixels. -ENODATA: there are too few. */
static int open_cells(struct joint *joint, const struct map *start, struct failure *failure) {
    int r = choose_cells(joint, start, true, &joint->grid, failure);
    if (r < 0)
        return r;
    if (joint->request->parity != TILES_BOTH)
        tiles_keep(&joint->grid, joint->request->parity);
    joint->cells = tracked_alloc(joint->grid.count + 1, sizeof(*joint->cells), "joint");
    if (!joint->cells || joint->grid.count < LEAST_CELLS)
        return -ENODATA;
    for (size_t i = 0; i < joint->grid.count; i++) {
        struct box box = box_of(joint, &joint->grid.cells[i]);
        for (int y = box.top; y < box.bottom; y++)
            for (int x = box.left; x < box.right; x++)
                joint->mask[(size_t)y * (size_t)joint->fixed.width + (size_t)x] = 1;
    }
    return 0;
}

static void resample(struct joint *joint) {
    const struct thumbnail *moving = &joint->moving;
    struct sample_block block = {moving->pixels, 0, 0, moving->width, moving->height};
    float *inside = joint->bands.rows[0];
    for (int y = 0; y < joint->fixed.height; y++) {
        struct sample_window row = {0, y, joint->fixed.width, 1};
        size_t first = (size_t)y * (size_t)row.width;
        sample_cubic(&block, &joint->map, &row, joint->moved + first, inside);
        for (size_t x = 0; x < (size_t)row.width; x++)
            joint->covered[first + x] = inside[x] > 0 && joint->mask[first + x];
    }
}

static int find_common(struct joint *joint, bool inverted, enum joint_common_kind kind,
                       double *ret_sum, struct failure *failure) {
    const struct joint_common_images images = {joint->fixed.pixels, joint->moved, joint->covered,
                                               inverted};
    return joint_common_find(&joint->bands, &images, kind, joint->common, ret_sum, failure);
}

static float common_at(const struct joint *joint, size_t i) {
    return (float)joint->common[i] / JOINT_COMMON_ONE;
}

/* half: the energy that halves the weight. */
static int weigh(struct joint *joint, double half, struct failure *failure) {
    float most = (float)MOST_ENERGY, scale = 1 / (float)half;
    for (int y = 0; y < joint->fixed.height; y += JOINT_BAND_ROWS) {
        struct joint_band band = joint_bands_at(&joint->bands, y, ENERGY_PX);
        float *energies = joint->bands.rows[0];
        for (size_t i = 0; i < band.n_wide; i++) {
            size_t k = band.first_wide + i;
            struct joint_tone_point at = joint_tone_look(&joint->tone, joint->moved[k]);
            float misfit = (joint->fixed.pixels[k] - at.value) / at.deviation;
            float energy = misfit * misfit < most ? misfit * misfit : most;
            energies[i] = joint->covered[k] ? energy : 1;
        }
        int r = joint_bands_blur(&joint->bands, &band, 1, failure);
        if (r < 0)
            return r;
        for (size_t i = 0; i < band.n; i++) {
            size_t k = band.first + i;
            float ratio = scale * energies[band.n_above + i];
            joint->weight[k] = joint->covered[k] ? common_at(joint, k) / (1 + ratio * ratio) : 0;
        }
    }
    return 0;
}

static int gather_cell(void *opaque, int thread, size_t item, struct failure *failure) {
    (void)thread;
    (void)failure; /* nothing in it can fail */
    struct joint *joint = opaque;
    struct joint_equations *equations = &joint->cells[item];
    ptrdiff_t width = joint->fixed.width;
    struct box box = box_of(joint, &joint->grid.cells[item]);
    *equations = (struct joint_equations){0};
    for (int y = box.top; y < box.bottom; y++)
        for (int x = box.left; x < box.right; x++) {
            ptrdiff_t i = y * width + x;
            const float *g = joint->moved + i;
            const unsigned char *covered = joint->covered + i;
            if (!covered[0] || !covered[-1] || !covered[1] || !covered[-width] || !covered[width])
                continue;
            struct joint_tone_point at = joint_tone_look(&joint->tone, g[0]);
            const struct joint_pixel pixel = {.x = x,
                                              .y = y,
                                              .gradient_x = at.gain * (g[1] - g[-1]) / 2,
                                              .gradient_y = at.gain * (g[width] - g[-width]) / 2,
                                              .residual = joint->fixed.pixels[i] - at.value,
                                              .weight =
                                                  joint->weight[i] / (at.deviation * at.deviation)};
            joint_equations_add_pixel(&joint->frame, &pixel, equations);
        }
    return 0;
}

/* What stands around every edge for the blur alone would count as misfit there. */
static int match_blur(struct joint *joint, struct failure *failure) {
    const struct joint_blur_images images = {joint->fixed.pixels, joint->moved,
                                             joint->weight,       joint->covered,
                                             joint->fixed.width,  joint->fixed.height};
    double variance = joint_blur_difference(&images, &joint->tone);
    double blur_px = fmin(sqrt(fabs(variance)), MOST_BLUR_PX);
    if (blur_px < LEAST_BLUR_PX)
        return 0;
    struct thumbnail *sharper = variance > 0 ? &joint->moving : &joint->fixed;
    if (variance > 0)
        blur_px *= sqrt(fabs(map_det(&joint->map, joint->frame.x, joint->frame.y)));
    return bridge_blur(sharper->pixels, sharper->width, sharper->height, blur_px, sharper->pixels,
                       failure);
}

/* How far it moves the farthest corner, reduced px. */
static double reach_of(const struct joint *joint, const struct map *correction) {
    double farthest = 0;
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? joint->fixed.width - 1 : 0;
        double y = corner & 2 ? joint->fixed.height - 1 : 0;
        struct map_point p = map_apply(correction, x, y);
        farthest = fmax(farthest, hypot(p.x - x, p.y - y));
    }
    return farthest;
}

/* Weights, tone, equations, step; *ret_px: how far it went. -ENODATA: nowhere. */
static int step(struct joint *joint, int iteration, double *ret_px, struct failure *failure) {
    const struct joint_tone_pixels pixels = {joint->fixed.pixels, joint->moved, joint->weight,
                                             joint->n_pixels};
    resample(joint);
    double sum;
    int r = 0;
    if (iteration == 0 || iteration == ANNEALED) /* to speak for the map */
        r = find_common(joint, false, JOINT_COMMON_CLEAR, &joint->common_sum, failure);
    if (r == 0 && iteration <= ANNEALED && iteration % (ANNEALED / 2) == 0) /* for weights */
        r = find_common(joint, false, JOINT_COMMON_ANY, &sum, failure);
    if (r < 0)
        return r;
    if (iteration == 0) {
        joint->common_first = joint->common_sum;
        for (size_t i = 0; i < joint->n_pixels; i++)
            joint->weight[i] = joint->covered[i] ? common_at(joint, i) : 0;
        joint_tone_begin(&pixels, &joint->tone);
        if (joint->tone.count < 2)
            return -ENODATA;
    }
    double along = fmin((double)iteration / ANNEALED, 1);
    r = weigh(joint, LENIENT * pow(STRICT / LENIENT, along), failure);
    if (r < 0)
        return r;
    joint_tone_again(&pixels, &joint->tone);
    r = parallel_run(joint->grid.count, joint->request->context->threads, gather_cell, joint,
                     failure);
    if (r == 0 && iteration > 0 && iteration <= MATCH_UNTIL && iteration % MATCH_EVERY == 0)
        r = match_blur(joint, failure);
    if (r < 0)
        return r;
    struct joint_equations all = {0};
    struct map correction;
    for (size_t i = 0; i < joint->grid.count; i++)
        joint_equations_add(&joint->cells[i], &all);
    if (!joint_equations_solve(&all, &joint->frame, joint->n_parameters, &correction))
        return -ENODATA;
    *ret_px = reach_of(joint, &correction);
    joint->map = map_compose(&correction, &joint->map);
    return *ret_px < LOST_PX ? 0 : -ENODATA;
}

/* --- how well it is known --- */

/* The corners of the frame and the middle of each cell, px of post. */
static void list_places(const struct joint *joint, const struct tiles_grid *grid,
                        struct map_point *ret) {
    double right = joint->request->post->layout.width - 1.0;
    double bottom = joint->request->post->layout.height - 1.0;
    const struct map_point corners[ERROR_BAR_CORNERS] = {
        {0, 0}, {right, 0}, {right, bottom}, {0, bottom}};
    for (int i = 0; i < ERROR_BAR_CORNERS; i++)
        *ret++ = corners[i];
    for (size_t i = 0; i < grid->count; i++)
        *ret++ = (struct map_point){grid->cells[i].x + (grid->size - 1) / 2.0,
                                    grid->cells[i].y + (grid->size - 1) / 2.0};
}

/* Distances in pre between where the map takes each place and where maps from drawn cells do: a row
 * of ERROR_BAR_ROUNDS for each place. Returns how many of these there are. */
static size_t draw_rounds(const struct joint *joint, const struct map_point *places,
                          size_t n_places, double *ret_px) {
    uint64_t state =
        0x9e3779b97f4a7c15ULL ^ ((uint64_t)joint->request->context->params->seed << 21);
    struct map map = full_map(joint, &joint->map);
    size_t n = 0;
    for (int round = 0; round < ERROR_BAR_ROUNDS; round++) {
        struct joint_equations sum = {0};
        struct map correction;
        for (size_t i = 0; i < joint->grid.count; i++) {
            size_t drawn = (fit_random(&state) >> 11) % joint->grid.count;
            joint_equations_add(&joint->cells[drawn], &sum);
        }
        if (!joint_equations_solve(&sum, &joint->frame, joint->n_parameters, &correction))
            continue;
        struct map reduced = map_compose(&correction, &joint->map);
        struct map moved = full_map(joint, &reduced);
        for (size_t i = 0; i < n_places; i++) {
            struct map_point p = map_apply(&map, places[i].x, places[i].y);
            struct map_point q = map_apply(&moved, places[i].x, places[i].y);
            ret_px[i * ERROR_BAR_ROUNDS + n] = hypot(p.x - q.x, p.y - q.y);
        }
        n++;
    }
    return n;
}

static int find_bar(const struct joint *joint, const struct map *start, struct error_bar *ret,
                    struct failure *failure) {
    CLEANUP(tiles_free) struct tiles_grid textured = {0};
    int r = choose_cells(joint, start, false, &textured, failure);
    if (r < 0)
        return r;
    size_t n_places = textured.count + ERROR_BAR_CORNERS;
    CLEANUP_TRACKED struct map_point *places = tracked_alloc(n_places, sizeof(*places), "joint");
    CLEANUP_TRACKED double *distances_px =
        tracked_alloc(n_places * ERROR_BAR_ROUNDS, sizeof(*distances_px), "joint");
    if (!places || !distances_px)
        return -ENODATA;
    list_places(joint, &textured, places);
    size_t rounds = draw_rounds(joint, places, n_places, distances_px);
    if (rounds < ERROR_BAR_ROUNDS / 2)
        return -ENODATA;
    struct error_bar bar = {.tiles = (int)joint->grid.count};
    for (size_t i = 0; i < n_places; i++) {
        double *row = distances_px + i * ERROR_BAR_ROUNDS;
        double radius_px = fit_quantile(row, rounds, RADIUS_SHARE);
        if (i < ERROR_BAR_CORNERS)
            bar.corners_px[i] = radius_px;
        else
            bar.tissue_px = fmax(bar.tissue_px, radius_px);
    }
    *ret = bar;
    return 0;
}

static enum fit_model highest_model(const struct params *params) {
    switch (params->model) {
    case PARAMS_MODEL_SIMILARITY:
        return FIT_SIMILARITY;
    case PARAMS_MODEL_AFFINE:
    case PARAMS_MODEL_GRID:
        return FIT_AFFINE;
    case PARAMS_MODEL_AUTO:
    case PARAMS_MODEL_HOMOGRAPHY:
    case PARAMS_MODEL_COUNT:
        break;
    }
    return FIT_HOMOGRAPHY;
}

static int fit_smoothed(const struct joint_request *request, const struct map *start,
                        double smooth_px, struct joint_map *ret, struct failure *failure) {
    enum fit_model model = highest_model(request->context->params);
    CLEANUP(joint_cleanup)
    struct joint joint = {
        .request = request, .n_parameters = fit_parameters(model), .smooth_px = smooth_px};
    *ret = (struct joint_map){.map = *start, .model = model};
    int r = load_both(&joint, start, failure);
    if (r == 0)
        r = open_buffers(&joint);
    if (r == 0)
        r = open_cells(&joint, start, failure);
    double px = HUGE_VAL;
    for (int i = 0; i < MOST_ITERATIONS && r == 0 && (i <= MATCH_UNTIL || px > STANDS_STILL_PX);
         i++)
        r = step(&joint, i, &px, failure);
    close_buffers(&joint);
    if (r == 0)
        r = find_bar(&joint, start, &ret->bar, failure);
    if (r == 0)
        ret->map = full_map(&joint, &joint.map);
    ret->more_common = joint.common_first > 0 ? joint.common_sum / joint.common_first : 0;
    return r == -ENODATA || r == -ENOMEM ? 0 : r; /* no memory to spare: as without it */
}

int joint_fit(const struct joint_request *request, const struct map *start, struct joint_map *ret,
              struct failure *failure) {
    *ret = (struct joint_map){.map = *start};
    if (request->tile_px < LEAST_CELL_PX * pitch_of(request))
        return 0;
    int r = fit_smoothed(request, start, SMOOTH_PX, ret, failure);
    if (r < 0 || (ret->bar.tiles > 0 && ret->bar.tissue_px <= BADLY_KNOWN_PX))
        return r;
    struct joint_map smoother;
    r = fit_smoothed(request, start, MORE_SMOOTH_PX, &smoother, failure);
    if (r == 0 && smoother.bar.tiles > 0 &&
        (ret->bar.tiles == 0 || smoother.bar.tissue_px < ret->bar.tissue_px))
        *ret = smoother;
    return r;
}

int joint_compare(const struct joint_request *request, struct joint_rival *rivals, size_t count,
                  struct failure *failure) {
    CLEANUP(joint_cleanup) struct joint joint = {.request = request, .smooth_px = SMOOTH_PX};
    int r = count > 0 ? load_both(&joint, &rivals[0].map, failure) : -ENODATA;
    if (r == 0)
        r = open_buffers(&joint);
    for (size_t i = 0; i < joint.n_pixels && r == 0; i++)
        joint.mask[i] = 1;
    for (size_t i = 0; i < count; i++)
        rivals[i].common = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        double common = 0, covered = 0;
        joint.map = reduced_map(&joint, &rivals[i].map);
        resample(&joint);
        for (size_t k = 0; k < joint.n_pixels; k++)
            covered += joint.covered[k];
        r = find_common(&joint, rivals[i].inverted, JOINT_COMMON_CLEAR, &common, failure);
        rivals[i].common = common / fmax(covered, LEAST_OVERLAP * (double)joint.n_pixels);
    }
    return r == -ENODATA || r == -ENOMEM ? 0 : r;
}
