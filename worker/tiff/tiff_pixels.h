/* From samples as stored to samples as delivered (image.h): extra samples dropped, planes
 * interleaved, unsigned MinIsWhite inverted, bytes in native order.
 */
#ifndef WORKER_TIFF_TIFF_PIXELS_H
#define WORKER_TIFF_TIFF_PIXELS_H

#include "worker/tiff/tiff_layout.h"

/* Stored pixels are delivered pixels, but for inversion and byte order. */
static inline bool tiff_pixels_same_samples(const struct tiff_layout *layout) {
    return layout->stored_samples == layout->samples && (!layout->planar || layout->samples == 1);
}

/* count interleaved stored pixels -> delivered ones, without inversion. */
void tiff_pixels_pick(const struct tiff_layout *layout, const void *stored, void *pixels,
                      size_t count);
/* count samples of one plane -> their place in delivered pixels, without inversion. */
void tiff_pixels_spread(const struct tiff_layout *layout, uint32_t plane, const void *stored,
                        void *pixels, size_t count);
/* count delivered pixels, in place: inverts where the layout asks for it. */
void tiff_pixels_invert(const struct tiff_layout *layout, void *pixels, size_t count);
/* count delivered pixels, in place: swaps bytes where the layout asks for it. For what did not pass
 * through libtiff, which swaps by itself. */
void tiff_pixels_swap(const struct tiff_layout *layout, void *pixels, size_t count);

#endif
