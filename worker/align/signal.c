/* See signal.h. */
#include "worker/align/signal.h"

#include "common/json_read.h"

#include <errno.h>
#include <math.h>

static const double LUMINANCE[3] = {0.299, 0.587, 0.114}; /* ITU-R BT.601 */
static const double LEAST_MEAN = 0.5;                     /* counts */
static const double THIN_TAIL = 2, UNSATURATED = 0.995;

static bool is_bright_field(const struct image_info *info, const struct signal_channel *channels) {
    if (!info->rgb || info->samples != 3)
        return false;
    double range = 0, least = HUGE_VAL, most = 0;
    for (int c = 0; c < 3; c++) {
        range = fmax(range, channels[c].p999);
        least = fmin(least, channels[c].p95);
        most = fmax(most, channels[c].p95);
    }
    if (least < 0.6 * range || most - least > 0.25 * most)
        return false;
    for (int c = 0; c < 3; c++) {
        const struct signal_channel *channel = &channels[c];
        double dark_tail = channel->p50 - channel->p5;
        bool ends_in_background = THIN_TAIL * (channel->p999 - channel->p95) < dark_tail &&
                                  channel->p95 < UNSATURATED * channel->p999;
        if (channel->p50 < 0.4 * range ||
            (channel->p95 - channel->p50 > dark_tail && !ends_in_background))
            return false;
    }
    return true;
}

/* The extraction counts on every channel being there once. */
static bool has_channel(const struct signal *signal, int channel) {
    for (int i = 0; i < signal->n_channels; i++)
        if (signal->channels[i] == channel)
            return true;
    return false;
}

static int use_named_channels(const struct params *params, const char *path, struct signal *signal,
                              struct failure *failure) {
    for (int i = 0; i < params->n_channels; i++) {
        int channel = params->channels[i];
        if (channel < 0 || (uint32_t)channel >= signal->samples)
            return failure_set(failure, -EINVAL,
                               "%s has no channel %d: it has %u, counted from 0; set channel to "
                               "one of them or to auto",
                               path, channel, signal->samples);
        if (!has_channel(signal, channel))
            signal->channels[signal->n_channels++] = channel;
    }
    return 0;
}

int signal_choose(const struct image_info *info, const struct signal_channel *channels,
                  const struct params *params, const char *path, struct signal *ret,
                  struct failure *failure) {
    struct signal signal = {.samples = info->samples, .bits = info->bits};
    if (!params->channel_auto) {
        int r = use_named_channels(params, path, &signal, failure);
        if (r == 0)
            *ret = signal;
        return r;
    }
    signal.inverted_luminance = is_bright_field(info, channels);
    int count = (int)(info->samples < PARAMS_MAX_CHANNELS ? info->samples : PARAMS_MAX_CHANNELS);
    int highest = 0;
    for (int c = 0; c < count; c++) {
        if (signal.inverted_luminance || channels[c].mean > LEAST_MEAN)
            signal.channels[signal.n_channels++] = c;
        if (channels[c].mean > channels[highest].mean)
            highest = c;
    }
    if (signal.n_channels == 0)
        signal.channels[signal.n_channels++] = highest;
    *ret = signal;
    return 0;
}

double signal_max(const struct signal *signal) {
    double full = ldexp(1, (int)signal->bits) - 1;
    return signal->inverted_luminance ? full : full * signal->n_channels;
}

struct signal_weights signal_get_weights(const struct signal *signal) {
    struct signal_weights weights = {0};
    if (signal->inverted_luminance) {
        weights.offset = signal_max(signal);
        for (int c = 0; c < 3; c++)
            weights.channels[c] = -LUMINANCE[c];
    } else {
        for (int i = 0; i < signal->n_channels; i++)
            weights.channels[signal->channels[i]] = 1;
    }
    return weights;
}

/* One body for both widths; the compiler makes a loop of its own for each way to combine. */
#define DEFINE_EXTRACT(name, type)                                                                 \
    static void name(const struct signal *signal, const type *restrict pixels, size_t count,       \
                     float *restrict ret) {                                                        \
        size_t samples = signal->samples;                                                          \
        if (signal->inverted_luminance) {                                                          \
            const float top = (float)signal_max(signal);                                           \
            const float r = (float)LUMINANCE[0], g = (float)LUMINANCE[1], b = (float)LUMINANCE[2]; \
            for (size_t i = 0; i < count; i++) {                                                   \
                const type *p = pixels + 3 * i;                                                    \
                ret[i] = top - (r * (float)p[0] + g * (float)p[1] + b * (float)p[2]);              \
            }                                                                                      \
        } else if (samples == 1) {                                                                 \
            for (size_t i = 0; i < count; i++)                                                     \
                ret[i] = (float)pixels[i];                                                         \
        } else if (samples == 3 && signal->n_channels == 3) {                                      \
            for (size_t i = 0; i < count; i++) {                                                   \
                const type *p = pixels + 3 * i;                                                    \
                ret[i] = (float)((int)p[0] + (int)p[1] + (int)p[2]);                               \
            }                                                                                      \
        } else {                                                                                   \
            for (size_t i = 0; i < count; i++)                                                     \
                ret[i] = (float)pixels[i * samples + (size_t)signal->channels[0]];                 \
            for (int c = 1; c < signal->n_channels; c++)                                           \
                for (size_t i = 0; i < count; i++)                                                 \
                    ret[i] += (float)pixels[i * samples + (size_t)signal->channels[c]];            \
        }                                                                                          \
    }

DEFINE_EXTRACT(extract_8, uint8_t)
DEFINE_EXTRACT(extract_16, uint16_t)

void signal_extract(const struct signal *signal, const void *pixels, size_t count, float *ret) {
    if (signal->bits == 8)
        extract_8(signal, pixels, count, ret);
    else
        extract_16(signal, pixels, count, ret);
}

json_t *signal_to_json(const struct signal *signal) {
    CLEANUP_JSON json_t *channels = json_array();
    for (int i = 0; i < signal->n_channels; i++)
        if (json_array_append_new(channels, json_integer(signal->channels[i])) < 0)
            return NULL;
    return json_pack("{s:b,s:O,s:i,s:i}", "inverted_luminance", signal->inverted_luminance,
                     "channels", channels, "samples", (int)signal->samples, "bits",
                     (int)signal->bits);
}

int signal_from_json(const json_t *value, struct signal *ret, struct failure *failure) {
    struct signal signal = {0};
    int64_t samples = 0, bits = 0;
    int r = json_read_int(value, "samples", "signal", 1, UINT16_MAX, &samples, failure);
    if (r < 0)
        return r;
    r = json_read_int(value, "bits", "signal", 8, 16, &bits, failure);
    if (r < 0)
        return r;
    signal.samples = (uint32_t)samples;
    signal.bits = (uint32_t)bits;
    signal.inverted_luminance = json_is_true(json_object_get(value, "inverted_luminance"));
    const json_t *channels = json_object_get(value, "channels");
    size_t count = json_array_size(channels);
    if (count < 1 || count > PARAMS_MAX_CHANNELS || (signal.inverted_luminance && samples != 3))
        return failure_set(failure, -EINVAL, "signal: %zu channels of %u samples are not possible",
                           count, signal.samples);
    for (size_t i = 0; i < count; i++) {
        const json_t *channel = json_array_get(channels, i);
        if (!json_is_integer(channel) || json_integer_value(channel) < 0 ||
            json_integer_value(channel) >= samples ||
            has_channel(&signal, (int)json_integer_value(channel)))
            return failure_set(failure, -EINVAL, "signal: channel %zu is not one of the image's",
                               i);
        signal.channels[signal.n_channels++] = (int)json_integer_value(channel);
    }
    *ret = signal;
    return 0;
}
