/* The signal: the one number per pixel that alignment, background scale and difference work on.
 *
 * Grey: as it is. RGB: the channels whose mean is above 0.5 counts; one -> that one; several ->
 * their sum; none -> the one with the highest mean. Bright field (white background): Rec. 601
 * luminance, inverted. Or the channels named by the parameter, summed. (exo2micro's rule.)
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

/* Row of pixels (interleaved, native) to float signal, count pixels. */
void signal_extract(const struct signal *signal, const void *pixels, size_t count, float *ret);

/* Largest value the signal can take. */
double signal_max(const struct signal *signal);

json_t *signal_to_json(const struct signal *signal);
MUST_USE int signal_from_json(const json_t *value, struct signal *ret, struct failure *failure);

#endif
