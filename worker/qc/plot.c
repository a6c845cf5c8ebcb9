/* See plot.h. Lines that should be sharp lie on half pixels. */
#include "worker/qc/plot.h"

#include "worker/qc/lettering.h"

#include <math.h>

enum { TICK_PX = 5, GAP_PX = 4, BAR_WIDTH_PX = 18, TICKS_EVERY_PX = 70 };

static double share_of(const struct plot_axis *axis, double value) {
    if (axis->is_log)
        return value > 0 ? log(value / axis->low) / log(axis->high / axis->low) : -1;
    return (value - axis->low) / (axis->high - axis->low);
}

double plot_x(const struct plot *plot, double value) {
    return plot->left + plot->width * share_of(&plot->x, value);
}

double plot_y(const struct plot *plot, double value) {
    return plot->top + plot->height * (1 - share_of(&plot->y, value));
}

/* The least of 1, 2, 5, 10, ... that makes no more than `most` steps of the range. */
static double step_of(double range, int most) {
    double least = range / most, power = pow(10, floor(log10(least)));
    double ratio = least / power * (1 - 1e-9);
    return power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
}

static size_t log_ticks(double low, double high, double ret[PLOT_MOST_TICKS]) {
    int first = (int)ceil(log10(low) - 1e-9), last = (int)floor(log10(high) + 1e-9);
    int step = (last - first + 1) / (PLOT_MOST_TICKS / 2) + 1;
    size_t n = 0;
    for (int power = first; power <= last && n < PLOT_MOST_TICKS; power += step)
        ret[n++] = pow(10, power);
    return n;
}

size_t plot_ticks(const struct plot_axis *axis, int most, double ret[PLOT_MOST_TICKS]) {
    double low = fmin(axis->low, axis->high), high = fmax(axis->low, axis->high);
    if (!(high > low) || !isfinite(low) || !isfinite(high))
        return 0;
    if (axis->is_log)
        return log_ticks(low, high, ret);
    most = most < 2 ? 2 : most >= PLOT_MOST_TICKS ? PLOT_MOST_TICKS - 1 : most;
    double step = step_of(high - low, most);
    double first = ceil(low / step - 1e-9);
    size_t n = 0;
    for (; n < PLOT_MOST_TICKS && (first + (double)n) * step <= high + 1e-9 * step; n++)
        ret[n] = (first + (double)n) * step;
    return n;
}

void plot_tick_text(const struct plot_axis *axis, double step, double value,
                    char ret[PLOT_TICK_TEXT_BYTES]) {
    static const char *const units[] = {"", "k", "M", "G", "T"};
    if (!axis->is_log) {
        int decimals = step >= 1 ? 0 : (int)fmin(9, ceil(-log10(step) - 1e-9));
        (void)snprintf(ret, PLOT_TICK_TEXT_BYTES, "%s%.*f", value < 0 ? "\u2212" : "", decimals,
                       fabs(value));
        return;
    }
    if (value < 1) {
        (void)snprintf(ret, PLOT_TICK_TEXT_BYTES, "%g", value);
        return;
    }
    size_t unit = 0;
    while (value >= 9999 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(ret, PLOT_TICK_TEXT_BYTES, "%.0f%s", value, units[unit]);
}

static double sharp(double px) { return floor(px) + 0.5; }

static void line(struct canvas *canvas, double x0, double y0, double x1, double y1) {
    cairo_move_to(canvas->cairo, x0, y0);
    cairo_line_to(canvas->cairo, x1, y1);
    cairo_stroke(canvas->cairo);
}

void plot_title(struct canvas *canvas, const char *title) {
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw_bold(canvas, 20, 30, PLOT_TITLE_PX, LETTERING_LEFT, title);
}

static int most_ticks(double px) { return (int)(px / TICKS_EVERY_PX) + 1; }

void plot_grid(const struct plot *plot) {
    double ticks[PLOT_MOST_TICKS];
    canvas_set_colour(plot->canvas, COLOUR_GRID);
    cairo_set_line_width(plot->canvas->cairo, 1);
    size_t n = plot_ticks(&plot->x, most_ticks(plot->width), ticks);
    for (size_t i = 0; i < n; i++)
        line(plot->canvas, sharp(plot_x(plot, ticks[i])), plot->top, sharp(plot_x(plot, ticks[i])),
             plot->top + plot->height);
    n = plot_ticks(&plot->y, most_ticks(plot->height), ticks);
    for (size_t i = 0; i < n; i++)
        line(plot->canvas, plot->left, sharp(plot_y(plot, ticks[i])), plot->left + plot->width,
             sharp(plot_y(plot, ticks[i])));
}

static double step_between(const double *ticks, size_t n) {
    return n > 1 ? ticks[1] - ticks[0] : fmax(fabs(ticks[0]), 1);
}

static void draw_x_ticks(const struct plot *plot) {
    double ticks[PLOT_MOST_TICKS], bottom = plot->top + plot->height;
    size_t n = plot_ticks(&plot->x, most_ticks(plot->width), ticks);
    for (size_t i = 0; i < n; i++) {
        char text[PLOT_TICK_TEXT_BYTES];
        double x = plot_x(plot, ticks[i]);
        plot_tick_text(&plot->x, step_between(ticks, n), ticks[i], text);
        line(plot->canvas, sharp(x), bottom, sharp(x), bottom + TICK_PX);
        lettering_draw(plot->canvas, x, bottom + TICK_PX + GAP_PX + 0.75 * PLOT_TICK_PX,
                       PLOT_TICK_PX, LETTERING_MIDDLE, text);
    }
    lettering_draw(plot->canvas, plot->left + plot->width / 2,
                   bottom + TICK_PX + 2.2 * PLOT_TICK_PX + 1.2 * PLOT_LABEL_PX, PLOT_LABEL_PX,
                   LETTERING_MIDDLE, plot->x.label ? plot->x.label : "");
}

static void draw_y_ticks(const struct plot *plot) {
    double ticks[PLOT_MOST_TICKS], widest = 0;
    size_t n = plot_ticks(&plot->y, most_ticks(plot->height), ticks);
    for (size_t i = 0; i < n; i++) {
        char text[PLOT_TICK_TEXT_BYTES];
        double y = plot_y(plot, ticks[i]);
        plot_tick_text(&plot->y, step_between(ticks, n), ticks[i], text);
        line(plot->canvas, plot->left - TICK_PX, sharp(y), plot->left, sharp(y));
        lettering_draw(plot->canvas, plot->left - TICK_PX - GAP_PX, y + 0.36 * PLOT_TICK_PX,
                       PLOT_TICK_PX, LETTERING_RIGHT, text);
        widest = fmax(widest, lettering_width(text, PLOT_TICK_PX));
    }
    if (plot->y.label)
        lettering_draw_upward(plot->canvas,
                              plot->left - TICK_PX - GAP_PX - widest - 0.8 * PLOT_LABEL_PX,
                              plot->top + plot->height / 2, PLOT_LABEL_PX, plot->y.label);
}

void plot_frame(const struct plot *plot) {
    struct canvas *canvas = plot->canvas;
    canvas_set_colour(canvas, COLOUR_TEXT);
    cairo_set_line_width(canvas->cairo, 1);
    cairo_rectangle(canvas->cairo, sharp(plot->left) - 1, sharp(plot->top) - 1,
                    floor(plot->width) + 1, floor(plot->height) + 1);
    cairo_stroke(canvas->cairo);
    draw_x_ticks(plot);
    draw_y_ticks(plot);
}

void plot_begin_inside(const struct plot *plot) {
    cairo_save(plot->canvas->cairo);
    cairo_rectangle(plot->canvas->cairo, plot->left, plot->top, plot->width, plot->height);
    cairo_clip(plot->canvas->cairo);
}

void plot_end_inside(const struct plot *plot) { cairo_restore(plot->canvas->cairo); }

static void set_pen(struct canvas *canvas, const struct plot_pen *pen) {
    static const double dashes[] = {7, 4};
    canvas_set_colour(canvas, pen->colour);
    cairo_set_line_width(canvas->cairo, pen->width_px);
    cairo_set_dash(canvas->cairo, dashes, pen->is_dashed ? 2 : 0, 0);
}

void plot_curve(const struct plot *plot, const double *x, const double *y, size_t count,
                const struct plot_pen *pen) {
    set_pen(plot->canvas, pen);
    for (size_t i = 0; i < count; i++) /* far outside is as good as infinitely far */
        cairo_line_to(plot->canvas->cairo, fmin(fmax(plot_x(plot, x[i]), -1e4), 1e4),
                      fmin(fmax(plot_y(plot, y[i]), -1e4), 1e4));
    cairo_stroke(plot->canvas->cairo);
    cairo_set_dash(plot->canvas->cairo, NULL, 0, 0);
}

void plot_bars(const struct plot *plot, double low, double bar_width, const double *heights,
               size_t count, uint32_t colour) {
    cairo_t *cairo = plot->canvas->cairo;
    double bottom = plot->top + plot->height;
    canvas_set_colour(plot->canvas, colour);
    for (size_t i = 0; i < count; i++) {
        double left = plot_x(plot, low + bar_width * (double)i);
        double right = plot_x(plot, low + bar_width * (double)(i + 1));
        double top = fmin(plot_y(plot, heights[i]), bottom);
        if (heights[i] > 0 && right > plot->left && left < plot->left + plot->width)
            cairo_rectangle(cairo, left, top, right - left, bottom - top);
    }
    cairo_fill(cairo);
}

void plot_legend(struct canvas *canvas, double x, double y, const struct plot_pen *pen,
                 const char *text) {
    const double length = 28;
    set_pen(canvas, pen);
    line(canvas, x, y - 0.36 * PLOT_TICK_PX, x + length, y - 0.36 * PLOT_TICK_PX);
    cairo_set_dash(canvas->cairo, NULL, 0, 0);
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw(canvas, x + length + 8, y, PLOT_TICK_PX, LETTERING_LEFT, text);
}

void plot_colour_bar(struct canvas *canvas, double left, double top, double height,
                     enum colour_map map, const struct plot_axis *axis) {
    struct plot plot = {canvas, left, top, BAR_WIDTH_PX, height, {.low = 0, .high = 1}, *axis};
    uint32_t *pixels = canvas_begin_pixels(canvas);
    for (int y = 0; y < (int)height; y++)
        for (int x = 0; x < BAR_WIDTH_PX; x++)
            pixels[((int)top + y) * canvas->width + (int)left + x] =
                colour_at(map, 1 - (y + 0.5) / height);
    canvas_end_pixels(canvas);
    canvas_set_colour(canvas, COLOUR_TEXT);
    cairo_set_line_width(canvas->cairo, 1);
    cairo_rectangle(canvas->cairo, sharp(left) - 1, sharp(top) - 1, BAR_WIDTH_PX + 1,
                    floor(height) + 1);
    cairo_stroke(canvas->cairo);
    double ticks[PLOT_MOST_TICKS], widest = 0, right = left + BAR_WIDTH_PX;
    size_t n = plot_ticks(axis, most_ticks(height), ticks);
    for (size_t i = 0; i < n; i++) {
        char text[PLOT_TICK_TEXT_BYTES];
        double y = plot_y(&plot, ticks[i]);
        plot_tick_text(axis, step_between(ticks, n), ticks[i], text);
        line(canvas, right, sharp(y), right + TICK_PX, sharp(y));
        lettering_draw(canvas, right + TICK_PX + GAP_PX, y + 0.36 * PLOT_TICK_PX, PLOT_TICK_PX,
                       LETTERING_LEFT, text);
        widest = fmax(widest, lettering_width(text, PLOT_TICK_PX));
    }
    if (axis->label)
        lettering_draw_upward(canvas, right + TICK_PX + GAP_PX + widest + 1.3 * PLOT_LABEL_PX,
                              top + height / 2, PLOT_LABEL_PX, axis->label);
}
