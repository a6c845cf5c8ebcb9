/* See tile_tone.h. The parabola is written in polynomials that are orthogonal under the weights, so
 * that each coefficient has its own formula. */
#include "worker/align/tile_tone.h"

#include <math.h>

/* Residuals of so many deviations count for a quarter, those of objects in one image for nothing.
 */
static const double ROBUST_TUNING = 3;
static const double LEAST_SPREAD = 0.2;      /* of the tone's own deviation */
static const double MOST_BEND = 0.25;        /* of the slope */
static const double LEAST_BEND_POWER = 0.05; /* of the parabola: below it there is none to see */

struct tile_moments tile_tone_moments(const float *fixed, const float *moving, const float *weight,
                                      size_t count) {
    struct tile_moments m = {0};
    for (size_t i = 0; i < count; i++) {
        m.weight += weight[i];
        m.fixed_mean += (double)weight[i] * fixed[i];
        m.moving_mean += (double)weight[i] * moving[i];
    }
    double norm = m.weight > 0 ? 1 / m.weight : 0;
    m.fixed_mean *= norm;
    m.moving_mean *= norm;
    for (size_t i = 0; i < count; i++) {
        double f = fixed[i] - m.fixed_mean, g = moving[i] - m.moving_mean;
        m.fixed_power += norm * weight[i] * f * f;
        m.moving_power += norm * weight[i] * g * g;
        m.product += norm * weight[i] * f * g;
    }
    return m;
}

/* Weights from the residuals of the last tone (Geman & McClure 1987). */
static void weigh_robustly(const float *fixed, const float *moving, const float *weight,
                           size_t count, const struct tile_tone *tone, float *ret) {
    double least = LEAST_SPREAD * fabs(tone->slope);
    double scale = tone->spread > 0 ? 1 / (ROBUST_TUNING * fmax(tone->spread, least)) : 0;
    for (size_t i = 0; i < count; i++) {
        double ratio = scale * (fixed[i] - tile_tone_predict(tone, moving[i]));
        double down = 1 + ratio * ratio;
        ret[i] = weight[i] / (float)(down * down);
    }
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
    double cubes = 0, fourths = 0, product = 0, norm = m.weight > 0 ? 1 / m.weight : 0;
    for (size_t i = 0; i < count; i++) {
        double z = tone->moving_scale * (moving[i] - m.moving_mean);
        double weighted = norm * ret_weight[i] * z * z;
        cubes += weighted * z;
        fourths += weighted * z * z;
        product += weighted * (fixed[i] - m.fixed_mean);
    }
    double power = fourths - cubes * cubes - 1; /* of the parabola; 0 when z has two values only */
    tone->skew = cubes;
    double bend = power > LEAST_BEND_POWER ? (product - cubes * tone->slope) / power : 0;
    double most = MOST_BEND * fabs(tone->slope);
    tone->bend = fmin(fmax(bend, -most), most);
}
