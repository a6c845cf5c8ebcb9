/* The difference image: zero is the middle colour, and as far up as down. */
#include "worker/qc/qc_picture.h"

#include "worker/memory/tracked.h"
#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"
#include "worker/qc/qc_scales.h"

#include <errno.h>
#include <math.h>

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

static float difference_at(const struct qc_data *data, size_t i) {
    return data->post.pixels[i] - (float)data->scale * data->aligned[i];
}

static int find_limit(const struct qc_data *data, double *ret, struct failure *failure) {
    size_t count = (size_t)data->post.width * (size_t)data->post.height, n = 0;
    size_t step = count / MOST_VALUES + 1;
    CLEANUP_TRACKED double *values =
        tracked_alloc(count / step + 1, sizeof(*values), "difference's range");
    if (!values)
        return failure_set(failure, -ENOMEM, "no memory for the difference's range");
    for (size_t i = 0; i < count; i += step)
        if (!isnan(data->aligned[i]))
            values[n++] = fabs((double)difference_at(data, i));
    if (n == 0)
        return -ENODATA;
    *ret = fmax(fit_quantile(values, n, LIMIT_SHARE), 1e-3);
    return 0;
}

/* Mean of the reduced pixels below a pixel of the panel: two by two samples. */
static uint32_t colour_of(const struct qc_data *data, double x, double y, double step,
                          double limit) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < 4; i++) {
        int left = (int)(x + step * (0.25 + 0.5 * (i % 2)));
        int top = (int)(y + step * (0.25 + 0.5 * (i / 2)));
        left = left < data->post.width ? left : data->post.width - 1;
        top = top < data->post.height ? top : data->post.height - 1;
        size_t at = (size_t)top * (size_t)data->post.width + (size_t)left;
        if (isnan(data->aligned[at]))
            continue;
        sum += (double)difference_at(data, at);
        n++;
    }
    return n == 0 ? COLOUR_OUTSIDE : colour_at(COLOUR_DIVERGING, 0.5 + sum / n / (2 * limit));
}

static void draw_panel(const struct qc_data *data, const struct plot *plot, double limit) {
    uint32_t *pixels = canvas_begin_pixels(plot->canvas);
    double step = data->post.width / plot->width;
    for (int y = 0; y < (int)plot->height; y++)
        for (int x = 0; x < (int)plot->width; x++)
            pixels[((int)plot->top + y) * plot->canvas->width + (int)plot->left + x] =
                colour_of(data, x * step, y * step, step, limit);
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
