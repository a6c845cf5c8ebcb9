/* The signal: the one number per pixel that alignment, background scale and difference work on.
 *
 * Grey: as it is. RGB: the channels whose mean is above 0.5 counts; one -> that one; several ->
 * their sum; none -> the one with the highest mean. Bright field (white background): Rec. 601
 * luminance, inverted. Or the channels named by the parameter, summed. (exo2micro's rule.)
 *
 * Bright field is told by the distribution of each channel of an RGB image: background is the
 * most common thing on a slide, it is bright in every channel and colourless. So: the 95th
 * percentiles of all three are above 60 % of the brightest channel's 99.9th percentile and within
 * 25 % of each other, their medians are above 40 % of it, and the median lies nearer to the 95th
 * than to the 5th percentile (tissue is the dark tail; in fluorescence it is the bright one), or,
 * where tissue covers most of the slide, little lies above the 95th percentile without being
 * saturated.
 */
#ifndef WORKER_ALIGN_SIGNAL_H
#define WORKER_ALIGN_SIGNAL_H

#include "common/params.h"
#include "worker/tiff/image.h"

struct signal {
    bool inverted_luminance; /* else: the sum of channels */
    int channels[PARAMS_MAX_CHANNELS];
    int n_channels;
    uint32_t samples, bits; /* of the pixels it is taken from */
};

/* What the choice is made from, per channel, in counts. */
struct signal_channel {
    double mean;
    double p5, p50, p95, p999;
};

/* channels: info->samples of them. -EINVAL when params name a channel the image does not have. */
MUST_USE int signal_choose(const struct image_info *info, const struct signal_channel *channels,
                           const struct params *params, const char *path, struct signal *ret,
                           struct failure *failure);

/* Row of pixels (interleaved, native) to float signal, count pixels. */
void signal_extract(const struct signal *signal, const void *pixels, size_t count, float *ret);

/* The signal is a linear function of the channels: offset + sum of weights times values. */
struct signal_weights {
    double offset;
    double channels[PARAMS_MAX_CHANNELS];
};
struct signal_weights signal_get_weights(const struct signal *signal);

/* Largest value the signal can take. */
double signal_max(const struct signal *signal);

json_t *signal_to_json(const struct signal *signal);
MUST_USE int signal_from_json(const json_t *value, struct signal *ret, struct failure *failure);

#endif
