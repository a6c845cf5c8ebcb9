/* Two images of the same frame, for a viewer that shows them in turn. No text: it would not
 * blink. */
#include "worker/qc/qc_picture.h"

#include "worker/qc/colour.h"

#include <errno.h>

static int paint(const struct qc_data *data, const float *pixels,
                 double (*tone)(const struct qc_data *data, double signal), struct canvas *ret,
                 struct failure *failure) {
    int r = canvas_open(data->post.width, data->post.height, ret, failure);
    if (r < 0)
        return r;
    uint32_t *to = canvas_begin_pixels(ret);
    size_t count = (size_t)ret->width * (size_t)ret->height;
    for (size_t i = 0; i < count; i++) {
        double brightness = tone(data, pixels[i]);
        to[i] = colour_overlay(brightness, brightness);
    }
    canvas_end_pixels(ret);
    return 0;
}

int qc_blink_post(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    if (data->is_failed)
        return -ENODATA;
    return paint(data, data->post.pixels, qc_data_tone_post, ret, failure);
}

int qc_blink_pre(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    if (data->is_failed || !data->has_map)
        return -ENODATA;
    return paint(data, data->aligned, qc_data_tone_pre, ret, failure);
}
