/* The map from all pixels of both images at once, reduced to a million or so.
 *
 * Tiles have a tone of their own each, and each must hold still by itself; where images show little
 * but a few outlines, with holes and objects among them, that leaves most of the evidence unused.
 * Here the whole overlap shares one tone curve and one map: Gauss-Newton on the squared difference
 * of the post image and the resampled, toned pre image (Lucas & Kanade 1981), of which the sharper
 * is blurred like the other. What does not correlate nearby, or does not follow the common tone, is
 * in one of the images alone and counts for little. The equations are kept by cell; cells
 * drawn anew, again and again, say how well the map is known (the bootstrap, Efron 1979).
 */
#ifndef WORKER_ALIGN_JOINT_H
#define WORKER_ALIGN_JOINT_H

#include "worker/align/error_bar.h"
#include "worker/align/tiles.h"

/* px: a map that tiles know so well gains nothing from it. */
extern const double joint_needless_px;

struct joint_request {
    const struct align_context *context;
    const struct survey *pre, *post;
    const struct thumbnail *texture; /* the post image's tone */
    int tile_px;                     /* full-resolution cells, as refine has them */
    enum tiles_parity parity;        /* of the cells whose pixels are looked at */
};

struct joint_map {
    struct map map;
    enum fit_model model;
    /* On cells with texture; offset_px is 0. tiles 0: there was nothing to fit, and the rest is not
     * set: images above 51 megapixels, whose reduced ones show too little, or nothing in common, or
     * no memory to spare. */
    struct error_bar bar;
    double more_common; /* what correlates nearby, times what does by the start */
};

/* A map to be compared with others. */
struct joint_rival {
    struct map map;
    bool inverted; /* what is bright in one image is dark in the other */
    double common; /* what of the overlap correlates nearby, 0 to 1; an answer */
};
/* What strangers share by accident is a tenth of what a right map does, and less: but the images
 * must show much to be asked so, and a map be right to some pixels of the reduced ones. Where the
 * images are too large, or there is no memory to spare, the answers are 0. tile_px and parity of
 * the request are not taken. */
MUST_USE int joint_compare(const struct joint_request *request, struct joint_rival *rivals,
                           size_t count, struct failure *failure);

/* From a map that is right to some ten pixels of the reduced images. The model is the highest that
 * params allow: where a cell counts for what it knows, a lower one gains little. */
MUST_USE int joint_fit(const struct joint_request *request, const struct map *start,
                       struct joint_map *ret, struct failure *failure);

/* Whether it is to be taken in place of the start, which tiles know to spread_px (HUGE_VAL: not at
 * all). */
bool joint_serves_better(const struct joint_map *joint, double spread_px);

#endif
