/* See correlator.h. One Fourier transform serves two candidates: the moving image as it is in the
 * real part and its mirror image in the imaginary part, since correlation is linear. Contrast that
 * is inverted shows as a deep minimum of the same correlation. */
#include "worker/align/correlator.h"

#include "worker/align/parallel.h"
#include "worker/align/sample.h"
#include "worker/align/surface.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    TAPER_SHARE = 18, /* of the thumbnail's longest side */
    FIRST_REACH = 3,  /* px: a turn about another centre shifts */
    NEXT_REACH = 2,
    LANES = 8, /* sums side by side, which the compiler makes a vector of */
};

static const double LEAST_NORM = 1e-9; /* an empty canvas must not divide by zero */
static const double PI = 3.14159265358979323846;
static const double LEAST_POWER = 1e-3; /* of a feature, per pixel: less is a blank image */

struct correlator {
    struct thumbnail fixed, moving; /* features, whitened */
    int size;                       /* of the canvas, px a side */
    int left, top;                  /* of the fixed image on it */
    int threads;
    float *spectrum; /* of the fixed image, whitened, complex */
    double spectrum_norm, fixed_norm;
    float *canvases[PARALLEL_MAX_THREADS]; /* two for each thread, one behind the other */
};

void correlator_close(struct correlator *correlator) {
    if (!correlator)
        return;
    thumbnail_free(&correlator->fixed);
    thumbnail_free(&correlator->moving);
    tracked_free(correlator->spectrum);
    for (int i = 0; i < PARALLEL_MAX_THREADS; i++)
        tracked_free(correlator->canvases[i]);
    free(correlator);
}

static void correlator_cleanup(struct correlator **correlator) { correlator_close(*correlator); }

static float *second_canvas(const struct correlator *correlator, int thread) {
    return correlator->canvases[thread] + 2 * (size_t)correlator->size * (size_t)correlator->size;
}

/* --- features --- */

static int make_features(const struct survey *survey, const struct feature_scales *scales,
                         struct thumbnail *thumbnail, bool *ret_blank, struct failure *failure) {
    size_t count = (size_t)thumbnail->width * (size_t)thumbnail->height;
    CLEANUP_TRACKED float *scratch = tracked_alloc(count, sizeof(float), "features");
    if (!scratch)
        return failure_set(failure, -ENOMEM, "no memory for features");
    feature_tone(survey, thumbnail->pixels, count);
    int r = feature_local(thumbnail->pixels, thumbnail->width, thumbnail->height, scales, scratch,
                          failure);
    if (r < 0)
        return r;
    double power = 0;
    for (size_t i = 0; i < count; i++)
        power += (double)thumbnail->pixels[i] * thumbnail->pixels[i];
    *ret_blank = power < LEAST_POWER * (double)count;
    int longest = thumbnail->width > thumbnail->height ? thumbnail->width : thumbnail->height;
    feature_taper(thumbnail->pixels, thumbnail->width, thumbnail->height, longest / TAPER_SHARE);
    return 0;
}

/* Divides each coefficient by the root of its magnitude. */
static void half_whiten(float *spectrum, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float re = spectrum[2 * i], im = spectrum[2 * i + 1];
        float magnitude = sqrtf(re * re + im * im);
        float factor = magnitude > 1e-6F ? 1 / sqrtf(magnitude) : 0;
        spectrum[2 * i] = re * factor;
        spectrum[2 * i + 1] = im * factor;
    }
}

/* Whitens the image in place, by way of the middle of the canvas. The whitening of the moving image
 * turns with it, so once is enough. ret_spectrum may be NULL. */
static int whiten(const struct correlator *correlator, struct thumbnail *image, float *ret_spectrum,
                  struct failure *failure) {
    int size = correlator->size;
    size_t count = (size_t)size * (size_t)size;
    float *canvas = correlator->canvases[0];
    size_t width = (size_t)image->width, left = (size_t)(size - image->width) / 2;
    size_t first = (size_t)(size - image->height) / 2 * (size_t)size + left;
    memset(canvas, 0, 2 * count * sizeof(*canvas));
    for (size_t y = 0; y < (size_t)image->height; y++)
        for (size_t x = 0; x < width; x++)
            canvas[2 * (first + y * (size_t)size + x)] = image->pixels[y * width + x];
    int r = bridge_dft(canvas, size, size, false, failure);
    if (r < 0)
        return r;
    half_whiten(canvas, count);
    if (ret_spectrum)
        memcpy(ret_spectrum, canvas, 2 * count * sizeof(*canvas));
    r = bridge_dft(canvas, size, size, true, failure);
    for (size_t y = 0; y < (size_t)image->height; y++)
        for (size_t x = 0; x < width; x++)
            image->pixels[y * width + x] = canvas[2 * (first + y * (size_t)size + x)];
    return r;
}

static double norm_of(const float *values, size_t count) {
    double power = 0;
    for (size_t i = 0; i < count; i++)
        power += (double)values[i] * values[i];
    return fmax(sqrt(power), LEAST_NORM);
}

/* The canvas holds the shifts that leave a quarter of the longest side in common; farther ones wrap
 * round and find little there. */
static int prepare(struct correlator *correlator, struct failure *failure) {
    int longest = 0;
    const int sides[] = {correlator->fixed.width, correlator->fixed.height,
                         correlator->moving.width, correlator->moving.height};
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        longest = sides[i] > longest ? sides[i] : longest;
    correlator->size = bridge_dft_size(longest * 7 / 4);
    correlator->left = (correlator->size - correlator->fixed.width) / 2;
    correlator->top = (correlator->size - correlator->fixed.height) / 2;
    size_t floats = 2 * (size_t)correlator->size * (size_t)correlator->size;
    correlator->spectrum = tracked_alloc(floats, sizeof(float), "spectrum");
    bool complete = correlator->size <= SURFACE_MAX_SIDE && correlator->spectrum;
    for (int i = 0; i < correlator->threads; i++) {
        correlator->canvases[i] = tracked_alloc(2 * floats, sizeof(float), "correlation canvas");
        complete &= correlator->canvases[i] != NULL;
    }
    if (!complete)
        return failure_set(failure, -ENOMEM, "no memory to correlate %d x %d px on %d threads",
                           correlator->size, correlator->size, correlator->threads);
    int r = whiten(correlator, &correlator->fixed, correlator->spectrum, failure);
    if (r == 0)
        r = whiten(correlator, &correlator->moving, NULL, failure);
    correlator->spectrum_norm = /* Parseval */
        norm_of(correlator->spectrum, floats) / correlator->size;
    correlator->fixed_norm =
        norm_of(correlator->fixed.pixels,
                (size_t)correlator->fixed.width * (size_t)correlator->fixed.height);
    return r;
}

int correlator_open(struct correlator_images *images, struct correlator **ret,
                    const char **ret_blank, struct failure *failure) {
    CLEANUP(correlator_cleanup) struct correlator *correlator = calloc(1, sizeof(*correlator));
    if (!correlator)
        return failure_set(failure, -ENOMEM, "no memory to correlate");
    correlator->threads = parallel_threads(images->threads);
    correlator->fixed = images->fixed;
    correlator->moving = images->moving;
    images->fixed.pixels = images->moving.pixels = NULL;
    bool pre_blank = false, post_blank = false;
    int r = make_features(images->pre, &images->scales, &correlator->moving, &pre_blank, failure);
    if (r == 0)
        r = make_features(images->post, &images->scales, &correlator->fixed, &post_blank, failure);
    if (r < 0)
        return r;
    *ret_blank = pre_blank ? "pre" : post_blank ? "post" : NULL;
    if (*ret_blank)
        return 0;
    r = prepare(correlator, failure);
    if (r == 0)
        *ret = STEAL_PTR(correlator);
    return r;
}

/* --- a turned image --- */

/* Canvas pixels to moving pixels, both about their centres, without shift. */
static struct map canvas_map(const struct correlator *correlator, double angle_rad, double scale,
                             bool mirrored) {
    struct map map = map_similarity(angle_rad, scale, 0, 0);
    if (mirrored)
        for (int i = 0; i < 3; i++)
            map.h[i] = -map.h[i];
    double centre_x = correlator->left + (correlator->fixed.width - 1) / 2.0;
    double centre_y = correlator->top + (correlator->fixed.height - 1) / 2.0;
    struct map_point p = map_apply(&map, centre_x, centre_y);
    map.h[2] = (correlator->moving.width - 1) / 2.0 - p.x;
    map.h[5] = (correlator->moving.height - 1) / 2.0 - p.y;
    return map;
}

/* The part of the canvas that the turned moving image can cover. */
static struct sample_window covered(const struct correlator *correlator, const struct map *map) {
    struct map back;
    struct sample_window window = {0, 0, correlator->moving.width, correlator->moving.height};
    struct sample_window all = {0, 0, correlator->size, correlator->size};
    if (!map_invert(map, &back))
        return all;
    window = sample_reach(&back, &window, 0);
    int right = window.x + window.width, bottom = window.y + window.height;
    window.x = window.x > 0 ? window.x : 0;
    window.y = window.y > 0 ? window.y : 0;
    window.width = (right < all.width ? right : all.width) - window.x;
    window.height = (bottom < all.height ? bottom : all.height) - window.y;
    return window;
}

/* Adds to one part (0 real, 1 imaginary) of an empty canvas; returns the norm. */
static double fill_part(const struct correlator *correlator, const struct map *map, int part,
                        float *canvas) {
    const struct thumbnail *moving = &correlator->moving;
    struct sample_block block = {moving->pixels, 0, 0, moving->width, moving->height};
    struct sample_window all = covered(correlator, map);
    double power = 0;
    float row[SURFACE_MAX_SIDE];
    for (int y = all.y; y < all.y + all.height; y++) {
        struct sample_window window = {all.x, y, all.width, 1};
        sample_linear(&block, map, &window, row);
        float *to = canvas + 2 * ((size_t)y * (size_t)correlator->size + (size_t)all.x) + part;
        for (int x = 0; x < all.width; x++) {
            to[2 * (size_t)x] = row[x];
            power += (double)row[x] * row[x];
        }
    }
    return fmax(sqrt(power), LEAST_NORM);
}

/* --- sweep --- */

/* What find_peaks looks at. */
struct spectrum {
    const float *values;
    double plain_norm, mirror_norm;
    double angle_rad, scale;
    bool turned; /* by 180 degrees: the spectrum is the conjugate, about pixel 0 */
};

/* Turned about pixel 0, the peak is moved so that it counts from the fixed image's centre. */
static struct correlator_pose to_pose(const struct correlator *correlator,
                                      const struct spectrum *spectrum,
                                      const struct surface_peak *peak, double norm) {
    struct correlator_pose pose = {.angle_rad = spectrum->angle_rad,
                                   .scale = spectrum->scale,
                                   .x = peak->x,
                                   .y = peak->y,
                                   .score = peak->value / (norm * correlator->spectrum_norm)};
    if (spectrum->turned) {
        int size = correlator->size;
        pose.angle_rad += PI;
        pose.x = surface_wrap(pose.x + 2 * correlator->left + correlator->fixed.width - 1, size);
        pose.y = surface_wrap(pose.y + 2 * correlator->top + correlator->fixed.height - 1, size);
    }
    return pose;
}

/* Times the conjugate of the fixed image's spectrum. */
static void multiply(const struct correlator *correlator, const struct spectrum *spectrum,
                     float *ret) {
    const float *fixed = correlator->spectrum, *from = spectrum->values;
    float sign = spectrum->turned ? -1 : 1;
    size_t count = (size_t)correlator->size * (size_t)correlator->size;
    for (size_t i = 0; i < count; i++) {
        float re = from[2 * i], im = sign * from[2 * i + 1];
        ret[2 * i] = re * fixed[2 * i] + im * fixed[2 * i + 1];
        ret[2 * i + 1] = im * fixed[2 * i] - re * fixed[2 * i + 1];
    }
}

static int find_peaks(const struct correlator *correlator, const struct spectrum *spectrum,
                      float *canvas, struct correlator_sweep *ret, struct failure *failure) {
    int size = correlator->size;
    multiply(correlator, spectrum, canvas);
    int r = bridge_dft(canvas, size, size, true, failure);
    if (r < 0)
        return r;
    struct surface surface = {.values = canvas, .size = size};
    surface_scan(&surface);
    /* i times the mirror image, conjugated, is minus i times its conjugate */
    float mirror_sign = spectrum->turned ? -1 : 1;
    struct surface_peak best = surface_find_peak(&surface, SURFACE_REAL, 1, NULL);
    struct surface_peak next = surface_find_peak(&surface, SURFACE_REAL, 1, &best);
    struct surface_peak least = surface_find_peak(&surface, SURFACE_REAL, -1, NULL);
    struct surface_peak mirrored =
        surface_find_peak(&surface, SURFACE_IMAGINARY, mirror_sign, NULL);
    ret->peaks[0] = to_pose(correlator, spectrum, &best, spectrum->plain_norm);
    ret->peaks[1] = to_pose(correlator, spectrum, &next, spectrum->plain_norm);
    ret->inverted = to_pose(correlator, spectrum, &least, spectrum->plain_norm);
    ret->inverted.inverted = true;
    ret->mirrored = to_pose(correlator, spectrum, &mirrored, spectrum->mirror_norm);
    ret->mirrored.mirrored = true;
    return 0;
}

int correlator_sweep(struct correlator *correlator, int thread, double angle_rad, double scale,
                     struct correlator_sweep *ret, struct correlator_sweep *ret_turned,
                     struct failure *failure) {
    float *values = correlator->canvases[thread], *canvas = second_canvas(correlator, thread);
    size_t floats = 2 * (size_t)correlator->size * (size_t)correlator->size;
    struct map plain = canvas_map(correlator, angle_rad, scale, false);
    struct map mirror = canvas_map(correlator, angle_rad, scale, true);
    memset(values, 0, floats * sizeof(*values));
    struct spectrum spectrum = {.values = values, .angle_rad = angle_rad, .scale = scale};
    spectrum.plain_norm = fill_part(correlator, &plain, 0, values);
    spectrum.mirror_norm = fill_part(correlator, &mirror, 1, values);
    int r = bridge_dft(values, correlator->size, correlator->size, false, failure);
    if (r == 0)
        r = find_peaks(correlator, &spectrum, canvas, ret, failure);
    spectrum.turned = true;
    if (r == 0 && ret_turned)
        r = find_peaks(correlator, &spectrum, canvas, ret_turned, failure);
    return r;
}

/* --- climb --- */

static float dot(const float *a, const float *b, int count) {
    float sums[LANES] = {0}, sum = 0;
    int whole = count / LANES * LANES;
    for (int i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++)
            sums[k] += a[i + k] * b[i + k];
    for (int i = whole; i < count; i++)
        sum += a[i] * b[i];
    for (int k = 0; k < LANES; k++)
        sum += sums[k];
    return sum;
}

/* The fixed image times the turned one, shifted; what lies beyond the canvas is zero. */
static double product(const struct correlator *correlator, const float *turned, int shift_x,
                      int shift_y) {
    const struct thumbnail *fixed = &correlator->fixed;
    int size = correlator->size, left = correlator->left + shift_x, top = correlator->top + shift_y;
    int from_x = left < 0 ? -left : 0, from_y = top < 0 ? -top : 0;
    int to_x = size - left < fixed->width ? size - left : fixed->width;
    int to_y = size - top < fixed->height ? size - top : fixed->height;
    double sum = 0;
    for (int y = from_y; y < to_y && from_x < to_x; y++)
        sum += dot(fixed->pixels + (size_t)y * (size_t)fixed->width + from_x,
                   turned + (size_t)(y + top) * (size_t)size + (left + from_x), to_x - from_x);
    return sum;
}

/* The pose with the best shift within reach. */
static struct correlator_pose try_pose(struct correlator *correlator, int thread,
                                       struct correlator_pose pose, int reach) {
    size_t size = (size_t)correlator->size;
    float *turned = correlator->canvases[thread];
    struct map map = canvas_map(correlator, pose.angle_rad, pose.scale, pose.mirrored);
    struct sample_window all = covered(correlator, &map);
    const struct thumbnail *moving = &correlator->moving;
    struct sample_block block = {moving->pixels, 0, 0, moving->width, moving->height};
    memset(turned, 0, size * size * sizeof(*turned));
    double power = 0;
    for (int y = all.y; y < all.y + all.height; y++) {
        struct sample_window window = {all.x, y, all.width, 1};
        float *row = turned + (size_t)y * size + (size_t)all.x;
        sample_linear(&block, &map, &window, row);
        power += dot(row, row, all.width);
    }
    double norm = fmax(sqrt(power), LEAST_NORM) * correlator->fixed_norm;
    struct correlator_pose best = {.score = -HUGE_VAL};
    for (int y = pose.y - reach; y <= pose.y + reach; y++)
        for (int x = pose.x - reach; x <= pose.x + reach; x++) {
            double score = product(correlator, turned, x, y) / norm * (pose.inverted ? -1 : 1);
            if (score > best.score) {
                best = pose;
                best.x = x;
                best.y = y;
                best.score = score;
            }
        }
    return best;
}

void correlator_climb(struct correlator *correlator, int thread,
                      const struct correlator_steps *steps, struct correlator_pose *pose) {
    struct correlator_pose best = try_pose(correlator, thread, *pose, FIRST_REACH);
    double angle_rad = steps->angle_rad, ratio = steps->scale_ratio;
    for (int round = 0; round < steps->rounds; round++) {
        struct correlator_pose centre = best;
        for (int i = -1; i <= 1; i++)
            for (int j = -1; j <= 1; j++) {
                struct correlator_pose next = centre;
                next.angle_rad += i * angle_rad;
                next.scale *= pow(ratio, j);
                bool allowed = fabs(remainder(next.angle_rad, 2 * PI)) <= steps->angle_limit_rad &&
                               next.scale >= steps->scale_min && next.scale <= steps->scale_max;
                if ((i == 0 && j == 0) || !allowed)
                    continue;
                next = try_pose(correlator, thread, next, NEXT_REACH);
                best = next.score > best.score ? next : best;
            }
        angle_rad /= 2;
        ratio = sqrt(ratio);
    }
    *pose = best;
}

/* --- poses and maps --- */

struct map correlator_map(const struct correlator *correlator, const struct correlator_pose *pose) {
    struct map shift = {
        {1, 0, correlator->left + pose->x, 0, 1, correlator->top + pose->y, 0, 0, 1}};
    struct map turn = canvas_map(correlator, pose->angle_rad, pose->scale, pose->mirrored);
    struct map small = map_compose(&shift, &turn);
    struct map in = thumbnail_from_full(&correlator->fixed);
    struct map up = thumbnail_to_full(&correlator->moving), half = map_compose(&in, &small);
    return map_compose(&half, &up);
}

struct correlator_pose correlator_pose(const struct correlator *correlator, const struct map *map) {
    struct map in = thumbnail_to_full(&correlator->fixed);
    struct map down = thumbnail_from_full(&correlator->moving);
    struct map half = map_compose(&in, map), small = map_compose(&half, &down);
    const double *h = small.h;
    bool mirrored = h[0] * h[4] - h[1] * h[3] < 0;
    double flip = mirrored ? -1 : 1;
    double c = (flip * h[0] + h[4]) / 2, s = (h[3] - flip * h[1]) / 2;
    struct correlator_pose pose = {
        .angle_rad = atan2(s, c), .scale = hypot(c, s), .mirrored = mirrored};
    /* where the moving image's centre lies in the fixed one */
    double centre_x = (correlator->fixed.width - 1) / 2.0;
    double centre_y = (correlator->fixed.height - 1) / 2.0;
    struct map back;
    if (map_invert(&small, &back)) {
        struct map_point p = map_apply(&back, (correlator->moving.width - 1) / 2.0,
                                       (correlator->moving.height - 1) / 2.0);
        pose.x = (int)lrint(fmax(-SURFACE_MAX_SIDE, fmin(SURFACE_MAX_SIDE, centre_x - p.x)));
        pose.y = (int)lrint(fmax(-SURFACE_MAX_SIDE, fmin(SURFACE_MAX_SIDE, centre_y - p.y)));
    }
    return pose;
}
