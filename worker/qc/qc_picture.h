/* One kind of picture each. A function that returns -ENODATA has nothing to show for this task.
 * Each opens the canvas, which the caller closes in any case. */
#ifndef WORKER_QC_QC_PICTURE_H
#define WORKER_QC_QC_PICTURE_H

#include "worker/qc/canvas.h"
#include "worker/qc/qc_data.h"

typedef int (*qc_picture_cb)(const struct qc_data *data, struct canvas *ret,
                             struct failure *failure);

MUST_USE int qc_overlay(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_residuals(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_tiles(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_difference(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_log_ratio(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_density(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_excess(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_histograms(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_difference_histogram(const struct qc_data *data, struct canvas *ret,
                                     struct failure *failure);
MUST_USE int qc_blink_post(const struct qc_data *data, struct canvas *ret, struct failure *failure);
MUST_USE int qc_blink_pre(const struct qc_data *data, struct canvas *ret, struct failure *failure);

#endif
