/* See qc_scales.h. */
#include "worker/qc/qc_scales.h"

#include "worker/qc/lettering.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *kind, *words;
    uint32_t colour;
} kinds[QC_SCALES_MOST] = {
    {"manual", "by hand", COLOUR_THIRD_LINE},
    {"percentile", "percentile", COLOUR_PRE},
    {"moffat", "Moffat fit", COLOUR_POST},
    {"histogram-peak", "histogram's peak", COLOUR_SECOND_LINE},
};

const char *qc_scales_number(double scale, char ret[QC_SCALES_NUMBER_BYTES]) {
    bool is_plain = scale >= 0.01 && scale < 1000;
    (void)snprintf(ret, QC_SCALES_NUMBER_BYTES, is_plain ? "%.4f" : "%.4g", scale);
    return ret;
}

size_t qc_scales_list(const struct qc_data *data, struct qc_scales_line ret[QC_SCALES_MOST]) {
    const json_t *scales = json_object_get(data->task->scale, "scales");
    const char *in_use = json_string_value(json_object_get(data->task->scale, "scale_kind"));
    size_t n = 0;
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
            const json_t *value = json_object_get(scales, kinds[i].kind);
            bool is_in_use = in_use && strcmp(in_use, kinds[i].kind) == 0;
            if (!value || is_in_use == (others == 1))
                continue;
            struct qc_scales_line *line = &ret[n++];
            line->scale = json_number_value(value);
            line->pen = (struct plot_pen){is_in_use ? COLOUR_LINE : kinds[i].colour,
                                          is_in_use ? 1.8 : 1.6, !is_in_use};
            char number[QC_SCALES_NUMBER_BYTES];
            (void)snprintf(line->text, sizeof(line->text), "%s: %s%s",
                           qc_scales_number(line->scale, number), kinds[i].words,
                           is_in_use ? ", in use" : "");
        }
    return n;
}

double qc_scales_legend(struct canvas *canvas, const struct qc_data *data, double x, double y) {
    struct qc_scales_line lines[QC_SCALES_MOST];
    size_t n = qc_scales_list(data, lines);
    canvas_set_colour(canvas, COLOUR_TEXT);
    lettering_draw_bold(canvas, x, y, PLOT_TICK_PX, LETTERING_LEFT, "background scale");
    for (size_t i = 0; i < n; i++)
        plot_legend(canvas, x, y += PLOT_LEADING_PX, &lines[i].pen, lines[i].text);
    return y + PLOT_LEADING_PX;
}

void qc_scales_draw(const struct plot *plot, double slope, const struct plot_pen *pen) {
    double far = fmax(fabs(plot->x.high), fabs(plot->y.high) / fmax(slope, 1e-9));
    const double x[] = {0, far}, y[] = {0, far * slope};
    const struct plot_pen rim = {0xffffff, pen->width_px + 1.6, false};
    plot_curve(plot, x, y, 2, &rim);
    plot_curve(plot, x, y, 2, pen);
}
