/* Sample arrangement; see tiff_pixels.h. Plain loops over rows: the compiler makes vectors of them,
 * and the usual layouts (one sample, three of three or four) have their own constant strides. */
#include "worker/tiff/tiff_pixels.h"

#include <string.h>

#define PICK(type, to, from)                                                                       \
    do {                                                                                           \
        const type *source = stored;                                                               \
        type *target = pixels;                                                                     \
        for (size_t i = 0; i < count; i++) {                                                       \
            for (size_t s = 0; s < (to); s++)                                                      \
                target[i * (to) + s] = source[i * (from) + s];                                     \
        }                                                                                          \
    } while (0)

void tiff_pixels_pick(const struct tiff_layout *layout, const void *stored, void *pixels,
                      size_t count) {
    size_t to = layout->samples, from = layout->stored_samples;
    bool bytes = layout->bits == 8;
    if (to == from)
        memcpy(pixels, stored, count * tiff_layout_pixel_bytes(layout));
    else if (to == 3 && from == 4 && bytes)
        PICK(uint8_t, 3, 4);
    else if (to == 3 && from == 4 && layout->bits == 16)
        PICK(uint16_t, 3, 4);
    else if (bytes)
        PICK(uint8_t, to, from);
    else if (layout->bits == 32)
        PICK(uint32_t, to, from);
    else
        PICK(uint16_t, to, from);
}

#define SPREAD(type, step)                                                                         \
    do {                                                                                           \
        const type *source = stored;                                                               \
        type *target = (type *)pixels + plane;                                                     \
        for (size_t i = 0; i < count; i++)                                                         \
            target[i * (step)] = source[i];                                                        \
    } while (0)

void tiff_pixels_spread(const struct tiff_layout *layout, uint32_t plane, const void *stored,
                        void *pixels, size_t count) {
    size_t step = layout->samples;
    if (layout->bits == 8 && step == 3)
        SPREAD(uint8_t, 3);
    else if (layout->bits == 8)
        SPREAD(uint8_t, step);
    else if (layout->bits == 32)
        SPREAD(uint32_t, step);
    else if (step == 3)
        SPREAD(uint16_t, 3);
    else
        SPREAD(uint16_t, step);
}

void tiff_pixels_invert(const struct tiff_layout *layout, void *pixels, size_t count) {
    if (!layout->inverted)
        return;
    unsigned char *at = pixels; /* the largest less v is all bits turned as well, in any order */
    for (size_t i = 0, n = count * tiff_layout_pixel_bytes(layout); i < n; i++)
        at[i] = (unsigned char)~at[i];
}

void tiff_pixels_swap(const struct tiff_layout *layout, void *pixels, size_t count) {
    if (!layout->swapped)
        return;
    uint16_t *shorts = pixels;
    uint32_t *longs = pixels;
    const size_t n = count * layout->samples;
    for (size_t i = 0; i < n && layout->bits == 16; i++)
        shorts[i] = __builtin_bswap16(shorts[i]);
    for (size_t i = 0; i < n && layout->bits == 32; i++)
        longs[i] = __builtin_bswap32(longs[i]);
}
