/* The curve that takes the moving image's tone to the fixed one's, the same for all pixels, and how
 * far pixels usually lie from it: of bright ones the photons alone make that more.
 *
 * Both are known at the mean tone of each of a few bins, and linear between them.
 */
#ifndef WORKER_ALIGN_JOINT_TONE_H
#define WORKER_ALIGN_JOINT_TONE_H

#include <stdbool.h>
#include <stddef.h>

enum { JOINT_TONE_BINS = 16, JOINT_TONE_STEPS = 256 };

struct joint_tone {
    int count; /* of knots; below 2 there is no curve */
    float at[JOINT_TONE_BINS], value[JOINT_TONE_BINS], deviation[JOINT_TONE_BINS];
    unsigned char segment[JOINT_TONE_STEPS]; /* the knot before, where a step of the tone begins */
};

struct joint_tone_point {
    float value, gain, deviation;
};

/* The pixels of two images of the same size, the moving one resampled; 0 weight: not looked at. */
struct joint_tone_pixels {
    const float *fixed, *moving, *weight;
    size_t count;
};

/* From weighted medians: pixels of one image alone may be many. */
void joint_tone_begin(const struct joint_tone_pixels *pixels, struct joint_tone *ret);
/* From weighted means, the weights being those that the tone so far has led to. Where these leave
 * too little, it stays. */
void joint_tone_again(const struct joint_tone_pixels *pixels, struct joint_tone *tone);

static inline struct joint_tone_point joint_tone_look(const struct joint_tone *tone, float moving) {
    int step = (int)(moving * JOINT_TONE_STEPS);
    step = step > 0 ? step : 0; /* comparisons, since fmaxf is a call */
    step = step < JOINT_TONE_STEPS ? step : JOINT_TONE_STEPS - 1;
    int k = tone->segment[step];
    k += k + 2 < tone->count && moving > tone->at[k + 1];
    float width = tone->at[k + 1] - tone->at[k], rise = tone->value[k + 1] - tone->value[k];
    float share = (moving - tone->at[k]) / width;
    share = share > 0 ? share : 0;
    share = share < 1 ? share : 1;
    return (struct joint_tone_point){tone->value[k] + share * rise, rise / width,
                                     tone->deviation[k] +
                                         share * (tone->deviation[k + 1] - tone->deviation[k])};
}

#endif
