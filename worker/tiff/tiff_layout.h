/* How an image lies in its file, checked: what cannot be read right is refused here, by name,
 * before anything is allocated.
 *
 * "Stored" is the order on disk; the orientation is not yet applied. A block is a tile or a strip,
 * of one plane where the planes are apart.
 */
#ifndef WORKER_TIFF_TIFF_LAYOUT_H
#define WORKER_TIFF_TIFF_LAYOUT_H

#include "worker/tiff/tiff_handle.h"

struct tiff_layout {
    uint64_t directory;      /* offset of the image's directory */
    uint32_t width, height;  /* stored */
    uint32_t stored_samples; /* per pixel, extra samples included */
    uint32_t samples;        /* delivered: the first ones */
    uint32_t bits;           /* 8, 16 or 32 */
    uint16_t sample_format;  /* the tag's value: 1 whole, 2 signed, 3 float */
    bool rgb, planar, tiled;
    bool inverted; /* MinIsWhite */
    bool swapped;  /* more than 8 bit in the other byte order */
    bool raw;      /* uncompressed strips: read without libtiff, any pixel at once */
    bool mapped;   /* has compressed strips too large to be read whole */
    uint32_t block_width, block_height;
    uint64_t largest_read; /* bytes on disk that libtiff holds to decode a block; 0: none */
    uint32_t orientation;  /* 1 to 8 */
    double x_resolution, y_resolution; /* stored; 0: no tag */
    uint32_t resolution_unit;
};

/* Which kinds of numbers pixels may be. */
enum tiff_layout_numbers {
    TIFF_LAYOUT_COUNTS, /* 8- and 16-bit unsigned: what a camera counts */
    TIFF_LAYOUT_ANY,    /* signed and 32-bit ones too, and 32-bit floats */
};

/* Checks and describes the image whose directory the handle is at. -ENOTSUP: a kind of image that
 * is refused; -EBADMSG: a damaged file. */
MUST_USE int tiff_layout_read(struct tiff_handle *handle, const struct tiff_file *file,
                              enum tiff_layout_numbers numbers, struct tiff_layout *ret,
                              struct failure *failure);

static inline size_t tiff_layout_pixel_bytes(const struct tiff_layout *layout) {
    return (size_t)layout->samples * (layout->bits / 8);
}
/* Of one pixel in one block on disk. */
static inline size_t tiff_layout_stored_bytes(const struct tiff_layout *layout) {
    return (size_t)(layout->planar ? 1 : layout->stored_samples) * (layout->bits / 8);
}
/* Delivered bytes of a whole block. */
static inline size_t tiff_layout_block_bytes(const struct tiff_layout *layout) {
    return tiff_layout_pixel_bytes(layout) * layout->block_width * layout->block_height;
}

/* Reading regions from the file itself would decode far more than they hold. */
bool tiff_layout_needs_copy(const struct tiff_layout *layout);
/* A window of rows (tiff_rows.h) stays within its limit; else the copy is made block by block. */
bool tiff_layout_fits_window(const struct tiff_layout *layout);

#endif
