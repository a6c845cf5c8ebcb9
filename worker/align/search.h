/* Global search: where could the post image lie in the pre image at all?
 *
 * Several kinds of evidence propose places; none of them decides, that is the referee's business.
 * Correlation (correlator.h): both images, reduced to SEARCH_SWEEP_SIDE_PX, are correlated at every
 * rotation and magnification asked for; the best places are improved at SEARCH_SIDE_PX, where the
 * right one stands out far more clearly. Where none does, the sweep is done again at
 * SEARCH_SECOND_SIDE_PX, at several times the price. The same
 * is done with the pre image mirrored, which no turning of a slide can produce: its best score is
 * what chance can reach, or a warning that one image is mirrored. The deepest minima of the
 * correlation are places too, of images with opposite contrast. The other kinds stand in
 * evidence.h. Whatever proposed a place, its score is the correlation of the features there.
 */
#ifndef WORKER_ALIGN_SEARCH_H
#define WORKER_ALIGN_SEARCH_H

#include "worker/align/evidence.h"

enum {
    SEARCH_SWEEP_SIDE_PX = 80,
    SEARCH_SECOND_SIDE_PX = 144,
    SEARCH_SIDE_PX = 192,
    SEARCH_MAX_HYPOTHESES = 16,
    SEARCH_LEAST_SIDE_PX = 96,
};

struct search_hypothesis {
    double score; /* normalised correlation of the features, at most 1 */
    double angle_rad, scale;
    struct map map;    /* full resolution */
    bool inverted;     /* what is bright in one image is dark in the other */
    unsigned found_by; /* bit 1 << enum evidence for each kind that proposed it */
};

struct search_result {
    struct search_hypothesis hypotheses[SEARCH_MAX_HYPOTHESES]; /* best first, all different */
    int count;
    struct search_hypothesis mirrored; /* map includes the mirror */
    char reason[256];                  /* why there is nothing to search; else "" */
};

/* The search checkpoint. */
MUST_USE int search_write(const struct search_result *result, json_t **ret,
                          struct failure *failure);
MUST_USE int search_read(const json_t *checkpoint, struct search_result *ret,
                         struct failure *failure);

#endif
