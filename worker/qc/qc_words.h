/* The verdict in words, as several pictures carry it. */
#ifndef WORKER_QC_QC_WORDS_H
#define WORKER_QC_QC_WORDS_H

#include "worker/qc/canvas.h"
#include "worker/qc/qc_data.h"

/* The status in its colour and the reason below it, in lines of at most width px; y is the first
 * baseline. Returns the baseline below the last line. */
double qc_words_verdict(struct canvas *canvas, const struct qc_data *data, double x, double y,
                        double width);
/* px that takes. */
int qc_words_height(const struct qc_data *data, double width);

#endif
