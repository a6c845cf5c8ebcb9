/* What the pictures of one task are drawn from, gathered once and then only read: by several
 * threads at a time. */
#ifndef WORKER_QC_QC_DATA_H
#define WORKER_QC_QC_DATA_H

#include "worker/align/transform.h"
#include "worker/align/verify_tiles.h"
#include "worker/qc/qc_counts.h"
#include "worker/qc/reduced.h"

/* The task's results. Borrows everything. */
struct qc_task {
    const struct align_context *context;
    const json_t *pre_survey, *post_survey, *refine, *verify;
    const json_t *scale; /* NULL: the pair failed */
    const char *folder;  /* for the pictures */
};

/* Signals that are shown as black and as white. */
struct qc_range {
    double low, high;
    double top; /* hardly anything is brighter */
};

enum { QC_DATA_TONES = 1024 };

struct qc_data {
    const struct qc_task *task;
    struct survey pre_survey, post_survey;
    struct reduced pre, post;
    const char *status, *reason;
    bool has_map;               /* good or bad; else there is nothing to lay pre by */
    bool is_failed;             /* the map is a candidate that nobody trusts */
    bool is_inverted;           /* what is bright in one image is dark in the other */
    struct transform transform; /* post to pre */
    float *aligned;             /* pre where the map puts it, on the pixels of post; NAN outside */
    struct verify_tiles *tiles; /* the held-out ones; owned */
    struct qc_range pre_range, post_range;
    bool is_matched;                /* the ranges make the same thing equally bright in both */
    float tones[QC_DATA_TONES + 1]; /* of signals from a range's low to its high */
    double scale;                   /* in use; 0: none */
    struct qc_counts counts;        /* of a failed pair: of the reduced images, each for itself */
};

MUST_USE int qc_data_open(const struct qc_task *task, struct qc_data *ret, struct failure *failure);
void qc_data_close(struct qc_data *data); /* a zeroed one is fine */

/* How bright a signal is shown, 0 to 1; NAN is 0. */
double qc_data_tone_post(const struct qc_data *data, double signal);
double qc_data_tone_pre(const struct qc_data *data, double signal);

/* Widens either range, each made for one image, so that the gain between them is that of the whole
 * images, where that is known and not far from theirs. */
void qc_data_match(const struct qc_data *data, struct qc_range *pre, struct qc_range *post);

/* The place in pre that lies below post's (x, y) when both images have the same centre. */
struct map_point qc_data_before(const struct qc_data *data, double x, double y);

#endif
