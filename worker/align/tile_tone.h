/* How the tone of one tile is taken to that of another, and how much each pixel counts: objects and
 * holes of one image alone are left out by weights (Geman & McClure 1987).
 */
#ifndef WORKER_ALIGN_TILE_TONE_H
#define WORKER_ALIGN_TILE_TONE_H

#include <stdbool.h>
#include <stddef.h>

struct tile_moments {
    double fixed_mean, moving_mean, fixed_power, moving_power, product, weight;
};

/* Of the two images under a weight per pixel. Here and below count is a multiple of four. */
struct tile_moments tile_tone_moments(const float *fixed, const float *moving, const float *weight,
                                      size_t count);

/* How the moving image's tone is taken to the fixed one's: a line, or a parabola. With z the moving
 * tone, brought to mean 0 and deviation 1: fixed = mean + slope z + bend (z^2 - skew z - 1). */
struct tile_tone {
    double moving_mean, moving_scale; /* z = scale (moving - mean) */
    double mean, slope, bend, skew;
    double spread; /* of the residual, robust; 0: not known yet */
};

/* z, the prediction, and its change with the moving tone; macros since they are for vectors, too.
 */
#define TILE_TONE_Z(tone, moving) ((tone).moving_scale * ((moving) - (tone).moving_mean))
#define TILE_TONE_PREDICT(tone, z)                                                                 \
    ((tone).mean + (tone).slope * (z) + (tone).bend * ((z) * (z) - (tone).skew * (z)-1))
#define TILE_TONE_GAIN(tone, z)                                                                    \
    ((tone).moving_scale * ((tone).slope + (tone).bend * (2 * (z) - (tone).skew)))

/* One step: weights from the residuals of the last tone (all alike when spread is 0) times weight
 * into ret_weight, then the tone anew. bent: a parabola, from the second step on. The caller sets
 * spread. */
void tile_tone_fit(const float *fixed, const float *moving, const float *weight, size_t count,
                   bool bent, struct tile_tone *tone, float *ret_weight);

#endif
