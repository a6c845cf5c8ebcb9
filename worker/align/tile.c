/* See tile.h. */
#include "worker/align/tile.h"

#include "worker/align/feature.h"
#include "worker/align/levels.h"
#include "worker/align/sample.h"
#include "worker/align/tile_equations.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum {
    PIXELS = TILE_MAX_SIZE * TILE_MAX_SIZE,
    MAX_BLOCK_SIDE = 640, /* of the moving image: a tile turned by 45 degrees, magnified twice */
    MAX_MARGIN = 16,      /* read around the fixed tile for the blur */
    PADDED = (TILE_MAX_SIZE + 2 * MAX_MARGIN) * (TILE_MAX_SIZE + 2 * MAX_MARGIN),
    LOBE_PX = 4, /* nearer maxima belong to the same peak */
    MAX_ITERATIONS = 12,
};

static const double SMOOTH_PX = 0.8; /* against noise, and against the sampler's uneven blur */
static const double LEAST_COVERED = 0.8;
static const double LEAST_DEVIATION = 1e-3; /* of the tone (0 to 1): less is flat */
static const double CONVERGED_PX = 1e-3;
/* Gauss-Newton may leave the peak by this much, or so many times the blur. */
static const double FARTHEST_STEP_PX = 1.5, FARTHEST_STEP_BLURS = 1.25;
static const double BAND_SHARE = 0.35; /* of the sampling rate: the correlation's upper end */
/* No tile is believed better than this (px), however sharp it looks. */
static const double LEAST_SIGMA_PX = 0.03;
/* How far a tile is expected from where the map puts it, when it is not searched for. */
static const double STAY_SIGMA_PX = 2;

struct tile_bench {
    const struct tile_pair *pair;
    struct pyramid *pre, *post;
    float *fixed, *moving, *weight, *window, *robust; /* PIXELS each */
    float *spectrum;                                  /* 2 * PIXELS */
    float *padded;                                    /* the fixed tile and what is around it */
    float *block;                                     /* of the moving image */
    size_t block_count;
    int window_size; /* that `window` was made for */
};

void tile_bench_close(struct tile_bench *bench) {
    if (!bench)
        return;
    pyramid_close(bench->pre);
    pyramid_close(bench->post);
    tracked_free(bench->fixed);
    tracked_free(bench->moving);
    tracked_free(bench->weight);
    tracked_free(bench->window);
    tracked_free(bench->robust);
    tracked_free(bench->padded);
    tracked_free(bench->spectrum);
    tracked_free(bench->block);
    free(bench);
}

static void bench_cleanup(struct tile_bench **bench) { tile_bench_close(*bench); }

int tile_bench_open(const struct tile_pair *pair, struct tile_bench **ret,
                    struct failure *failure) {
    CLEANUP(bench_cleanup) struct tile_bench *bench = calloc(1, sizeof(*bench));
    if (!bench)
        return failure_set(failure, -ENOMEM, "no memory for tiles");
    bench->pair = pair;
    bench->fixed = tracked_alloc(PIXELS, sizeof(float), "tiles");
    bench->moving = tracked_alloc(PIXELS, sizeof(float), "tiles");
    bench->weight = tracked_alloc(PIXELS, sizeof(float), "tiles");
    bench->window = tracked_alloc(PIXELS, sizeof(float), "tiles");
    bench->robust = tracked_alloc(PIXELS, sizeof(float), "tiles");
    bench->padded = tracked_alloc(PADDED, sizeof(float), "tiles");
    bench->spectrum = tracked_alloc(2 * PIXELS, sizeof(float), "tiles");
    if (!bench->fixed || !bench->moving || !bench->weight || !bench->window || !bench->robust ||
        !bench->padded || !bench->spectrum)
        return failure_set(failure, -ENOMEM, "no memory for tiles");
    int r = levels_open(pair->context, "pre", pair->pre, pair->with_images, pair->cache_bytes,
                        &bench->pre, failure);
    if (r == 0)
        r = levels_open(pair->context, "post", pair->post, pair->with_images, pair->cache_bytes,
                        &bench->post, failure);
    if (r < 0)
        return r;
    *ret = STEAL_PTR(bench);
    return 0;
}

static double smooth_of(const struct tile_request *request) {
    return request->look.smooth_px > 0 ? request->look.smooth_px : SMOOTH_PX;
}

static double farthest_step(const struct tile_request *request) {
    return fmax(FARTHEST_STEP_PX, FARTHEST_STEP_BLURS * smooth_of(request));
}

/* The tile, blurred together with what is around it: no edge of its own. */
static int load_fixed(struct tile_bench *bench, const struct tile_request *request,
                      struct failure *failure) {
    struct pyramid_size level = pyramid_level_size(&bench->pair->post->layout, request->level);
    int margin = (int)fmin(ceil(3 * smooth_of(request)), MAX_MARGIN), size = request->size;
    int left = request->x > margin ? request->x - margin : 0;
    int top = request->y > margin ? request->y - margin : 0;
    int right = request->x + size + margin, bottom = request->y + size + margin;
    right = right < level.width ? right : level.width;
    bottom = bottom < level.height ? bottom : level.height;
    struct pyramid_region region = {request->level, left, top, right - left, bottom - top};
    int r = pyramid_read(bench->post, &region, bench->padded, failure);
    if (r < 0)
        return r;
    feature_tone(bench->pair->post, bench->padded, (size_t)region.width * (size_t)region.height);
    r = bridge_blur(bench->padded, region.width, region.height, smooth_of(request), bench->padded,
                    failure);
    for (int y = 0; y < size && r == 0; y++) {
        ptrdiff_t from = (ptrdiff_t)(request->y - top + y) * region.width + request->x - left;
        memcpy(bench->fixed + (ptrdiff_t)y * size, bench->padded + from,
               (size_t)size * sizeof(float));
    }
    return r;
}

/* Reads the part of the moving image that the tile can need, cut to the image. *ret_block is left
 * without pixels when there is none, or more than a sane map asks for. */
static int load_moving(struct tile_bench *bench, const struct tile_request *request,
                       const struct map *map, struct sample_block *ret_block,
                       struct failure *failure) {
    struct sample_window window = {request->x, request->y, request->size, request->size};
    double magnification = sqrt(
        fabs(map_det(map, request->x + request->size / 2.0, request->y + request->size / 2.0)));
    double blur = magnification * smooth_of(request);
    double margin = magnification * (request->reach_px + farthest_step(request)) + 3 * blur;
    struct sample_window reach = sample_reach(map, &window, margin);
    struct pyramid_size size = pyramid_level_size(&bench->pair->pre->layout, request->level);
    int left = reach.x > 0 ? reach.x : 0, top = reach.y > 0 ? reach.y : 0;
    int right = reach.x + reach.width < size.width ? reach.x + reach.width : size.width;
    int bottom = reach.y + reach.height < size.height ? reach.y + reach.height : size.height;
    *ret_block = (struct sample_block){NULL, left, top, right - left, bottom - top};
    if (right - left < 8 || bottom - top < 8 || right - left > MAX_BLOCK_SIDE ||
        bottom - top > MAX_BLOCK_SIDE)
        return 0;
    size_t count = (size_t)(right - left) * (size_t)(bottom - top);
    if (count > bench->block_count) {
        tracked_free(bench->block);
        bench->block = tracked_alloc(count, sizeof(float), "tiles");
        bench->block_count = bench->block ? count : 0;
        if (!bench->block)
            return failure_set(failure, -ENOMEM, "no memory for a tile of %zu px", count);
    }
    struct pyramid_region region = {request->level, left, top, right - left, bottom - top};
    int r = pyramid_read(bench->pre, &region, bench->block, failure);
    if (r < 0)
        return r;
    feature_tone(bench->pair->pre, bench->block, count);
    r = bridge_blur(bench->block, region.width, region.height, blur, bench->block, failure);
    ret_block->pixels = bench->block;
    return r;
}

/* The moving image on the tile's pixels, shifted; returns the share of it that is covered. */
static double sample_shifted(struct tile_bench *bench, const struct tile_request *request,
                             const struct map *map, const struct sample_block *block, double dx,
                             double dy) {
    struct map shift = {{1, 0, dx, 0, 1, dy, 0, 0, 1}};
    struct map shifted = map_compose(&shift, map);
    struct sample_window window = {request->x, request->y, request->size, request->size};
    size_t covered = sample_cubic(block, &shifted, &window, bench->moving, bench->weight);
    return (double)covered / ((double)request->size * request->size);
}

static void make_window(struct tile_bench *bench, int size) {
    if (bench->window_size == size)
        return;
    bench->window_size = size;
    for (size_t i = 0; i < (size_t)size * (size_t)size; i++)
        bench->window[i] = 1;
    feature_taper(bench->window, size, size, size / 3);
}

static bool is_flat(const struct tile_moments *m) {
    double least = LEAST_DEVIATION * LEAST_DEVIATION;
    return m->fixed_power < least || m->moving_power < least;
}

/* Both images were transformed at once, as real and imaginary part: Z(k) = F(k) + i G(k), and real
 * images have F(-k) = conj F(k). Replaces Z by the half-whitened conj(F) G, low-passed. */
static void cross_spectrum(float *z, int size) {
    for (int y = 0; y <= size / 2; y++)
        for (int x = 0; x < size; x++) {
            int minus_x = x ? size - x : 0, minus_y = y ? size - y : 0;
            if (y == minus_y && x > minus_x)
                continue; /* done as the other one's partner */
            float *a = z + 2 * ((size_t)y * (size_t)size + (size_t)x);
            float *b = z + 2 * ((size_t)minus_y * (size_t)size + (size_t)minus_x);
            float f_re = (a[0] + b[0]) / 2, f_im = (a[1] - b[1]) / 2;
            float g_re = (a[1] + b[1]) / 2, g_im = (b[0] - a[0]) / 2;
            float magnitude = sqrtf(hypotf(f_re, f_im) * hypotf(g_re, g_im));
            double fx = (x < size - x ? x : size - x) / (double)size / BAND_SHARE;
            double fy = y / (double)size / BAND_SHARE;
            float weight = magnitude > 1e-9F ? (float)exp(-2 * (fx * fx + fy * fy)) / magnitude : 0;
            float re = weight * (f_re * g_re + f_im * g_im);
            float im = weight * (f_re * g_im - f_im * g_re);
            a[0] = re, a[1] = im;
            b[0] = re, b[1] = -im;
        }
}

struct correlation_peak {
    double x, y, ratio;
    int next_x, next_y; /* the next peak */
};

static float correlation_at(const float *z, int size, int x, int y) {
    int column = (x + size) % size, row = (y + size) % size;
    return z[2 * ((size_t)row * (size_t)size + (size_t)column)];
}

static double parabola(double before, double at, double after) {
    double curvature = before - 2 * at + after;
    return curvature < -1e-12 ? fmax(-0.5, fmin(0.5, (before - after) / (2 * curvature))) : 0;
}

static struct correlation_peak find_peak(const float *z, int size, int reach) {
    float best = -HUGE_VALF, second = 0;
    int at_x = 0, at_y = 0, next_x = 0, next_y = 0;
    for (int y = -reach; y <= reach; y++)
        for (int x = -reach; x <= reach; x++) {
            float value = correlation_at(z, size, x, y);
            if (value > best) {
                best = value;
                at_x = x;
                at_y = y;
            }
        }
    for (int y = -reach; y <= reach; y++)
        for (int x = -reach; x <= reach; x++)
            if ((abs(x - at_x) > LOBE_PX || abs(y - at_y) > LOBE_PX) &&
                correlation_at(z, size, x, y) > second) {
                second = correlation_at(z, size, x, y);
                next_x = x;
                next_y = y;
            }
    return (struct correlation_peak){at_x + parabola(correlation_at(z, size, at_x - 1, at_y), best,
                                                     correlation_at(z, size, at_x + 1, at_y)),
                                     at_y + parabola(correlation_at(z, size, at_x, at_y - 1), best,
                                                     correlation_at(z, size, at_x, at_y + 1)),
                                     best > 0 ? best / fmaxf(second, 1e-6F * best) : 0, next_x,
                                     next_y};
}

/* The whole-tile correlation: where to start Gauss-Newton. false: one of the two is flat. */
static int correlate(struct tile_bench *bench, const struct tile_request *request,
                     struct correlation_peak *ret, bool *ret_flat, struct failure *failure) {
    int size = request->size;
    size_t count = (size_t)size * (size_t)size;
    make_window(bench, size);
    for (size_t i = 0; i < count; i++)
        bench->weight[i] *= bench->window[i];
    struct tile_moments m = tile_tone_moments(bench->fixed, bench->moving, bench->weight, count);
    *ret_flat = is_flat(&m);
    if (*ret_flat)
        return 0;
    float *z = bench->spectrum;
    for (size_t i = 0; i < count; i++) {
        z[2 * i] = bench->window[i] * (float)((bench->fixed[i] - m.fixed_mean));
        z[2 * i + 1] = bench->weight[i] * (float)((bench->moving[i] - m.moving_mean));
    }
    int r = bridge_dft(z, size, size, false, failure);
    if (r < 0)
        return r;
    cross_spectrum(z, size);
    r = bridge_dft(z, size, size, true, failure);
    if (r == 0)
        *ret = find_peak(z, size, request->reach_px);
    return r;
}

/* The peak alone: good to about a pixel. */
static void trust_peak(const struct correlation_peak *peak, struct tile_shift *ret) {
    ret->measured = true;
    ret->dx = peak->x;
    ret->dy = peak->y;
    ret->info_xx = ret->info_yy = 1;
    ret->info_xy = 0;
}

/* Gauss-Newton from the correlation's peak, or from where the map puts the tile. */
static void polish(struct tile_bench *bench, const struct tile_request *request,
                   const struct map *map, const struct sample_block *block,
                   const struct correlation_peak *start, struct tile_shift *ret) {
    double dx = start->x, dy = start->y;
    double farthest = request->stay ? request->reach_px : farthest_step(request);
    const struct tile_images images = {bench->fixed, bench->moving, bench->weight, bench->robust,
                                       request->size};
    struct tile_equations n = {0};
    struct tile_tone tone = {0};
    bool sound = true;
    for (int i = 0; i < MAX_ITERATIONS && sound; i++) {
        double step_x = 0, step_y = 0;
        bool is_sampled = i == 0 && request->stay; /* by load_both */
        if (!is_sampled && sample_shifted(bench, request, map, block, dx, dy) < LEAST_COVERED)
            return;
        n = tile_equations_gather(&images, request->look.bent, &tone);
        struct tile_equations all =
            request->stay ? tile_equations_expect(n, STAY_SIGMA_PX, dx, dy) : n;
        sound = tile_equations_solve(&all, &step_x, &step_y) &&
                hypot(dx + step_x - start->x, dy + step_y - start->y) < farthest;
        if (!sound)
            break;
        dx += step_x;
        dy += step_y;
        if (hypot(step_x, step_y) < CONVERGED_PX && i > 1)
            break;
    }
    struct tile_moments m = tile_tone_moments(bench->fixed, bench->moving, bench->weight,
                                              (size_t)request->size * (size_t)request->size);
    if (is_flat(&m) || (n.xx == 0 && n.yy == 0) || (request->stay && !sound))
        return;
    ret->measured = true;
    ret->settled = sound;
    ret->correlation = m.product / sqrt(m.fixed_power * m.moving_power);
    ret->covariance = m.product;
    ret->dx = dx;
    ret->dy = dy;
    struct tile_information info = tile_equations_information(&n, LEAST_SIGMA_PX);
    ret->info_xx = info.xx;
    ret->info_xy = info.xy;
    ret->info_yy = info.yy;
    if (!sound)
        trust_peak(start, ret);
}

/* Both images on the tile's pixels, the moving one where the map puts it. */
static int load_both(struct tile_bench *bench, const struct tile_request *request,
                     const struct map *map, struct sample_block *ret_block, bool *ret_covered,
                     struct failure *failure) {
    *ret_covered = false;
    int r = load_moving(bench, request, map, ret_block, failure);
    if (r < 0 || !ret_block->pixels)
        return r;
    r = load_fixed(bench, request, failure);
    if (r == 0)
        *ret_covered = sample_shifted(bench, request, map, ret_block, 0, 0) >= LEAST_COVERED;
    return r;
}

int tile_measure(struct tile_bench *bench, const struct tile_request *request,
                 struct tile_shift *ret, struct failure *failure) {
    struct map map = map_at_levels(request->map, request->level, request->level);
    struct sample_block block;
    bool covered;
    *ret = (struct tile_shift){0};
    int r = load_both(bench, request, &map, &block, &covered, failure);
    if (r < 0 || !covered)
        return r;
    tile_parts_structure(bench->fixed, request->size, ret->fixed_structure);
    tile_parts_structure(bench->moving, request->size, ret->moving_structure);
    struct correlation_peak peak = {0};
    if (request->stay) {
        polish(bench, request, &map, &block, &peak, ret);
        return 0;
    }
    bool flat = true;
    r = correlate(bench, request, &peak, &flat, failure);
    if (r < 0 || flat)
        return r;
    ret->peak_ratio = peak.ratio;
    ret->next_dx = peak.next_x;
    ret->next_dy = peak.next_y;
    if (request->peak_only)
        trust_peak(&peak, ret);
    else
        polish(bench, request, &map, &block, &peak, ret);
    return 0;
}

int tile_measure_grain(struct tile_bench *bench, const struct tile_request *request,
                       struct tile_grains *ret, struct failure *failure) {
    struct map map = map_at_levels(request->map, request->level, request->level);
    struct sample_block block;
    bool covered;
    ret->count = 0;
    int r = load_both(bench, request, &map, &block, &covered, failure);
    if (r < 0 || !covered)
        return r;
    const struct tile_grain_images images = {
        {bench->fixed, bench->moving},
        {bench->spectrum, bench->spectrum + PIXELS, bench->robust},
        request->size};
    return tile_grain_take(&images, ret, failure);
}
