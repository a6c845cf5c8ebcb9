/* The texture of a tile in two bands, part by part, and how steep the tone is around each part when
 * it is seen from afar: far from every outline the parts of two images are alike only where they
 * show the same. */
#ifndef WORKER_ALIGN_TILE_GRAIN_H
#define WORKER_ALIGN_TILE_GRAIN_H

#include "common/failure.h"

enum { TILE_GRAIN_PX = 16, TILE_GRAIN_PARTS = 8 * 8 /* of 128 px */ };

enum tile_image { TILE_FIXED, TILE_MOVING, TILE_IMAGE_COUNT };
/* Between two blurs. */
enum tile_band { TILE_BAND_FINE, TILE_BAND_COARSE, TILE_BAND_COUNT };

/* Of the tone. */
struct tile_grain {
    float slope[TILE_IMAGE_COUNT]; /* the steepest nearby, a pixel, seen from afar */
    float deviation[TILE_BAND_COUNT][TILE_IMAGE_COUNT];
    float correlation[TILE_BAND_COUNT]; /* of the two images, -1 to 1 */
};

struct tile_grains {
    int count; /* 0: the images do not both cover the tile */
    struct tile_grain parts[TILE_GRAIN_PARTS];
};

/* The two images on the tile's pixels, and three more buffers of its size. The latter are
 * overwritten. */
struct tile_grain_images {
    const float *pixels[TILE_IMAGE_COUNT];
    float *scratch[TILE_IMAGE_COUNT + 1];
    int size; /* 128 at most, a multiple of TILE_GRAIN_PX */
};

/* One for each part of TILE_GRAIN_PX, row by row. */
MUST_USE int tile_grain_take(const struct tile_grain_images *images, struct tile_grains *ret,
                             struct failure *failure);

#endif
