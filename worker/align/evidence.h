/* Kinds of evidence for where the post image lies in the pre image. Each proposes a few places;
 * the referee decides.
 *
 * Correlation of all rotations and magnifications is the main one (search.h). Features: key points
 * (SIFT, Lowe 2004), matched one by one, agree on a similarity even where the images share so
 * little that the correlation of the whole drowns. Boundary: the tissue's outline alone, by its
 * centre and principal axes. Pixel size: what the files' resolution tags say.
 */
#ifndef WORKER_ALIGN_EVIDENCE_H
#define WORKER_ALIGN_EVIDENCE_H

#include "worker/align/survey.h"

enum evidence {
    EVIDENCE_CORRELATION,
    EVIDENCE_FEATURES,
    EVIDENCE_BOUNDARY,
    EVIDENCE_PIXEL_SIZE,
    EVIDENCE_COUNT
};

const char *evidence_name(enum evidence evidence); /* "correlation", ... */

/* A set of kinds (bit 1 << kind) as an array of names, and back. */
json_t *evidence_write(unsigned kinds);
MUST_USE int evidence_read(const json_t *names, const char *where, unsigned *ret,
                           struct failure *failure);

enum { EVIDENCE_MOST_PLACES = 2 };

/* Best first; maps of full-resolution pixels. */
struct evidence_places {
    struct map maps[EVIDENCE_MOST_PLACES];
    int count;
    bool sure; /* the first one is beyond accident */
};

/* What all kinds look at. Borrows. */
struct evidence_pair {
    const struct align_context *context;
    const struct survey *pre, *post;
};

MUST_USE int evidence_features(const struct evidence_pair *pair, struct evidence_places *ret,
                               struct failure *failure);
MUST_USE int evidence_boundary(const struct evidence_pair *pair, struct evidence_places *ret,
                               struct failure *failure);
/* Pre pixels per post pixel by the files' tags; 0 when they do not say. */
double evidence_pixel_size(const struct image_info *pre, const struct image_info *post);

#endif
