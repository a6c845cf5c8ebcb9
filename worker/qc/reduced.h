/* Both images small enough to be looked at whole: the signal, halved until its longer side has at
 * most REDUCED_SIDE_PX. Made after each survey and kept, some hundred kilobytes each, when the
 * levels are gone: later pictures of the same images need no other pass over them. */
#ifndef WORKER_QC_REDUCED_H
#define WORKER_QC_REDUCED_H

#include "worker/align/survey.h"

enum { REDUCED_SIDE_PX = 1024 };

struct reduced {
    float *pixels; /* owned; signal */
    int width, height, level;
};

/* which: "pre" or "post". Writes checkpoints/<which>.reduced; empty for an image so long and narrow
 * that it has no such level. */
MUST_USE int reduced_make(const struct align_context *context, const char *which,
                          const json_t *survey, struct failure *failure);
/* -ENODATA when the file is empty, -ESTALE when it is of another size. */
MUST_USE int reduced_load(const struct align_context *context, const char *which,
                          const struct survey *survey, struct reduced *ret,
                          struct failure *failure);
void reduced_free(struct reduced *reduced); /* a zeroed one is fine */

/* The value at a place in full-resolution px, linear between pixels; NAN outside the image. */
double reduced_at(const struct reduced *reduced, double x, double y);

#endif
