/* What the tests of worker/tiff share: TIFF files of every layout, written by libtiff from a
 * formula, and the pixels that reading them upright must give. Included by test_image*.c alone.
 */
#ifndef TESTS_UNIT_IMAGE_FILES_H
#define TESTS_UNIT_IMAGE_FILES_H

#include "worker/tiff/image.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <tiffio.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { IMAGE_PATH_BYTES = 256 };

struct image_file {
    uint32_t width, height; /* stored */
    uint16_t samples, bits, photometric, n_extra, extra, compression, planar, orientation;
    uint16_t predictor;                     /* 0: none */
    uint32_t tile_width, tile_height, rows; /* rows per strip where tile_width is 0 */
    const char *mode;                       /* "wl", "wb", "w8l", ... */
};

static char image_folder[] = "/tmp/test_image.XXXXXX";

static inline int image_make_folder(void **state) {
    (void)state;
    /* libtiff's warnings about files made wrong on purpose */
    (void)TIFFSetWarningHandler(NULL);
    (void)TIFFSetErrorHandler(NULL);
    return mkdtemp(image_folder) ? 0 : -1;
}

static inline int image_remove_folder(void **state) {
    (void)state;
    return rmdir(image_folder); /* fails when a test left something there */
}

static inline const char *image_in_folder(const char *name, char path[IMAGE_PATH_BYTES]) {
    (void)snprintf(path, IMAGE_PATH_BYTES, "%s/%s", image_folder, name);
    return path;
}

/* The stored sample: neighbours, rows, samples and both bytes of 16 bit are told apart. */
static inline uint16_t image_sample(uint32_t x, uint32_t y, uint32_t s, uint32_t bits) {
    uint32_t mixed = x * 2654435761U ^ (y + 77) * 2246822519U ^ (s + 5) * 3266489917U;
    mixed ^= mixed >> 15;
    return (uint16_t)(bits == 8 ? mixed & 0xff : mixed & 0xffff);
}

static inline void image_put(void *pixels, size_t at, uint16_t value, uint32_t bits) {
    if (bits == 8)
        ((uint8_t *)pixels)[at] = (uint8_t)value;
    else
        ((uint16_t *)pixels)[at] = value;
}

/* A block of stored pixels: of one plane, or of all samples (plane < 0). */
static inline void image_fill(const struct image_file *file, int plane, uint32_t x0, uint32_t y0,
                              uint32_t width, uint32_t height, void *block) {
    size_t at = 0;
    for (uint32_t y = y0; y < y0 + height; y++) {
        for (uint32_t x = x0; x < x0 + width; x++) {
            uint32_t from = plane < 0 ? 0 : (uint32_t)plane;
            uint32_t to = plane < 0 ? file->samples : from + 1;
            for (uint32_t s = from; s < to; s++)
                image_put(block, at++, image_sample(x, y, s, file->bits), file->bits);
        }
    }
}

static inline void image_set_tags(TIFF *tiff, const struct image_file *file) {
    (void)TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, file->width);
    (void)TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, file->height);
    (void)TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, file->samples);
    (void)TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, file->bits);
    (void)TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, file->photometric);
    (void)TIFFSetField(tiff, TIFFTAG_COMPRESSION, file->compression);
    (void)TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, file->planar);
    if (file->orientation)
        (void)TIFFSetField(tiff, TIFFTAG_ORIENTATION, file->orientation);
    if (file->predictor)
        (void)TIFFSetField(tiff, TIFFTAG_PREDICTOR, file->predictor);
    if (file->n_extra) {
        uint16_t extra[8];
        for (size_t i = 0; i < ARRAY_LEN(extra); i++)
            extra[i] = file->extra;
        (void)TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, file->n_extra, extra);
    }
    if (file->tile_width) {
        (void)TIFFSetField(tiff, TIFFTAG_TILEWIDTH, file->tile_width);
        (void)TIFFSetField(tiff, TIFFTAG_TILELENGTH, file->tile_height);
    } else
        (void)TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, file->rows);
}

static inline void image_write_blocks(TIFF *tiff, const struct image_file *file, int plane) {
    uint32_t width = file->tile_width ? file->tile_width : file->width;
    uint32_t height = file->tile_width ? file->tile_height : file->rows;
    size_t samples = plane < 0 ? file->samples : 1;
    unsigned char *block = malloc((size_t)width * height * samples * 2);
    assert_non_null(block);
    for (uint32_t y = 0; y < file->height; y += height) {
        for (uint32_t x = 0; x < file->width; x += width) {
            uint32_t rows = height; /* the last strip is short, tiles never are */
            if (!file->tile_width && rows > file->height - y)
                rows = file->height - y;
            image_fill(file, plane, x, y, width, rows, block);
            tmsize_t size = (tmsize_t)((size_t)width * rows * samples * file->bits / 8);
            uint16_t s = (uint16_t)(plane < 0 ? 0 : plane);
            if (file->tile_width)
                assert_true(TIFFWriteTile(tiff, block, x, y, 0, s) > 0);
            else
                assert_int_equal(
                    TIFFWriteEncodedStrip(tiff, TIFFComputeStrip(tiff, y, s), block, size), size);
        }
    }
    free(block);
}

/* Appends the image as one more directory of the open file. */
static inline void image_write_directory(TIFF *tiff, const struct image_file *file) {
    image_set_tags(tiff, file);
    if (file->planar == PLANARCONFIG_SEPARATE) {
        for (int plane = 0; plane < file->samples; plane++)
            image_write_blocks(tiff, file, plane);
    } else
        image_write_blocks(tiff, file, -1);
    assert_int_equal(TIFFWriteDirectory(tiff), 1);
}

static inline void image_write_file(const char *path, const struct image_file *file) {
    TIFF *tiff = TIFFOpen(path, file->mode ? file->mode : "w");
    assert_non_null(tiff);
    image_write_directory(tiff, file);
    TIFFClose(tiff);
}

/* The TIFF 6.0 table of orientations, written out: where an upright pixel is stored. */
static inline void image_stored_place(const struct image_file *file, uint32_t x, uint32_t y,
                                      uint32_t *ret_x, uint32_t *ret_y) {
    uint32_t right = file->width - 1, bottom = file->height - 1;
    switch (file->orientation) {
    case ORIENTATION_TOPRIGHT:
        *ret_x = right - x, *ret_y = y;
        break;
    case ORIENTATION_BOTRIGHT:
        *ret_x = right - x, *ret_y = bottom - y;
        break;
    case ORIENTATION_BOTLEFT:
        *ret_x = x, *ret_y = bottom - y;
        break;
    case ORIENTATION_LEFTTOP: /* row 0 is the left side, column 0 the top */
        *ret_x = y, *ret_y = x;
        break;
    case ORIENTATION_RIGHTTOP:
        *ret_x = y, *ret_y = bottom - x;
        break;
    case ORIENTATION_RIGHTBOT:
        *ret_x = right - y, *ret_y = bottom - x;
        break;
    case ORIENTATION_LEFTBOT:
        *ret_x = right - y, *ret_y = x;
        break;
    default:
        *ret_x = x, *ret_y = y;
    }
}

/* The upright pixels that reading must deliver: `samples` of each. Owned by the caller. */
static inline void *image_expected(const struct image_file *file, uint32_t samples) {
    bool swap = file->orientation > ORIENTATION_BOTLEFT;
    uint32_t width = swap ? file->height : file->width, height = swap ? file->width : file->height;
    void *pixels = malloc((size_t)width * height * samples * 2);
    assert_non_null(pixels);
    size_t at = 0;
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            uint32_t from_x = 0, from_y = 0;
            image_stored_place(file, x, y, &from_x, &from_y);
            for (uint32_t s = 0; s < samples; s++) {
                uint16_t value = image_sample(from_x, from_y, s, file->bits);
                if (file->photometric == PHOTOMETRIC_MINISWHITE)
                    value = (uint16_t)((file->bits == 8 ? 255 : 65535) - value);
                image_put(pixels, at++, value, file->bits);
            }
        }
    }
    return pixels;
}

/* Puts bands together, and checks their order and heights. */
struct image_canvas {
    uint32_t width, height, rows;
    size_t pixel_bytes;
    unsigned char *pixels;
};

static inline int image_collect(void *context, const struct image_band *band,
                                struct failure *failure) {
    (void)failure;
    struct image_canvas *canvas = context;
    assert_int_equal(band->y, canvas->rows);
    assert_true(band->rows > 0 && band->y + band->rows <= canvas->height);
    assert_true(band->rows % 64 == 0 || band->y + band->rows == canvas->height);
    size_t row_bytes = canvas->width * canvas->pixel_bytes;
    for (uint32_t i = 0; i < band->rows; i++)
        memcpy(canvas->pixels + (band->y + i) * row_bytes,
               (const unsigned char *)band->pixels + i * band->stride_bytes, row_bytes);
    canvas->rows += band->rows;
    return 0;
}

/* Streams the whole image. The caller frees the canvas' pixels. */
static inline int image_stream_all(struct image *image, const char *scratch,
                                   struct image_canvas *canvas, struct image_identity *identity,
                                   struct failure *failure) {
    const struct image_info *info = image_get_info(image);
    *canvas = (struct image_canvas){.width = info->width,
                                    .height = info->height,
                                    .pixel_bytes = (size_t)info->samples * info->bits / 8};
    canvas->pixels = calloc((size_t)info->width * info->height, canvas->pixel_bytes);
    assert_non_null(canvas->pixels);
    return image_stream(image, scratch, image_collect, canvas, NULL, identity, failure);
}

#endif
