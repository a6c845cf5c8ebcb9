/* The background scales of a task, as lines in several pictures. */
#ifndef WORKER_QC_QC_SCALES_H
#define WORKER_QC_QC_SCALES_H

#include "worker/qc/plot.h"
#include "worker/qc/qc_data.h"

enum { QC_SCALES_MOST = 4, QC_SCALES_TEXT_BYTES = 96, QC_SCALES_NUMBER_BYTES = 32 };

/* As it is written everywhere: "1.2345". Returns ret. */
const char *qc_scales_number(double scale, char ret[QC_SCALES_NUMBER_BYTES]);

struct qc_scales_line {
    double scale;
    struct plot_pen pen;
    char text[QC_SCALES_TEXT_BYTES]; /* "1.2345 moffat, in use" */
};

/* The one in use first. Returns how many. */
size_t qc_scales_list(const struct qc_data *data, struct qc_scales_line ret[QC_SCALES_MOST]);

/* One below the other from (x, y) on. Returns the next baseline. */
double qc_scales_legend(struct canvas *canvas, const struct qc_data *data, double x, double y);

/* The line y = slope * x from the origin, with a pale rim so that it shows on every colour. */
void qc_scales_draw(const struct plot *plot, double slope, const struct plot_pen *pen);

#endif
