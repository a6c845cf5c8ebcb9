/* Three histograms: of both signals, of the difference, of the logarithm of the ratio with the fit
 * that the background scale comes from. */
#include "worker/qc/qc_picture.h"

#include "worker/output/log_ratio.h"
#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"
#include "worker/qc/qc_scales.h"

#include <errno.h>
#include <math.h>

enum {
    WIDTH = 960,
    HEIGHT = 560,
    LEFT = 92,
    TOP = 60,
    PANEL_WIDTH = 600,
    PANEL_HEIGHT = 420,
    LEGEND_LEFT = LEFT + PANEL_WIDTH + 24,
    DIFFERENCE_BARS = 200,
};

static const double BAR_ROOM = 1.08; /* above the highest bar */

static struct plot make_plot(struct canvas *canvas, struct plot_axis x, struct plot_axis y) {
    return (struct plot){canvas, LEFT, TOP, PANEL_WIDTH, PANEL_HEIGHT, x, y};
}

static double highest(const double *values, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, values[i]);
    return most;
}

struct curve {
    size_t n;
    double x[QC_COUNTS_SIDE], y[QC_COUNTS_SIDE];
};

/* Shares of the pixels per count, at the bins' middles. */
static void fill(const struct qc_counts_axis *axis, const uint64_t *bins, double factor,
                 struct curve *ret) {
    double sum = 0;
    for (int i = 0; i <= axis->bins; i++)
        sum += (double)bins[i];
    ret->n = (size_t)axis->bins;
    for (size_t i = 0; i < ret->n; i++) {
        ret->x[i] = ((double)i + 0.5) * axis->width * factor;
        ret->y[i] = (double)bins[i] / (fmax(sum, 1) * axis->width * factor);
    }
}

static double lowest_share(const struct curve *curve) {
    double least = INFINITY;
    for (size_t i = 0; i < curve->n; i++)
        if (curve->y[i] > 0)
            least = fmin(least, curve->y[i]);
    return least;
}

/* No pixels at all: just below the axis. */
static void lift_zeros(struct curve *curve, double least) {
    for (size_t i = 0; i < curve->n; i++)
        curve->y[i] = fmax(curve->y[i], least / 2);
}

int qc_histograms(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    const struct qc_counts *counts = &data->counts;
    if (counts->pixels == 0)
        return -ENODATA;
    int r = canvas_open(WIDTH, HEIGHT, ret, failure);
    if (r < 0)
        return r;
    struct curve pre, post, scaled;
    fill(&counts->pre, counts->pre_bins, 1, &pre);
    fill(&counts->post, counts->post_bins, 1, &post);
    fill(&counts->pre, counts->pre_bins, data->scale > 0 ? data->scale : 1, &scaled);
    double low = fmin(lowest_share(&pre), lowest_share(&post));
    double high = fmax(highest(pre.y, pre.n), highest(post.y, post.n));
    if (!(low < high))
        return -ENODATA;
    double top = fmax(counts->pre.bins * counts->pre.width, counts->post.bins * counts->post.width);
    struct plot plot =
        make_plot(ret, (struct plot_axis){0, top, false, "signal, counts"},
                  (struct plot_axis){low / 1.5, high * 2, true, "share of the pixels per count"});
    lift_zeros(&pre, low / 1.5);
    lift_zeros(&post, low / 1.5);
    lift_zeros(&scaled, low / 1.5);
    const struct plot_pen pre_pen = {COLOUR_PRE, 1.8, false}, post_pen = {COLOUR_POST, 1.8, false};
    const struct plot_pen scaled_pen = {COLOUR_PRE, 1.4, true};
    plot_title(ret, data->is_failed ? "Histograms of pre and post"
                                    : "Histograms of aligned pre and post");
    plot_grid(&plot);
    plot_begin_inside(&plot);
    if (data->scale > 0)
        plot_curve(&plot, scaled.x, scaled.y, scaled.n, &scaled_pen);
    plot_curve(&plot, pre.x, pre.y, pre.n, &pre_pen);
    plot_curve(&plot, post.x, post.y, post.n, &post_pen);
    plot_end_inside(&plot);
    plot_frame(&plot);
    double y = TOP + 12;
    plot_legend(ret, LEGEND_LEFT, y, &post_pen, data->is_failed ? "post, reduced" : "post");
    plot_legend(ret, LEGEND_LEFT, y += PLOT_LEADING_PX, &pre_pen,
                data->is_failed ? "pre, reduced" : "aligned pre");
    if (data->scale > 0) {
        char text[64], number[QC_SCALES_NUMBER_BYTES];
        (void)snprintf(text, sizeof(text), "%s \u00d7 aligned pre",
                       qc_scales_number(data->scale, number));
        plot_legend(ret, LEGEND_LEFT, y + PLOT_LEADING_PX, &scaled_pen, text);
    }
    return 0;
}

/* Of the fine bins, where `share` of all lies below. */
static size_t quantile_bin(const uint32_t *bins, uint64_t total, double share) {
    double below = 0;
    for (size_t i = 0; i < QC_COUNTS_DIFFERENCES; i++) {
        below += bins[i];
        if (below >= share * (double)total)
            return i;
    }
    return QC_COUNTS_DIFFERENCES - 1;
}

/* Bars of equal width, half of them on either side of zero. */
struct bars {
    size_t n;
    double width; /* counts */
    double shares[DIFFERENCE_BARS + 4];
};

static void merge_bins(const struct qc_counts *counts, struct bars *ret) {
    enum { MIDDLE = QC_COUNTS_DIFFERENCES / 2 };
    size_t low = quantile_bin(counts->difference, counts->pixels, 0.002);
    size_t high = quantile_bin(counts->difference, counts->pixels, 0.998);
    size_t reach = low < MIDDLE ? MIDDLE - low : 1;
    reach = high > MIDDLE + reach ? high - MIDDLE : reach;
    size_t merged = 2 * reach / DIFFERENCE_BARS + 1, side = reach / merged + 1;
    *ret = (struct bars){2 * side, (double)merged * counts->difference_width, {0}};
    size_t first = side * merged < MIDDLE ? MIDDLE - side * merged : 0; /* of the fine bins */
    size_t skipped = side * merged - (MIDDLE - first);
    for (size_t i = first; i < QC_COUNTS_DIFFERENCES; i++) {
        size_t bar = (i - first + skipped) / merged;
        if (bar < ret->n)
            ret->shares[bar] += counts->difference[i] / (double)counts->pixels;
    }
}

int qc_difference_histogram(const struct qc_data *data, struct canvas *ret,
                            struct failure *failure) {
    if (data->counts.pixels == 0 || !data->counts.difference)
        return -ENODATA;
    int r = canvas_open(WIDTH, HEIGHT, ret, failure);
    if (r < 0)
        return r;
    struct bars bars;
    merge_bins(&data->counts, &bars);
    double edge = bars.width * (double)(bars.n / 2), most = highest(bars.shares, bars.n);
    double least = fmax(1e-7, fmin(1e-4, 2 / (double)data->counts.pixels));
    struct plot plot = make_plot(
        ret, (struct plot_axis){-edge, edge, false, "post \u2212 scale \u00d7 aligned pre, counts"},
        (struct plot_axis){least, fmax(2 * most, 10 * least), true, "share of the pixels"});
    const double zero_x[] = {0, 0}, zero_y[] = {plot.y.low, plot.y.high};
    const struct plot_pen zero = {COLOUR_LINE, 1.5, true};
    plot_title(ret, "Histogram of the difference");
    plot_grid(&plot);
    plot_begin_inside(&plot);
    plot_bars(&plot, -edge, bars.width, bars.shares, bars.n, COLOUR_BARS);
    plot_curve(&plot, zero_x, zero_y, 2, &zero);
    plot_end_inside(&plot);
    plot_frame(&plot);
    plot_legend(ret, LEGEND_LEFT, TOP + 12, &zero, "no difference");
    char text[128], number[QC_SCALES_NUMBER_BYTES];
    (void)snprintf(text, sizeof(text), "Scale %s. What lies right of the line is brighter in post.",
                   qc_scales_number(data->scale, number));
    (void)lettering_draw_wrapped(ret, LEGEND_LEFT, TOP + 12 + 1.5 * PLOT_LEADING_PX, PLOT_TICK_PX,
                                 WIDTH - LEGEND_LEFT - 20, PLOT_LEADING_PX, text);
    return 0;
}

struct ratio {
    double low, width;
    double counts[LOG_RATIO_BINS];
    struct moffat moffat;
    bool is_fitted;
};

static bool read_ratio(const json_t *scale, struct ratio *ret) {
    const json_t *histogram = json_object_get(scale, "histogram");
    const json_t *counts = json_object_get(histogram, "counts");
    const json_t *moffat = json_object_get(scale, "moffat");
    ret->low = json_number_value(json_object_get(histogram, "low"));
    ret->width =
        (json_number_value(json_object_get(histogram, "high")) - ret->low) / LOG_RATIO_BINS;
    if (json_array_size(counts) != LOG_RATIO_BINS || !(ret->width > 0))
        return false;
    for (size_t i = 0; i < LOG_RATIO_BINS; i++)
        ret->counts[i] = json_number_value(json_array_get(counts, i));
    ret->is_fitted = json_is_object(moffat);
    ret->moffat = (struct moffat){json_number_value(json_object_get(moffat, "amp")),
                                  json_number_value(json_object_get(moffat, "mu")),
                                  json_number_value(json_object_get(moffat, "alpha")),
                                  json_number_value(json_object_get(moffat, "beta"))};
    return true;
}

/* The bins next to 0, which take no part. */
static bool is_left_out(const struct ratio *ratio, size_t bin) {
    double centre = ratio->low + ((double)bin + 0.5) * ratio->width;
    return fabs(centre) < LOG_RATIO_LEFT_OUT_BINS * ratio->width;
}

static void draw_band(const struct plot *plot, const struct ratio *ratio) {
    double half = LOG_RATIO_LEFT_OUT_BINS * ratio->width;
    double left = plot_x(plot, -half), right = plot_x(plot, half);
    canvas_set_colour(plot->canvas, COLOUR_BAND);
    cairo_rectangle(plot->canvas->cairo, left, plot->top, right - left, plot->height);
    cairo_fill(plot->canvas->cairo);
}

static void draw_fit(const struct plot *plot, const struct ratio *ratio,
                     const struct plot_pen *pen) {
    double x[2 * LOG_RATIO_BINS], y[2 * LOG_RATIO_BINS];
    for (size_t i = 0; i < ARRAY_LEN(x); i++) {
        x[i] = ratio->low + (double)i / 2 * ratio->width;
        y[i] = moffat_value(&ratio->moffat, x[i]);
    }
    plot_curve(plot, x, y, ARRAY_LEN(x), pen);
}

static void draw_ratio(const struct plot *plot, const struct qc_data *data,
                       const struct ratio *ratio, const struct plot_pen *fit) {
    double kept[LOG_RATIO_BINS], left_out[LOG_RATIO_BINS];
    for (size_t i = 0; i < LOG_RATIO_BINS; i++) {
        bool out = is_left_out(ratio, i);
        kept[i] = out ? 0 : ratio->counts[i];
        left_out[i] = out ? ratio->counts[i] : 0;
    }
    plot_begin_inside(plot);
    draw_band(plot, ratio);
    plot_end_inside(plot);
    plot_grid(plot);
    plot_begin_inside(plot);
    plot_bars(plot, ratio->low, ratio->width, kept, LOG_RATIO_BINS, COLOUR_BARS);
    plot_bars(plot, ratio->low, ratio->width, left_out, LOG_RATIO_BINS, COLOUR_LEFT_OUT);
    if (ratio->is_fitted)
        draw_fit(plot, ratio, fit);
    struct qc_scales_line lines[QC_SCALES_MOST];
    size_t n = qc_scales_list(data, lines);
    for (size_t i = n; i-- > 0;) {
        const double x[] = {log10(lines[i].scale), log10(lines[i].scale)}, y[] = {0, plot->y.high};
        plot_curve(plot, x, y, 2, &lines[i].pen);
    }
    plot_end_inside(plot);
    plot_frame(plot);
}

int qc_log_ratio(const struct qc_data *data, struct canvas *ret, struct failure *failure) {
    struct ratio ratio;
    if (!read_ratio(data->task->scale, &ratio))
        return -ENODATA;
    int r = canvas_open(WIDTH, HEIGHT, ret, failure);
    if (r < 0)
        return r;
    double kept_most = 0;
    for (size_t i = 0; i < LOG_RATIO_BINS; i++)
        kept_most = is_left_out(&ratio, i) ? kept_most : fmax(kept_most, ratio.counts[i]);
    struct plot plot =
        make_plot(ret,
                  (struct plot_axis){ratio.low, ratio.low + LOG_RATIO_BINS * ratio.width, false,
                                     "log10(post / aligned pre)"},
                  (struct plot_axis){0, BAR_ROOM * fmax(kept_most, 1), false, "pixels per bin"});
    const struct plot_pen fit = {COLOUR_FIT, 2, false};
    plot_title(ret, "Where the background scale comes from");
    draw_ratio(&plot, data, &ratio, &fit);
    double y = qc_scales_legend(ret, data, LEGEND_LEFT, TOP + 12) + PLOT_LEADING_PX / 2.0;
    if (ratio.is_fitted)
        plot_legend(ret, LEGEND_LEFT, y, &fit, "Moffat fit to the left wing");
    const struct plot_pen band = {COLOUR_LEFT_OUT, 10, false};
    if (ratio.low < 0 && plot.x.high > 0)
        plot_legend(ret, LEGEND_LEFT, y + PLOT_LEADING_PX, &band, "left out: counts alike");
    return 0;
}
