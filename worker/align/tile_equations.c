/* See tile_equations.h. */
#include "worker/align/tile_equations.h"

#include "common/vector.h"

#include <math.h>

static const double LEAST_SPREAD = 1e-4;
/* The blur makes neighbours alike: this many pixels carry one pixel's worth of evidence. */
static const double PIXELS_PER_SAMPLE = 6;

/* Those of the edge have no neighbours. */
static void leave_out_sides(float *weight, size_t size) {
    for (size_t y = 0; y < size; y++)
        weight[y * size] = weight[y * size + size - 1] = 0;
}

VECTOR_CLONES static struct tile_equations sum_up(const struct tile_images *images,
                                                  const struct tile_tone *tone) {
    const struct tile_tone t = *tone;
    size_t stride = (size_t)images->size, end = stride * (stride - 1);
    vec4d xx = {0}, xy = {0}, yy = {0}, x = {0}, y = {0}, variance = {0}, weights = {0};
    for (size_t i = stride; i < end; i += 4) {
        const float *g = images->moving + i, *w = images->weight + i;
        vec4f covered =
            vec4f_load(w - 1) * vec4f_load(w + 1) * vec4f_load(w - stride) * vec4f_load(w + stride);
        vec4f share = covered * vec4f_load(images->robust + i);
        vec4d weight = __builtin_convertvector(share, vec4d), z = TILE_TONE_Z(t, VEC4D_LOAD(g));
        vec4d residual = VEC4D_LOAD(images->fixed + i) - TILE_TONE_PREDICT(t, z);
        vec4d half_gain = TILE_TONE_GAIN(t, z) / 2;
        vec4d jx =
            half_gain * __builtin_convertvector(vec4f_load(g + 1) - vec4f_load(g - 1), vec4d);
        vec4d jy = half_gain *
                   __builtin_convertvector(vec4f_load(g + stride) - vec4f_load(g - stride), vec4d);
        xx += weight * jx * jx;
        xy += weight * jx * jy;
        yy += weight * jy * jy;
        x += weight * jx * residual;
        y += weight * jy * residual;
        variance += weight * residual * residual;
        weights += weight;
    }
    double all = VEC4D_SUM(weights);
    return (struct tile_equations){VEC4D_SUM(xx), VEC4D_SUM(xy),
                                   VEC4D_SUM(yy), VEC4D_SUM(x),
                                   VEC4D_SUM(y),  all > 0 ? VEC4D_SUM(variance) / all : 0};
}

struct tile_equations tile_equations_gather(const struct tile_images *images, bool bent,
                                            struct tile_tone *tone) {
    size_t size = (size_t)images->size;
    tile_tone_fit(images->fixed, images->moving, images->weight, size * size, bent, tone,
                  images->robust);
    leave_out_sides(images->robust, size);
    struct tile_equations n = sum_up(images, tone);
    tone->spread = fmax(sqrt(n.variance), LEAST_SPREAD);
    return n;
}

/* Of one pixel's residual, as far as it speaks for itself. */
static double variance_of(const struct tile_equations *n) {
    return fmax(n->variance, 1e-10) * PIXELS_PER_SAMPLE;
}

struct tile_equations tile_equations_expect(struct tile_equations n, double sigma_px, double dx,
                                            double dy) {
    double k = variance_of(&n) / (sigma_px * sigma_px);
    n.xx += k;
    n.yy += k;
    n.x -= k * dx;
    n.y -= k * dy;
    return n;
}

bool tile_equations_solve(const struct tile_equations *n, double *ret_dx, double *ret_dy) {
    double det = n->xx * n->yy - n->xy * n->xy;
    if (!(det > 1e-9 * n->xx * n->yy))
        return false;
    *ret_dx = (n->yy * n->x - n->xy * n->y) / det;
    *ret_dy = (n->xx * n->y - n->xy * n->x) / det;
    return true;
}

struct tile_information tile_equations_information(const struct tile_equations *n,
                                                   double least_sigma_px) {
    double factor = 1 / variance_of(n), s = least_sigma_px * least_sigma_px;
    double a = factor * n->xx, b = factor * n->xy, c = factor * n->yy;
    /* covariance + sigma^2 I, inverted again */
    double det = fmax(a * c - b * b, 1e-12);
    double xx = c / det + s, xy = -b / det, yy = a / det + s, d = xx * yy - xy * xy;
    return (struct tile_information){yy / d, -xy / d, xx / d};
}
