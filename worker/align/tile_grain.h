/* The texture of a tile in two bands, part by part, and how steep the tone is around each part when
 * it is seen from afar: far from every outline the parts of two images are alike only where they
 * show the same. */
#ifndef WORKER_ALIGN_TILE_GRAIN_H
#define WORKER_ALIGN_TILE_GRAIN_H

#include "common/failure.h"

enum { TILE_GRAIN_PX = 16, TILE_GRAIN_PARTS = 8 * 8 /* of 128 px */ };

/* Between two blurs. */
enum tile_band { TILE_BAND_FINE, TILE_BAND_COARSE, TILE_BAND_COUNT };

struct tile_grain {
    struct {
        float fixed, moving; /* deviation of the tone */
        float correlation;   /* of the two, -1 to 1 */
    } bands[TILE_BAND_COUNT];
    float fixed_slope, moving_slope; /* the steepest nearby, of the tone a pixel */
};

struct tile_grains {
    int count; /* 0: the images do not both cover the tile */
    struct tile_grain parts[TILE_GRAIN_PARTS];
};

/* The two images on the tile's pixels, and three more buffers of its size. The latter are
 * overwritten. */
struct tile_grain_images {
    const float *fixed, *moving;
    float *scratch[3];
    int size; /* 128 at most, a multiple of TILE_GRAIN_PX */
};

/* One for each part of TILE_GRAIN_PX, row by row. */
MUST_USE int tile_grain_take(const struct tile_grain_images *images, struct tile_grains *ret,
                             struct failure *failure);

#endif
