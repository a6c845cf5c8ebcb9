/* How well a map is known, from tiles.
 *
 * The map's own model is fitted to the tiles on top of the map, each with its covariance: what that
 * moves is the map's error, as far as they can tell. The same fit to tiles drawn from them with
 * replacement, again and again (the bootstrap, Efron 1979), says how well that is known. Of a grid
 * the error's affine part is taken; what it misses locally shows in the residuals.
 */
#ifndef WORKER_ALIGN_ERROR_BAR_H
#define WORKER_ALIGN_ERROR_BAR_H

#include "worker/align/fit.h"

enum { ERROR_BAR_ROUNDS = 120, ERROR_BAR_CORNERS = 4 };

/* px of the pre image; radii hold 95 % of the bootstrap's places about the map's own. */
struct error_bar {
    int tiles;                            /* 0: too few, and the rest is 0 */
    double corners_px[ERROR_BAR_CORNERS]; /* radius at post's top left, right, bottom ... */
    double tissue_px;                     /* radius where it is largest among the places */
    double offset_px; /* how far the tiles put the worst place from where the map does */
};

struct error_bar_sample {
    const struct fit_match *matches; /* x, y where the map puts them, px of pre */
    size_t count;
    const struct map_point *places; /* of the tissue, corners of the frame first; px of pre */
    size_t n_places;
    enum fit_model model;
    int rounds; /* of the bootstrap; ERROR_BAR_ROUNDS, or fewer for a rough answer */
    uint32_t seed;
};

/* Draws by the seed alone: the same sample gives the same bytes. */
MUST_USE int error_bar_find(const struct error_bar_sample *sample, struct error_bar *ret,
                            struct failure *failure);

#endif
