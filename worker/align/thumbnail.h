/* A whole image's signal, reduced to a few hundred pixels at any pitch. */
#ifndef WORKER_ALIGN_THUMBNAIL_H
#define WORKER_ALIGN_THUMBNAIL_H

#include "worker/align/survey.h"

struct thumbnail {
    float *pixels; /* owned */
    int width, height;
    double pitch; /* full-resolution px per pixel; pixel x is centred at (x + 0.5) pitch - 0.5 */
};

/* The pitch at which the longest side of the two images is `side` px; at least 1. */
double thumbnail_pitch(const struct pyramid_layout *pre, const struct pyramid_layout *post,
                       int side);
/* which: "pre" or "post". Release with thumbnail_free. */
MUST_USE int thumbnail_load(const struct align_context *context, const char *which,
                            const struct survey *survey, double pitch, struct thumbnail *ret,
                            struct failure *failure);
void thumbnail_free(struct thumbnail *thumbnail); /* a zeroed one is fine */

struct map thumbnail_to_full(const struct thumbnail *thumbnail);
struct map thumbnail_from_full(const struct thumbnail *thumbnail);

#endif
