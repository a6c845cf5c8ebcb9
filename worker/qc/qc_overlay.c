/* Post over pre in complementary colours: as they were laid by their centres, and by the map. */
#include "worker/qc/qc_picture.h"

#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"
#include "worker/qc/qc_words.h"

#include <math.h>

enum {
    PANEL_WIDTH = 560,
    PANEL_HEIGHT = 600,
    LEFT = 76,
    GAP = 76,
    RIGHT = 20,
    TOP = 98,
    BELOW = 62, /* ticks and label */
    SWATCH = 14,
};

struct panel {
    const struct qc_data *data;
    bool is_after;
    double pitch;  /* post px per px of the panel */
    int n_samples; /* of the reduced images per pixel, along its diagonal */
};

static uint32_t colour_of(const struct panel *panel, int x, int y) {
    const struct qc_data *data = panel->data;
    double post = 0, pre = 0;
    for (int i = 0; i < panel->n_samples; i++) {
        double at_x = (x + (i + 0.5) / panel->n_samples) * panel->pitch - 0.5;
        double at_y = (y + (i + 0.5) / panel->n_samples) * panel->pitch - 0.5;
        struct map_point p = panel->is_after ? transform_apply(&data->transform, at_x, at_y)
                                             : qc_data_before(data, at_x, at_y);
        post += qc_data_tone_post(data, reduced_at(&data->post, at_x, at_y));
        pre += qc_data_tone_pre(data, reduced_at(&data->pre, p.x, p.y));
    }
    return colour_overlay(post / panel->n_samples, pre / panel->n_samples);
}

static void draw_panel(struct canvas *canvas, const struct panel *panel, int left, int width,
                       int height, const char *title) {
    const struct pyramid_layout *post = &panel->data->post_survey.layout;
    uint32_t *pixels = canvas_begin_pixels(canvas);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            pixels[(TOP + y) * canvas->width + left + x] = colour_of(panel, x, y);
    canvas_end_pixels(canvas);
    struct plot plot = {canvas,
                        left,
                        TOP,
                        width,
                        height,
                        {-0.5, post->width - 0.5, false, "x in the post image, px"},
                        {post->height - 0.5, -0.5, false, panel->is_after ? NULL : "y, px"}};
    plot_frame(&plot);
    lettering_draw_bold(canvas, left, TOP - 12, PLOT_LABEL_PX, LETTERING_LEFT, title);
}

static double draw_swatch(struct canvas *canvas, double x, double y, uint32_t colour,
                          const char *text) {
    canvas_set_colour(canvas, colour);
    cairo_rectangle(canvas->cairo, x, y - SWATCH + 2, SWATCH, SWATCH);
    cairo_fill(canvas->cairo);
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw(canvas, x + SWATCH + 6, y, PLOT_TICK_PX, LETTERING_LEFT, text);
    return x + SWATCH + 6 + lettering_width(text, PLOT_TICK_PX) + 22;
}

static void draw_legend(struct canvas *canvas) {
    double x = draw_swatch(canvas, 20, 58, colour_overlay(1, 0), "post alone");
    x = draw_swatch(canvas, x, 58, colour_overlay(0, 1), "pre alone");
    (void)draw_swatch(canvas, x, 58, colour_overlay(0.75, 0.75), "both alike");
}

int qc_overlay(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    const struct pyramid_layout *post = &data->post_survey.layout;
    double pitch = fmax((double)post->width / PANEL_WIDTH, (double)post->height / PANEL_HEIGHT);
    int width = (int)fmax(post->width / pitch, 1), height = (int)fmax(post->height / pitch, 1);
    int frame = width > PANEL_WIDTH / 2 ? width : PANEL_WIDTH / 2; /* room for what is written */
    int across = LEFT + frame + (data->has_map ? GAP + frame : 0) + RIGHT;
    int words = qc_words_height(data, across - LEFT - RIGHT);
    int r = canvas_open(across, TOP + height + BELOW + words + PLOT_LEADING_PX, ret, failure);
    if (r < 0)
        return r;
    plot_title(ret, "Overlay of post and pre");
    draw_legend(ret);
    double coarser = pitch / ldexp(1, data->post.level);
    struct panel panel = {.data = data, .pitch = pitch, .n_samples = coarser > 1.4 ? 2 : 1};
    draw_panel(ret, &panel, LEFT, width, height, "Before: laid by their centres");
    panel.is_after = true;
    if (data->has_map)
        draw_panel(ret, &panel, LEFT + frame + GAP, width, height,
                   data->is_failed ? "The best candidate, which is not trusted"
                                   : "After: pre moved by the map");
    (void)qc_words_verdict(ret, data, LEFT, TOP + height + BELOW + PLOT_LEADING_PX,
                           across - LEFT - RIGHT);
    return 0;
}
