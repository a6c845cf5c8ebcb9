/* Axes on a canvas: a frame with ticks, labels and units, and what is drawn inside it. */
#ifndef WORKER_QC_PLOT_H
#define WORKER_QC_PLOT_H

#include "worker/qc/canvas.h"
#include "worker/qc/colour.h"

#include <stdbool.h>
#include <stddef.h>

enum { PLOT_TITLE_PX = 18, PLOT_LABEL_PX = 14, PLOT_TICK_PX = 13, PLOT_LEADING_PX = 20 };
enum { PLOT_MOST_TICKS = 16, PLOT_TICK_TEXT_BYTES = 32 };

struct plot_axis {
    double low, high; /* at the left or bottom end, at the other one; low > high is fine */
    bool is_log;      /* both above 0 */
    const char *label;
};

struct plot {
    struct canvas *canvas;           /* borrowed */
    double left, top, width, height; /* of the frame, px */
    struct plot_axis x, y;
};

double plot_x(const struct plot *plot, double value); /* px on the canvas */
double plot_y(const struct plot *plot, double value);

/* Values for ticks inside the axis, in rising order: multiples of 1, 2 or 5 times a power of ten,
 * or powers of ten. Returns how many. */
size_t plot_ticks(const struct plot_axis *axis, int most, double ret[PLOT_MOST_TICKS]);
/* A tick's text: as many decimals as the step between ticks needs. */
void plot_tick_text(const struct plot_axis *axis, double step, double value,
                    char ret[PLOT_TICK_TEXT_BYTES]);

void plot_title(struct canvas *canvas, const char *title);
void plot_grid(const struct plot *plot);  /* faint lines at the ticks: before the data */
void plot_frame(const struct plot *plot); /* frame, ticks, labels: after them */

/* What is drawn from here to the end keeps inside the frame. */
void plot_begin_inside(const struct plot *plot);
void plot_end_inside(const struct plot *plot);

struct plot_pen {
    uint32_t colour;
    double width_px;
    bool is_dashed;
};
/* Lines from point to point, in the axes' values. */
void plot_curve(const struct plot *plot, const double *x, const double *y, size_t count,
                const struct plot_pen *pen);
/* Bars from the axis up, of equal width, the first from x = low; filled. A log axis has none for
 * counts of 0. */
void plot_bars(const struct plot *plot, double low, double bar_width, const double *heights,
               size_t count, uint32_t colour);

/* One line of a legend with its pen; (x, y) is the left end of the baseline. */
void plot_legend(struct canvas *canvas, double x, double y, const struct plot_pen *pen,
                 const char *text);

/* A bar of the map's colours with ticks to its right; the axis's label stands beside them. */
void plot_colour_bar(struct canvas *canvas, double left, double top, double height,
                     enum colour_map map, const struct plot_axis *axis);

#endif
