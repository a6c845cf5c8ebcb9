/* See sample.h. */
#include "worker/align/sample.h"

#include "common/vector.h"

#include <math.h>
#include <string.h>

enum { TAPS_BEFORE = 1, TAPS_AFTER = 2 };

/* Walks along one row of the window: the three linear forms of the map, one step in x. */
struct walk {
    double u, v, w;    /* numerators and denominator at the row's first pixel */
    double du, dv, dw; /* per pixel */
};

static struct walk begin_row(const struct map *map, double x, double y) {
    const double *h = map->h;
    struct walk walk = {h[0] * x + h[1] * y + h[2],
                        h[3] * x + h[4] * y + h[5],
                        h[6] * x + h[7] * y + h[8],
                        h[0],
                        h[3],
                        h[6]};
    if (walk.dw == 0) { /* affine along the row: divided once */
        walk.u /= walk.w, walk.v /= walk.w;
        walk.du /= walk.w, walk.dv /= walk.w;
        walk.w = 1;
    }
    return walk;
}

static inline struct map_point walk_at(const struct walk *walk, int step) {
    struct map_point p = {walk->u + step * walk->du, walk->v + step * walk->dv};
    if (walk->dw != 0) {
        double w = walk->w + step * walk->dw;
        p.x /= w;
        p.y /= w;
    }
    return p;
}

void sample_linear(const struct sample_block *block, const struct map *map,
                   const struct sample_window *window, float *ret) {
    for (int row = 0; row < window->height; row++) {
        struct walk walk = begin_row(map, window->x, window->y + row);
        float *to = ret + (size_t)row * (size_t)window->width;
        for (int column = 0; column < window->width; column++) {
            struct map_point p = walk_at(&walk, column);
            double x = p.x - block->x, y = p.y - block->y;
            to[column] = 0;
            if (!(x >= 0 && y >= 0 && x < block->width - 1 && y < block->height - 1))
                continue;
            int left = (int)x, top = (int)y;
            float a = (float)(x - left), b = (float)(y - top);
            const float *from = block->pixels + (size_t)top * (size_t)block->width + left;
            const float *below = from + block->width;
            float upper = from[0] + a * (from[1] - from[0]);
            float lower = below[0] + a * (below[1] - below[0]);
            to[column] = upper + b * (lower - upper);
        }
    }
}

/* Keys' kernel, a = -1/2: four taps at a time, the weights of both axes at once. */
VECTOR_INLINE float cubic_at(const struct sample_block *block, int left, int top, float a,
                             float b) {
    const vec8f constant = {0, 1, 0, 0, 0, 1, 0, 0};
    const vec8f linear = {-0.5F, 0, 0.5F, 0, -0.5F, 0, 0.5F, 0};
    const vec8f square = {1, -2.5F, 2, -0.5F, 1, -2.5F, 2, -0.5F};
    const vec8f cube = {-0.5F, 1.5F, -1.5F, 0.5F, -0.5F, 1.5F, -1.5F, 0.5F};
    vec8f t = {a, a, a, a, b, b, b, b};
    vec8f weights = constant + t * (linear + t * (square + t * cube));
    vec4f halves[2];
    memcpy(halves, &weights, sizeof(halves));
    vec4f wx = halves[0], wy = halves[1];
    const float *from =
        block->pixels + (ptrdiff_t)(top - TAPS_BEFORE) * block->width + (left - TAPS_BEFORE);
    vec4f sum = wy[0] * vec4f_load(from) + wy[1] * vec4f_load(from + block->width) +
                wy[2] * vec4f_load(from + 2 * (ptrdiff_t)block->width) +
                wy[3] * vec4f_load(from + 3 * (ptrdiff_t)block->width);
    sum *= wx;
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Returns how many pixels are inside. */
VECTOR_CLONES static size_t sample_row(const struct sample_block *block, const struct walk *walk,
                                       int width, float *ret, float *ret_weight) {
    const double right = block->width - TAPS_AFTER, bottom = block->height - TAPS_AFTER;
    size_t n_inside = 0;
    for (int i = 0; i < width; i++) {
        struct map_point p = walk_at(walk, i);
        double x = p.x - block->x, y = p.y - block->y;
        bool inside = x >= TAPS_BEFORE && y >= TAPS_BEFORE && x < right && y < bottom;
        int left = inside ? (int)x : 0, top = inside ? (int)y : 0;
        ret[i] = inside ? cubic_at(block, left, top, (float)(x - left), (float)(y - top)) : 0;
        if (ret_weight)
            ret_weight[i] = inside ? 1 : 0;
        n_inside += inside;
    }
    return n_inside;
}

size_t sample_cubic(const struct sample_block *block, const struct map *map,
                    const struct sample_window *window, float *ret, float *ret_weight) {
    size_t n_inside = 0;
    for (int row = 0; row < window->height; row++) {
        struct walk walk = begin_row(map, window->x, window->y + row);
        size_t start = (size_t)row * (size_t)window->width;
        n_inside += sample_row(block, &walk, window->width, ret + start,
                               ret_weight ? ret_weight + start : NULL);
    }
    return n_inside;
}

struct sample_window sample_reach(const struct map *map, const struct sample_window *window,
                                  double margin) {
    double left = HUGE_VAL, top = HUGE_VAL, right = -HUGE_VAL, bottom = -HUGE_VAL;
    for (int corner = 0; corner < 4; corner++) {
        double x = window->x + (corner & 1 ? window->width - 1 : 0);
        double y = window->y + (corner & 2 ? window->height - 1 : 0);
        struct map_point p = map_apply(map, x, y);
        left = fmin(left, p.x);
        right = fmax(right, p.x);
        top = fmin(top, p.y);
        bottom = fmax(bottom, p.y);
    }
    left = floor(left - margin) - TAPS_BEFORE;
    top = floor(top - margin) - TAPS_BEFORE;
    right = floor(right + margin) + TAPS_AFTER + 1;
    bottom = floor(bottom + margin) + TAPS_AFTER + 1;
    const double limit = 1 << 30; /* far outside any image; keeps the conversion defined */
    if (!(left > -limit && top > -limit && right < limit && bottom < limit))
        return (struct sample_window){0, 0, 0, 0};
    return (struct sample_window){(int)left, (int)top, (int)(right - left) + 1,
                                  (int)(bottom - top) + 1};
}
