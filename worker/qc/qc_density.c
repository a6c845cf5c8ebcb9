/* Two pictures of the joint distribution of both signals: as it is, and what one side of the
 * background's line has more than the other. */
#include "worker/qc/qc_picture.h"

#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"
#include "worker/qc/qc_scales.h"

#include <errno.h>
#include <math.h>

enum {
    PANEL_PX = 512,
    LEFT = 92,
    TOP = 60,
    BAR_GAP = 24,
    LEGEND_GAP = 128,
    LEGEND_WIDTH = 252,
    BELOW = 70,
};

static struct plot make_plot(struct canvas *canvas, const struct qc_counts_axis *x,
                             const struct qc_counts_axis *y, const char *x_label) {
    return (struct plot){canvas,
                         LEFT,
                         TOP,
                         PANEL_PX,
                         PANEL_PX,
                         {0, x->bins * x->width, false, x_label},
                         {0, y->bins * y->width, false, "post, counts"}};
}

/* The cell below a pixel of the panel. */
static size_t cell_at(const struct qc_counts_axis *x, const struct qc_counts_axis *y, int left,
                      int top, size_t *ret_across) {
    *ret_across = (size_t)(left * x->bins / PANEL_PX);
    return (size_t)((PANEL_PX - 1 - top) * y->bins / PANEL_PX);
}

static void draw_lines(const struct plot *plot, const struct qc_data *data, double unit) {
    struct qc_scales_line lines[QC_SCALES_MOST];
    size_t n = qc_scales_list(data, lines);
    plot_begin_inside(plot);
    for (size_t i = n; i-- > 0;)
        qc_scales_draw(plot, lines[i].scale / unit, &lines[i].pen);
    plot_end_inside(plot);
    plot_frame(plot);
}

static void write_notes(struct canvas *canvas, const struct qc_data *data, const char *note) {
    double x = LEFT + PANEL_PX + LEGEND_GAP;
    double y = qc_scales_legend(canvas, data, x, TOP + 12);
    char text[320];
    (void)snprintf(text, sizeof(text), "%.2f million pixels of the overlap, spread evenly. %s",
                   (double)data->counts.pixels / 1e6, note);
    (void)lettering_draw_wrapped(canvas, x, y + PLOT_LEADING_PX / 2.0, PLOT_TICK_PX,
                                 LEGEND_WIDTH - 20, PLOT_LEADING_PX, text);
}

static int open_canvas(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    if (data->counts.pixels == 0 || !data->counts.density)
        return -ENODATA;
    return canvas_open(LEFT + PANEL_PX + LEGEND_GAP + LEGEND_WIDTH, TOP + PANEL_PX + BELOW, ret,
                       failure);
}

int qc_density(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    const struct qc_counts *counts = &data->counts;
    int r = open_canvas(data, ret, failure);
    if (r < 0)
        return r;
    uint32_t most = 1;
    for (int up = 0; up < counts->post.bins; up++)
        for (int across = 0; across < counts->pre.bins; across++) {
            uint32_t n = counts->density[up * QC_COUNTS_SIDE + across];
            most = n > most ? n : most;
        }
    double full = log10((double)most * 1.001);
    uint32_t *pixels = canvas_begin_pixels(ret);
    for (int y = 0; y < PANEL_PX; y++)
        for (int x = 0; x < PANEL_PX; x++) {
            size_t across, up = cell_at(&counts->pre, &counts->post, x, y, &across);
            uint32_t n = counts->density[up * QC_COUNTS_SIDE + across];
            if (n > 0)
                pixels[(TOP + y) * ret->width + LEFT + x] =
                    colour_at(COLOUR_SEQUENTIAL, log10(n) / full);
        }
    canvas_end_pixels(ret);
    plot_title(ret, "Density of post against pre");
    struct plot plot = make_plot(ret, &counts->pre, &counts->post, "aligned pre, counts");
    draw_lines(&plot, data, 1);
    const struct plot_axis bar = {1, pow(10, full), true, "pixels per cell"};
    plot_colour_bar(ret, LEFT + PANEL_PX + BAR_GAP, TOP, PANEL_PX, COLOUR_SEQUENTIAL, &bar);
    write_notes(ret, data,
                "What the stain left as it was lies along the line; what it made brighter, above.");
    return 0;
}

/* Of a cell over its mirror image at the diagonal, as signed logarithm. */
static double excess_at(const struct qc_counts *counts, size_t up, size_t across) {
    double excess = (double)counts->scaled[up * QC_COUNTS_SIDE + across] -
                    (double)counts->scaled[across * QC_COUNTS_SIDE + up];
    return excess < 0 ? -log10(1 - excess) : log10(1 + excess);
}

int qc_excess(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    const struct qc_counts *counts = &data->counts;
    int r = open_canvas(data, ret, failure);
    if (r < 0)
        return r;
    double most = 1;
    for (size_t up = 0; up < (size_t)counts->common.bins; up++)
        for (size_t across = 0; across < up; across++)
            most = fmax(most, fabs(excess_at(counts, up, across)));
    uint32_t *pixels = canvas_begin_pixels(ret);
    for (int y = 0; y < PANEL_PX; y++)
        for (int x = 0; x < PANEL_PX; x++) {
            size_t across, up = cell_at(&counts->common, &counts->common, x, y, &across);
            pixels[(TOP + y) * ret->width + LEFT + x] =
                colour_at(COLOUR_DIVERGING, 0.5 + excess_at(counts, up, across) / (2 * most));
        }
    canvas_end_pixels(ret);
    plot_title(ret, "Excess density: each side of the scale's line less the other");
    char label[96], number[QC_SCALES_NUMBER_BYTES];
    (void)snprintf(label, sizeof(label), "%s \u00d7 aligned pre, counts",
                   qc_scales_number(data->scale, number));
    struct plot plot = make_plot(ret, &counts->common, &counts->common, label);
    draw_lines(&plot, data, data->scale);
    const struct plot_axis bar = {-most, most, false, "\u00b1 log10(1 + pixels more)"};
    plot_colour_bar(ret, LEFT + PANEL_PX + BAR_GAP, TOP, PANEL_PX, COLOUR_DIVERGING, &bar);
    write_notes(ret, data,
                "Pre is multiplied by the scale in use, so that its line is the diagonal. Red "
                "above it: brighter in post than the background explains. Bands that leave the "
                "line mean a wrong scale.");
    return 0;
}
