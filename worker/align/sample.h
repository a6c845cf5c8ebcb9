/* Values between pixels, for matching: a window of the fixed frame filled from the moving image.
 *
 * Positions are doubles. Linear for the global search, cubic convolution with a = -1/2 (Keys 1981)
 * for everything that decides about fractions of a pixel.
 */
#ifndef WORKER_ALIGN_SAMPLE_H
#define WORKER_ALIGN_SAMPLE_H

#include "worker/align/map.h"

#include <stddef.h>

/* A block of the moving image: pixel (0, 0) of it is the image's (x, y). What lies outside the
 * block counts as outside the image. */
struct sample_block {
    const float *pixels;
    int x, y, width, height;
};

struct sample_window {
    int x, y, width, height; /* in the fixed frame */
};

/* ret: the block's value where the map takes each pixel of the window, row after row; 0 outside.
 * ret_weight (may be NULL): 1 where all taps lie inside the block, else 0. */
void sample_linear(const struct sample_block *block, const struct map *map,
                   const struct sample_window *window, float *ret);
/* Returns how many pixels have weight 1. */
size_t sample_cubic(const struct sample_block *block, const struct map *map,
                    const struct sample_window *window, float *ret, float *ret_weight);

/* The smallest block that holds every tap of sample_cubic for the window, grown by margin px. */
struct sample_window sample_reach(const struct map *map, const struct sample_window *window,
                                  double margin);

#endif
