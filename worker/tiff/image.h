/* One microscopy image in a TIFF file, seen upright: width, height, x and y are those of the image
 * as displayed (Orientation applied), whatever the order on disk.
 *
 * Samples come interleaved in native width and byte order: uint8_t for 8 bit, uint16_t for 16 bit
 * (MinIsWhite grey is delivered inverted; JPEG YCbCr as RGB; extra samples, alpha included, are
 * dropped). Two ways to read: image_stream, once through from top to bottom, and image_reader, any
 * region, from any thread that has a reader of its own.
 */
#ifndef WORKER_TIFF_IMAGE_H
#define WORKER_TIFF_IMAGE_H

#include "common/failure.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct progress;

struct image_info {
    uint32_t width, height; /* as displayed */
    uint32_t samples;       /* delivered per pixel: 1 (grey), 3 (RGB) or more (channels) */
    uint32_t bits;          /* 8 or 16; of image_open_any 32 too */
    uint32_t
        sample_format;    /* the TIFF tag's value: 1; of image_open_any 2 (signed), 3 (float) too */
    bool rgb;             /* photometric RGB or YCbCr */
    bool needs_scratch;   /* random access needs a tiled copy (image_stream writes it) */
    uint32_t orientation; /* the tag's value, 1 to 8 */
    double x_resolution, y_resolution; /* px per unit as displayed; 0: no tag */
    uint32_t resolution_unit;          /* the TIFF tag's value: 1 none, 2 inch, 3 cm */
    uint64_t file_bytes;
    uint64_t block_bytes; /* decoded at a time by image_reader; 0: straight from the file */
    uint32_t block_width, block_height; /* of these as displayed; a row: straight from the file */
    uint64_t stream_bytes;              /* buffers of image_stream, libtiff's included */
};

/* Which bytes on disk were read: what a resume compares. */
struct image_identity {
    uint64_t size;
    int64_t mtime_ns;
    char hash[33]; /* XXH3-128 of the whole file, hex; "" when not taken */
};

struct image;

/* Opens the largest full image of the file; thumbnails, labels and reduced levels are passed over.
 * Anything that cannot be read right is refused by name: "float pixels", "palette", "CMYK", ...
 *
 * Here and below -ENOTSUP is a kind of image that is not read, -EBADMSG a damaged or incomplete
 * file, -ESTALE one that changed meanwhile; all else (-EIO, -ENOMEM, -ENOSPC, ...) is the
 * environment's. */
MUST_USE int image_open(const char *path, struct image **ret, struct failure *failure);
/* Takes signed, 32-bit and float pixels too: label masks, results. They come as they are. */
MUST_USE int image_open_any(const char *path, struct image **ret, struct failure *failure);
void image_close(struct image *image);                              /* NULL is fine */
const struct image_info *image_get_info(const struct image *image); /* borrowed */
/* The size of a pixel as displayed, in micrometres; false when the file does not say. */
bool image_pixel_size(const struct image_info *info, double *ret_x_um, double *ret_y_um);
const char *image_path(const struct image *image); /* borrowed */

/* Rows [y, y + rows) of the upright image, full width, interleaved, borrowed during the call.
 * y is a multiple of 64 and so is rows, except in the last band. */
struct image_band {
    uint32_t y, rows;
    const void *pixels;
    size_t stride_bytes;
};
typedef int (*image_band_cb)(void *context, const struct image_band *band, struct failure *failure);

/* Streams the image once, top to bottom, hashing the file's bytes on the way. Where the image
 * needs_scratch, writes a tiled uncompressed copy to scratch_path in the same pass (complete on
 * success, under its final name) and attaches it. Progress runs from 0 to 1. */
MUST_USE int image_stream(struct image *image, const char *scratch_path, image_band_cb band,
                          void *context, struct progress *progress,
                          struct image_identity *ret_identity, struct failure *failure);

/* Attaches a scratch file that an earlier attempt finished. -ESTALE when it is not this image's. */
MUST_USE int image_attach_scratch(struct image *image, const char *scratch_path,
                                  struct failure *failure);

struct image_reader;
/* A reader with its own file handle and a cache of decoded blocks of at most cache_bytes (at least
 * one block is kept). Borrows image. */
MUST_USE int image_reader_open(struct image *image, uint64_t cache_bytes, struct image_reader **ret,
                               struct failure *failure);
/* For another thread: a reader of the same image that shares first's cache and is closed before it.
 */
MUST_USE int image_reader_open_beside(const struct image_reader *first, struct image_reader **ret,
                                      struct failure *failure);
void image_reader_close(struct image_reader *reader); /* NULL is fine */
/* Copies the region, which must lie inside the image, to pixels (row y starts at y * stride_bytes).
 */
MUST_USE int image_reader_read(struct image_reader *reader, uint32_t x, uint32_t y, uint32_t width,
                               uint32_t height, void *pixels, size_t stride_bytes,
                               struct failure *failure);

/* The part of an image between two lines: in row y from left + left_slope y to right + right_slope
 * y (px). */
struct image_swath {
    double left, left_slope, right, right_slope;
};
static const struct image_swath image_whole_rows = {.left = -INFINITY, .right = INFINITY};
/* A hint: the regions to come will cover most of the swath, neighbours soon after each other. Helps
 * where they are read from a cold disk. */
void image_reader_expect(struct image_reader *reader, const struct image_swath *swath);

/* Pixel bytes that this reader decoded, or copied from uncompressed strips, so far. */
uint64_t image_reader_read_bytes(const struct image_reader *reader);

/* XXH3-128 of a file's bytes with its size and mtime. */
MUST_USE int image_identify(const char *path, struct image_identity *ret, struct failure *failure);

#endif
