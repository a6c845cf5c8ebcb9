/* How often which pair of signals stands in the aligned images: counted over whole tiles that are
 * spread over the overlap, some two million pixels of them, rendered as the warp does.
 *
 * Signals are counts of the image: a bin is a whole number of them wide, so that no bin is empty
 * for being narrow. Sums of whole numbers: the same for any number of threads. */
#ifndef WORKER_QC_QC_COUNTS_H
#define WORKER_QC_QC_COUNTS_H

#include "common/params.h"
#include "worker/align/survey.h"
#include "worker/align/transform.h"

enum { QC_COUNTS_SIDE = 256, QC_COUNTS_DIFFERENCES = 8192 };

/* Values from 0 up to bins * width; what lies beyond stands in one bin more, at index bins. */
struct qc_counts_axis {
    int bins; /* below QC_COUNTS_SIDE */
    double width;
};

struct qc_counts {
    struct qc_counts_axis pre, post, common; /* common: of scale x pre, and of post beside it */
    double difference_width;                 /* bin QC_COUNTS_DIFFERENCES / 2 begins at 0 */
    uint64_t pixels;
    uint32_t *density;    /* owned; [post bin * QC_COUNTS_SIDE + pre bin] */
    uint32_t *scaled;     /* owned; the same over the common axis: [post, scale x pre] */
    uint32_t *difference; /* owned; of post - scale x pre; the ends hold what lies beyond */
    uint64_t pre_bins[QC_COUNTS_SIDE], post_bins[QC_COUNTS_SIDE];
};

/* What is counted. Borrows everything. */
struct qc_counts_request {
    const struct align_context *context;
    const struct survey *pre, *post;
    const struct transform *transform;
    double scale;
    double pre_top, post_top; /* signals that the axes should reach */
};

MUST_USE int qc_counts_measure(const struct qc_counts_request *request, struct qc_counts *ret,
                               struct failure *failure);
/* Without a map: the signals of two images, each for itself; no density, no difference. */
void qc_counts_take(const struct qc_counts_request *request, const float *pre, size_t n_pre,
                    const float *post, size_t n_post, struct qc_counts *ret);
void qc_counts_free(struct qc_counts *counts); /* a zeroed one is fine */

#endif
