/* See tile_tone.h. The parabola is written in polynomials that are orthogonal under the weights, so
 * that each coefficient has its own formula. */
#include "worker/align/tile_tone.h"

#include "common/vector.h"

#include <math.h>

/* Residuals of so many deviations count for a quarter, those of objects in one image for nothing.
 */
static const double ROBUST_TUNING = 3;
static const double LEAST_SPREAD = 0.2;      /* of the tone's own deviation */
static const double MOST_BEND = 0.25;        /* of the slope */
static const double LEAST_BEND_POWER = 0.05; /* of the parabola: below it there is none to see */

VECTOR_CLONES static struct tile_moments find_moments(const float *fixed, const float *moving,
                                                      const float *weight, size_t count) {
    vec4d weights = {0}, fixed_sum = {0}, moving_sum = {0}, ff = {0}, gg = {0}, fg = {0};
    for (size_t i = 0; i < count; i += 4) {
        vec4d w = VEC4D_LOAD(weight + i);
        weights += w;
        fixed_sum += w * VEC4D_LOAD(fixed + i);
        moving_sum += w * VEC4D_LOAD(moving + i);
    }
    struct tile_moments m = {.weight = VEC4D_SUM(weights)};
    double norm = m.weight > 0 ? 1 / m.weight : 0;
    m.fixed_mean = norm * VEC4D_SUM(fixed_sum);
    m.moving_mean = norm * VEC4D_SUM(moving_sum);
    for (size_t i = 0; i < count; i += 4) {
        vec4d w = VEC4D_LOAD(weight + i);
        vec4d f = VEC4D_LOAD(fixed + i) - m.fixed_mean, g = VEC4D_LOAD(moving + i) - m.moving_mean;
        ff += w * f * f;
        gg += w * g * g;
        fg += w * f * g;
    }
    m.fixed_power = norm * VEC4D_SUM(ff);
    m.moving_power = norm * VEC4D_SUM(gg);
    m.product = norm * VEC4D_SUM(fg);
    return m;
}

struct tile_moments tile_tone_moments(const float *fixed, const float *moving, const float *weight,
                                      size_t count) {
    return find_moments(fixed, moving, weight, count);
}

/* Weights from the residuals of the last tone (Geman & McClure 1987). */
VECTOR_CLONES static void weigh_robustly(const float *fixed, const float *moving,
                                         const float *weight, size_t count,
                                         const struct tile_tone *tone, float *ret) {
    const struct tile_tone t = *tone;
    double least = LEAST_SPREAD * fabs(t.slope);
    double scale = t.spread > 0 ? 1 / (ROBUST_TUNING * fmax(t.spread, least)) : 0;
    for (size_t i = 0; i < count; i += 4) {
        vec4d z = TILE_TONE_Z(t, VEC4D_LOAD(moving + i));
        vec4d ratio = scale * (VEC4D_LOAD(fixed + i) - TILE_TONE_PREDICT(t, z));
        vec4d down = 1 + ratio * ratio;
        vec4f share = vec4f_load(weight + i) / __builtin_convertvector(down * down, vec4f);
        vec4f_store(ret + i, share);
    }
}

/* Of the moving tone's third and fourth powers, and of its square with the fixed one. norm: 1 over
 * the sum of the weights. */
struct bend_moments {
    double cubes, fourths, product;
};

VECTOR_CLONES static struct bend_moments find_bend(const float *fixed, const float *moving,
                                                   const float *weight, size_t count, double norm,
                                                   const struct tile_tone *tone) {
    const struct tile_tone t = *tone;
    vec4d cubes = {0}, fourths = {0}, product = {0};
    for (size_t i = 0; i < count; i += 4) {
        vec4d w = VEC4D_LOAD(weight + i), z = TILE_TONE_Z(t, VEC4D_LOAD(moving + i));
        vec4d weighted = w * z * z;
        cubes += weighted * z;
        fourths += weighted * z * z;
        product += weighted * (VEC4D_LOAD(fixed + i) - t.mean);
    }
    return (struct bend_moments){norm * VEC4D_SUM(cubes), norm * VEC4D_SUM(fourths),
                                 norm * VEC4D_SUM(product)};
}

void tile_tone_fit(const float *fixed, const float *moving, const float *weight, size_t count,
                   bool bent, struct tile_tone *tone, float *ret_weight) {
    weigh_robustly(fixed, moving, weight, count, tone, ret_weight);
    struct tile_moments m = tile_tone_moments(fixed, moving, ret_weight, count);
    tone->mean = m.fixed_mean;
    tone->moving_mean = m.moving_mean;
    tone->moving_scale = m.moving_power > 0 ? 1 / sqrt(m.moving_power) : 0;
    tone->slope = tone->moving_scale * m.product;
    tone->bend = tone->skew = 0;
    if (!bent || !(tone->spread > 0)) /* objects look bent first */
        return;
    double norm = m.weight > 0 ? 1 / m.weight : 0;
    struct bend_moments b = find_bend(fixed, moving, ret_weight, count, norm, tone);
    /* of the parabola; 0 when z has two values only */
    double power = b.fourths - b.cubes * b.cubes - 1;
    tone->skew = b.cubes;
    double bend = power > LEAST_BEND_POWER ? (b.product - b.cubes * tone->slope) / power : 0;
    double most = MOST_BEND * fabs(tone->slope);
    tone->bend = fmin(fmax(bend, -most), most);
}
