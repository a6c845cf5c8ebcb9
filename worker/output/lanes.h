/* Between pixels as they stand in files, interleaved samples of 8 or 16 bit, and the float lanes
 * that the sampler works on: 1 lane (grey) or 4 (up to four channels; unused lanes are 0). Both
 * ways go through a row at a time and are vectorised by the compiler (-O3, see Makefile).
 *
 * Samples of 32 bit go into the lanes as they are, bit by bit: floats are sampled by every kernel,
 * whole numbers only by the nearest, which moves them and does not calculate.
 */
#ifndef WORKER_OUTPUT_LANES_H
#define WORKER_OUTPUT_LANES_H

#include <stddef.h>
#include <stdint.h>

enum { LANES_MAX = 4, LANES_MOST_PIXELS = 256 /* that lanes_narrow takes at once */ };

/* Of the pixels. */
struct lanes_format {
    uint32_t samples, bits; /* 8, 16 or 32 */
    size_t first, n;        /* channels [first, first + n) are in the lanes; n <= LANES_MAX */
};

static inline size_t lanes_of(uint32_t samples) { return samples == 1 ? 1 : LANES_MAX; }

/* count pixels to lanes_of(samples) floats each. */
void lanes_widen(const struct lanes_format *format, const void *pixels, size_t count, float *ret);

/* Back: rounded to nearest and clamped, for a kernel with negative lobes overshoots. */
void lanes_narrow(const struct lanes_format *format, const float *lanes, size_t count,
                  void *ret_pixels);

#endif
