/* The difference image: zero is the middle colour, and as far up as down. */
#include "worker/qc/qc_picture.h"

#include "worker/memory/tracked.h"
#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"
#include "worker/qc/qc_scales.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    PANEL_WIDTH = 840,
    PANEL_HEIGHT = 720,
    LEAST_WIDTH = 360, /* for the title */
    LEFT = 76,
    TOP = 84,
    BAR_GAP = 24,
    RIGHT = 148,
    BELOW = 66,
    MOST_VALUES = 32 << 10,
};

static const double LIMIT_SHARE = 0.99; /* of the pixels lie within the colours */
static const double LEAST_LIMIT = 0.1;  /* of post's range: less is not worth a colour */

/* Of the reduced images, weighted 1 2 1 in both directions: pre was sampled between the pixels of a
 * reduced image, which errs from pixel to pixel, up and down in turn. NAN outside pre. */
static double difference_at(const struct qc_data *data, int x, int y) {
    int width = data->post.width, height = data->post.height;
    double sum = 0, weights = 0;
    if (isnan(data->aligned[(size_t)y * (size_t)width + (size_t)x]))
        return NAN;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++) {
            int at_x = x + dx, at_y = y + dy;
            if (at_x < 0 || at_y < 0 || at_x >= width || at_y >= height)
                continue;
            size_t i = (size_t)at_y * (size_t)width + (size_t)at_x;
            double weight = (2 - abs(dx)) * (2 - abs(dy));
            if (isnan(data->aligned[i]))
                continue;
            sum += weight * ((double)data->post.pixels[i] - data->scale * (double)data->aligned[i]);
            weights += weight;
        }
    return sum / weights;
}

static int find_limit(const struct qc_data *data, double *ret, struct failure *failure) {
    size_t count = (size_t)data->post.width * (size_t)data->post.height, n = 0;
    size_t step = count / MOST_VALUES + 1;
    CLEANUP_TRACKED double *values =
        tracked_alloc(count / step + 1, sizeof(*values), "difference's range");
    if (!values)
        return failure_set(failure, -ENOMEM, "no memory for the difference's range");
    for (size_t i = 0; i < count; i += step) {
        double difference = difference_at(data, (int)(i % (size_t)data->post.width),
                                          (int)(i / (size_t)data->post.width));
        if (!isnan(difference))
            values[n++] = fabs(difference);
    }
    if (n == 0)
        return -ENODATA;
    double least = LEAST_LIMIT * (data->post_range.high - data->post_range.low);
    *ret = fmax(fit_quantile(values, n, LIMIT_SHARE), fmax(least, 1e-3));
    return 0;
}

static uint32_t colour_of(const struct qc_data *data, double x, double y, double limit) {
    int at_x = x < data->post.width ? (int)x : data->post.width - 1;
    int at_y = y < data->post.height ? (int)y : data->post.height - 1;
    double difference = difference_at(data, at_x, at_y);
    return isnan(difference) ? COLOUR_OUTSIDE
                             : colour_at(COLOUR_DIVERGING, 0.5 + difference / (2 * limit));
}

static void draw_panel(const struct qc_data *data, const struct plot *plot, double limit) {
    uint32_t *pixels = canvas_begin_pixels(plot->canvas);
    double step = data->post.width / plot->width;
    for (int y = 0; y < (int)plot->height; y++)
        for (int x = 0; x < (int)plot->width; x++)
            pixels[((int)plot->top + y) * plot->canvas->width + (int)plot->left + x] =
                colour_of(data, (x + 0.5) * step, (y + 0.5) * step, limit);
    canvas_end_pixels(plot->canvas);
}

int qc_difference(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    if (data->is_failed || !data->has_map || !(data->scale > 0))
        return -ENODATA;
    double limit;
    int r = find_limit(data, &limit, failure);
    if (r < 0)
        return r;
    const struct pyramid_layout *post = &data->post_survey.layout;
    double shrink =
        fmax((double)data->post.width / PANEL_WIDTH, (double)data->post.height / PANEL_HEIGHT);
    int width = (int)fmax(data->post.width / shrink, 1);
    int height = (int)fmax(data->post.height / shrink, 1);
    int across = width > LEAST_WIDTH ? width : LEAST_WIDTH;
    r = canvas_open(LEFT + across + RIGHT, TOP + height + BELOW, ret, failure);
    if (r < 0)
        return r;
    struct plot plot = {ret,
                        LEFT,
                        TOP,
                        width,
                        height,
                        {-0.5, post->width - 0.5, false, "x in the post image, px"},
                        {post->height - 0.5, -0.5, false, "y, px"}};
    plot_title(ret, "Difference: post \u2212 scale \u00d7 aligned pre");
    draw_panel(data, &plot, limit);
    plot_frame(&plot);
    const char *kind = json_string_value(json_object_get(data->task->scale, "scale_kind"));
    char text[160], number[QC_SCALES_NUMBER_BYTES];
    (void)snprintf(text, sizeof(text),
                   "scale %s (%s); red is brighter in post, blue darker; grey: outside pre",
                   qc_scales_number(data->scale, number), kind ? kind : "");
    lettering_draw(ret, 20, 58, PLOT_TICK_PX, LETTERING_LEFT, text);
    const struct plot_axis bar = {-limit, limit, false, "difference, counts"};
    plot_colour_bar(ret, LEFT + width + BAR_GAP, TOP, height, COLOUR_DIVERGING, &bar);
    return 0;
}
