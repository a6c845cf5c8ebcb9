/* Where the tiles that no fit saw were found, as arrows from where the map puts them, over a pale
 * post image; beside it the figures in words. */
#include "worker/qc/qc_picture.h"

#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"
#include "worker/qc/qc_words.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>

enum {
    PANEL_PX = 600,
    LEFT = 76,
    TOP = 104,
    BAR_GAP = 24,
    WORDS_GAP = 130, /* from the panel to the words: the colour bar stands there */
    WORDS_WIDTH = 280,
    BELOW = 70,
    ARROW_PX = 40, /* of a shift that is called long */
    LONGEST_PX = 64,
    LEAST_HEIGHT = 380, /* of the panel: the words need as much */
};

struct field {
    const struct qc_data *data;
    struct plot plot;
    double long_px; /* a shift of ARROW_PX on the canvas, px of the images */
};

/* The least of 1, 2, 5, ... that is not below the value. */
static double rounded_up(double value) {
    double power = pow(10, floor(log10(value)));
    double ratio = value / power * (1 - 1e-9);
    return power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
}

/* Such that nearly all arrows of tiles that agree fit. */
static double long_shift(const struct verify_tiles *tiles) {
    double lengths[VERIFY_TILES_MOST];
    size_t n = 0;
    for (size_t i = 0; i < tiles->count; i++)
        if (tiles->tiles[i].answer == VERIFY_AGREES)
            lengths[n++] = hypot(tiles->tiles[i].dx, tiles->tiles[i].dy);
    return rounded_up(fmax(n > 0 ? fit_quantile(lengths, n, 0.9) : 1, 0.001));
}

static void draw_ground(const struct field *field) {
    const struct qc_data *data = field->data;
    const struct plot *plot = &field->plot;
    uint32_t *pixels = canvas_begin_pixels(plot->canvas);
    double pitch_x = (plot->x.high - plot->x.low) / plot->width;
    double pitch_y = (plot->y.low - plot->y.high) / plot->height;
    for (int y = 0; y < (int)plot->height; y++)
        for (int x = 0; x < (int)plot->width; x++) {
            double signal =
                reduced_at(&data->post, (x + 0.5) * pitch_x - 0.5, (y + 0.5) * pitch_y - 0.5);
            pixels[((int)plot->top + y) * plot->canvas->width + (int)plot->left + x] =
                colour_at(COLOUR_GREY, 1 - 0.3 * qc_data_tone_post(data, signal));
        }
    canvas_end_pixels(plot->canvas);
}

/* First wide and white, so that it stands out from whatever is below, then in its colour. */
static void stroke_twice(struct canvas *canvas, double width_px, uint32_t colour) {
    cairo_set_line_cap(canvas->cairo, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_join(canvas->cairo, CAIRO_LINE_JOIN_ROUND);
    canvas_set_colour(canvas, 0xffffff);
    cairo_set_line_width(canvas->cairo, width_px + 2);
    cairo_stroke_preserve(canvas->cairo);
    canvas_set_colour(canvas, colour);
    cairo_set_line_width(canvas->cairo, width_px);
    cairo_stroke(canvas->cairo);
}

static void draw_arrow(struct canvas *canvas, double x, double y, double dx, double dy,
                       uint32_t colour) {
    double length = hypot(dx, dy), head = fmin(7, fmax(3, length / 2));
    if (length < 1.5) { /* no direction to show */
        cairo_arc(canvas->cairo, x, y, 2, 0, 2 * acos(-1));
        stroke_twice(canvas, 1.5, colour);
        return;
    }
    double shrink = fmin(1, LONGEST_PX / length);
    double tip_x = x + dx * shrink, tip_y = y + dy * shrink, angle = atan2(dy, dx);
    cairo_move_to(canvas->cairo, x, y);
    cairo_line_to(canvas->cairo, tip_x, tip_y);
    cairo_move_to(canvas->cairo, tip_x - head * cos(angle - 0.5), tip_y - head * sin(angle - 0.5));
    cairo_line_to(canvas->cairo, tip_x, tip_y);
    cairo_line_to(canvas->cairo, tip_x - head * cos(angle + 0.5), tip_y - head * sin(angle + 0.5));
    stroke_twice(canvas, 1.7, colour);
}

static void draw_cross(struct canvas *canvas, double x, double y) {
    const double reach = 4;
    cairo_move_to(canvas->cairo, x - reach, y - reach);
    cairo_line_to(canvas->cairo, x + reach, y + reach);
    cairo_move_to(canvas->cairo, x - reach, y + reach);
    cairo_line_to(canvas->cairo, x + reach, y - reach);
    stroke_twice(canvas, 2, COLOUR_TEXT);
}

static void draw_ring(struct canvas *canvas, double x, double y) {
    cairo_arc(canvas->cairo, x, y, 4, 0, 2 * acos(-1));
    stroke_twice(canvas, 1.2, COLOUR_FAINT);
}

static void draw_tile(const struct field *field, const struct verify_tile *tile) {
    struct canvas *canvas = field->plot.canvas;
    double x = plot_x(&field->plot, tile->x), y = plot_y(&field->plot, tile->y);
    double scale = ARROW_PX / field->long_px;
    if (tile->answer == VERIFY_SILENT)
        draw_ring(canvas, x, y);
    else if (tile->answer == VERIFY_CONTRADICTS)
        draw_cross(canvas, x, y);
    else
        draw_arrow(canvas, x, y, scale * tile->dx, scale * tile->dy,
                   colour_at(COLOUR_ERROR, tile->residual_px / field->long_px));
}

static void draw_legend(const struct field *field) {
    struct canvas *canvas = field->plot.canvas;
    char text[64];
    double y = 60, x = LEFT;
    draw_arrow(canvas, x, y - 5, ARROW_PX, 0, COLOUR_TEXT);
    double times =
        ARROW_PX / field->long_px * (field->plot.x.high - field->plot.x.low) / field->plot.width;
    double unit = times < 100 ? 1 : pow(10, floor(log10(times)) - 1);
    (void)snprintf(text, sizeof(text), "%g px, magnified about %.0f times", field->long_px,
                   round(times / unit) * unit);
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw(canvas, x + ARROW_PX + 10, y, PLOT_TICK_PX, LETTERING_LEFT, text);
    y += PLOT_LEADING_PX + 2;
    draw_cross(canvas, x + 5, y - 5);
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw(canvas, x + 18, y, PLOT_TICK_PX, LETTERING_LEFT, "found elsewhere, or nowhere");
    x += 18 + lettering_width("found elsewhere, or nowhere", PLOT_TICK_PX) + 26;
    draw_ring(canvas, x + 5, y - 5);
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw(canvas, x + 18, y, PLOT_TICK_PX, LETTERING_LEFT,
                   "nothing to see there in one of the images");
}

static int count(const struct verify_tiles *tiles, enum verify_answer answer) {
    int n = 0;
    for (size_t i = 0; i < tiles->count; i++)
        n += tiles->tiles[i].answer == answer;
    return n;
}

static double figure(const json_t *object, const char *member, const char *name) {
    return json_number_value(json_object_get(json_object_get(object, member), name));
}

__attribute__((format(printf, 3, 4))) static double say(struct canvas *canvas, double y,
                                                        const char *format, ...) {
    char text[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return lettering_draw_wrapped(canvas, canvas->width - WORDS_WIDTH, y, PLOT_LABEL_PX,
                                  WORDS_WIDTH - 20, PLOT_LEADING_PX, text);
}

static void write_figures(struct canvas *canvas, const struct qc_data *data, double y) {
    const json_t *verify = data->task->verify;
    const struct verify_tiles *tiles = data->tiles;
    y = say(canvas, y, "%zu unseen tiles: %d agree, %d contradict, %d show nothing", tiles->count,
            count(tiles, VERIFY_AGREES), count(tiles, VERIFY_CONTRADICTS),
            count(tiles, VERIFY_SILENT));
    if (json_integer_value(json_object_get(json_object_get(verify, "residual_px"), "tiles")) > 0) {
        y = say(canvas, y, "median residual %.3f px", figure(verify, "residual_px", "median"));
        y = say(canvas, y, "95th percentile %.3f px", figure(verify, "residual_px", "p95"));
    }
    if (!data->is_failed && figure(verify, "error_px", "tissue") > 0)
        y = say(canvas, y, "error on the tissue %.3f px", figure(verify, "error_px", "tissue"));
    y += PLOT_LEADING_PX / 2.0;
    const char *model = json_string_value(json_object_get(verify, "model"));
    const double *h = data->transform.map.h;
    double det = h[0] * h[4] - h[1] * h[3];
    y = say(canvas, y, data->is_failed ? "best candidate: %s" : "map: %s", model ? model : "");
    y = say(canvas, y, "rotation %.3f\u00b0", atan2(h[3], h[0]) * 180 / acos(-1));
    (void)say(canvas, y, "magnification %.5f", sqrt(fabs(det)));
}

int qc_residuals(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    if (!data->has_map || data->tiles->count == 0)
        return -ENODATA;
    const struct pyramid_layout *post = &data->post_survey.layout;
    double pitch = fmax(post->width, post->height) / (double)PANEL_PX;
    int width = (int)fmax(post->width / pitch, 1), height = (int)fmax(post->height / pitch, 1);
    int across = LEFT + width + WORDS_GAP + WORDS_WIDTH;
    int r = canvas_open(across, TOP + (height > LEAST_HEIGHT ? height : LEAST_HEIGHT) + BELOW, ret,
                        failure);
    if (r < 0)
        return r;
    struct field field = {.data = data,
                          .plot = {ret,
                                   LEFT,
                                   TOP,
                                   width,
                                   height,
                                   {-0.5, post->width - 0.5, false, "x in the post image, px"},
                                   {post->height - 0.5, -0.5, false, "y, px"}},
                          .long_px = long_shift(data->tiles)};
    plot_title(ret, "Residual field: where unseen tiles were found");
    draw_legend(&field);
    draw_ground(&field);
    plot_begin_inside(&field.plot);
    for (size_t i = 0; i < data->tiles->count; i++)
        draw_tile(&field, &data->tiles->tiles[i]);
    plot_end_inside(&field.plot);
    plot_frame(&field.plot);
    const struct plot_axis errors = {0, field.long_px, false, "residual, px of the pre image"};
    plot_colour_bar(ret, LEFT + width + BAR_GAP, TOP, fmin(height, LEAST_HEIGHT), COLOUR_ERROR,
                    &errors);
    double y = qc_words_verdict(ret, data, across - WORDS_WIDTH, TOP + 12, WORDS_WIDTH - 20);
    write_figures(ret, data, y + PLOT_LEADING_PX / 2.0);
    return 0;
}
