/* Where one tile of the post image really lies, measured against the current map.
 *
 * The moving image is sampled through the map onto the tile's own pixels; the remaining shift is
 * the peak of the half-whitened correlation of the two, made finer by Gauss-Newton on the squared
 * difference after the best gain and offset (which is maximal normalised correlation), with robust
 * weights so that objects of one image alone do not pull. The curvature at the end gives the
 * inverse covariance: an edge counts along one axis only.
 *
 * The sub-pixel start is a parabola through the peak rather than an upsampled transform
 * (Guizar-Sicairos 2008): Gauss-Newton ends in the same place from either.
 */
#ifndef WORKER_ALIGN_TILE_H
#define WORKER_ALIGN_TILE_H

#include "worker/align/survey.h"
#include "worker/align/tile_grain.h"
#include "worker/align/tile_parts.h"

enum { TILE_MAX_SIZE = 128 };

/* One thread's readers and scratch memory. */
struct tile_bench;

/* What all benches of a stage share. Borrows. with_images: levels 0 and 1 are needed. */
struct tile_pair {
    const struct align_context *context;
    const struct survey *pre, *post;
    bool with_images;
    uint64_t cache_bytes; /* of each image's reader */
};
MUST_USE int tile_bench_open(const struct tile_pair *pair, struct tile_bench **ret,
                             struct failure *failure);
void tile_bench_close(struct tile_bench *bench); /* NULL is fine */

/* How the two images are compared. */
struct tile_look {
    bool bent;        /* gamma and stain bend the tone; a parabola in place of a line undoes it */
    double smooth_px; /* both images are blurred by it first, against noise; 0: a little */
};

struct tile_request {
    int level;
    int x, y, size; /* the tile in the post image's level */
    int reach_px;   /* the farthest shift looked for, px of the level; at most size / 2 */
    bool peak_only; /* no Gauss-Newton: good to a fraction of a pixel, several times faster */
    /* No search: Gauss-Newton from where the map puts the tile, within reach_px. For a map that is
     * right to a pixel or two: an edge alone then says what it can, as there is no peak to miss. */
    bool stay;
    struct tile_look look;
    const struct map *map; /* full resolution */
};

struct tile_shift {
    bool measured; /* false: outside the moving image, or flat */
    bool settled;  /* Gauss-Newton stayed at the peak: there is one */
    /* post (x, y) matches pre map(x + dx, y + dy); px of the post image's level */
    double dx, dy;
    double peak_ratio;                /* of the correlation's highest peak to the next one, */
    double next_dx, next_dy;          /* which lies here */
    double correlation;               /* normalised, after the shift, -1 to 1 */
    double covariance;                /* the same of the tones, not normalised */
    double info_xx, info_xy, info_yy; /* inverse covariance of (dx, dy) */
    /* Deviation of the coarse tone in each part, where the map puts them: whether an image shows
     * anything there. Known when measured. */
    float fixed_structure[TILE_PARTS], moving_structure[TILE_PARTS];
};

MUST_USE int tile_measure(struct tile_bench *bench, const struct tile_request *request,
                          struct tile_shift *ret, struct failure *failure);
/* What the images show where the map puts the tile: request's place and map are taken. */
MUST_USE int tile_measure_grain(struct tile_bench *bench, const struct tile_request *request,
                                struct tile_grains *ret, struct failure *failure);

#endif
