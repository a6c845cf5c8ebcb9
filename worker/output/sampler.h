/* Resampling: values of an image between its pixel centres.
 *
 * Positions are double from the map to the weights: nothing is rounded to a table's step. Kernels:
 * nearest; linear; cubic convolution with a = -1/2 (Keys 1981, "Catmull-Rom"); Lanczos with three
 * lobes, its weights divided by their sum. All interpolate: at an integer position the result is
 * that pixel. No fused multiply-add is used, so every x86-64 gives the same bytes.
 *
 * The source is a block of float pixels with 1 lane (grey) or 4 lanes (up to four channels, unused
 * ones zero) per pixel. It holds SAMPLER_BEFORE px in front of and SAMPLER_AFTER px behind every
 * floor(position) that is asked for; who fills it repeats the image's edge outside the image.
 */
#ifndef WORKER_OUTPUT_SAMPLER_H
#define WORKER_OUTPUT_SAMPLER_H

#include "common/params.h"

#include <stddef.h>

enum {
    SAMPLER_BEFORE = 2, /* taps reach from floor(position) - 2 ... */
    SAMPLER_AFTER = 6,  /* ... to + 3; vector loads look at up to 3 px more */
};

struct sampler_source {
    const float *pixels;
    int lanes;         /* 1 or 4 */
    size_t stride;     /* floats from row to row */
    double x, y;       /* image position of pixel (0, 0) of the block: whole numbers */
    int width, height; /* of the block, margins included */
};

/* Values at count positions (x[i], y[i]) in image coordinates to ret, `lanes` floats each. A
 * position without its full margin inside the block is moved to the nearest one that has it. */
void sampler_run(enum params_interpolation kind, const struct sampler_source *source,
                 const double *x, const double *y, size_t count, float *ret);

#endif
