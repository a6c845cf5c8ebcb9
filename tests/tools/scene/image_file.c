/* The TIFF, written from top to bottom: strips by scanlines, tiles by rows of tiles.
 *
 * Orientation costs nothing: it is one more map between the order on disk and the scene. Planar
 * files are rendered once per plane, so that each strip is still written in one go.
 */
#include "tests/tools/scene/image_file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>

enum { TILE_PX = 256, JPEG_QUALITY = 92 };

struct image_writer {
    TIFF *tiff;
    const struct image_layout *layout;
    struct view view; /* of pixels in the order on disk */
    const struct image_noise *noise;
    uint32_t width, height; /* on disk */
    uint32_t band_rows;
    int samples;
    float *signal;         /* a band, width pixels a row */
    unsigned char *pixels; /* the same, as samples */
    unsigned char *tile;
};

/* From the order on disk to the image as displayed (TIFF 6.0, Orientation). */
static struct matrix orientation_map(const struct image_layout *layout) {
    double right = (double)layout->width - 1.0;
    double bottom = (double)layout->height - 1.0;
    const struct matrix maps[9] = {
        [1] = {{1, 0, 0, 0, 1, 0, 0, 0, 1}},
        [2] = {{-1, 0, right, 0, 1, 0, 0, 0, 1}},
        [3] = {{-1, 0, right, 0, -1, bottom, 0, 0, 1}},
        [4] = {{1, 0, 0, 0, -1, bottom, 0, 0, 1}},
        [5] = {{0, 1, 0, 1, 0, 0, 0, 0, 1}},
        [6] = {{0, -1, right, 1, 0, 0, 0, 0, 1}},
        [7] = {{0, -1, right, -1, 0, bottom, 0, 0, 1}},
        [8] = {{0, 1, 0, -1, 0, bottom, 0, 0, 1}},
    };
    return maps[layout->orientation];
}

/* A standard normal number that depends on the pixel alone: the sum of four uniform ones. */
static double pixel_noise(uint64_t seed, uint32_t x, uint32_t y, int sample) {
    uint64_t state = seed ^ ((uint64_t)y << 34) ^ ((uint64_t)x << 2) ^ (uint64_t)sample;
    uint64_t bits = scene_random(&state);
    double sum = 0.0;
    for (int i = 0; i < 4; i++)
        sum += (double)((bits >> (16 * i)) & 0xffff);
    return (sum / 65535.0 - 2.0) * 1.7320508;
}

/* Poisson's distribution: by multiplication (Knuth 1969) where it is skewed, else the normal one.
 */
static double count_photons(double mean, uint64_t *state, double normal) {
    enum { MANY = 60 };
    if (mean > MANY)
        return fmax(floor(mean + sqrt(mean) * normal + 0.5), 0.0);
    double limit = exp(-mean), product = scene_uniform(state);
    int count = 0;
    for (; product > limit; count++)
        product *= scene_uniform(state);
    return count;
}

static double add_noise(const struct image_noise *noise, double value, uint32_t x, uint32_t y,
                        int sample) {
    double normal = pixel_noise(noise->seed, x, y, sample);
    double ret = value;
    if (noise->photons > 0.0 && value > 0.0) {
        uint64_t state = noise->seed ^ ((uint64_t)x << 34) ^ ((uint64_t)y << 2) ^ (uint64_t)sample;
        ret = count_photons(value * noise->photons, &state, normal) / noise->photons;
    }
    if (value > 0.0)
        ret += noise->level * sqrt(value) * normal;
    if (noise->read > 0.0)
        ret += noise->read * pixel_noise(~noise->seed, x, y, sample);
    return ret;
}

/* Bright field: white light less what the stain takes; the weights' Rec. 601 luminance is 1, so
 * that the inverted luminance is the signal again. */
static double sample_value(const struct image_layout *layout, double signal, int sample) {
    static const double stain[3] = {0.75, 1.1468, 0.90};
    switch (layout->colour) {
    case IMAGE_GREY:
        return signal;
    case IMAGE_RGB:
        return signal * layout->weights[sample];
    case IMAGE_BRIGHT_FIELD:
        return 1.0 - signal * stain[sample];
    }
    return 0.0;
}

/* The band's signal as samples: of one plane, or all of them interleaved when plane is -1. */
static void quantise_band(struct image_writer *writer, uint32_t y0, uint32_t rows, int plane) {
    const struct image_layout *layout = writer->layout;
    double full = layout->bits == 8 ? 255.0 : 65535.0;
    int from = plane < 0 ? 0 : plane;
    int to = plane < 0 ? writer->samples : plane + 1;
    size_t at = 0;
    for (uint32_t y = 0; y < rows; y++)
        for (uint32_t x = 0; x < writer->width; x++)
            for (int sample = from; sample < to; sample++, at++) {
                double signal = (double)writer->signal[(size_t)y * writer->width + x];
                double value = sample_value(layout, signal, sample);
                value = add_noise(writer->noise, value, x, y0 + y, sample);
                value = fmin(fmax(value, 0.0), 1.0) * full + 0.5;
                if (layout->bits == 8)
                    writer->pixels[at] = (unsigned char)value;
                else
                    ((uint16_t *)(void *)writer->pixels)[at] = (uint16_t)value;
            }
}

static void render_band(struct image_writer *writer, uint32_t y0, uint32_t rows) {
    for (uint32_t y = 0; y < rows; y += RENDER_BLOCK_PX)
        for (uint32_t x = 0; x < writer->width; x += RENDER_BLOCK_PX) {
            uint32_t w = writer->width - x < RENDER_BLOCK_PX ? writer->width - x : RENDER_BLOCK_PX;
            uint32_t h = rows - y < RENDER_BLOCK_PX ? rows - y : RENDER_BLOCK_PX;
            render_block(&writer->view, (int)x, (int)(y0 + y), (int)w, (int)h,
                         writer->signal + (size_t)y * writer->width + x, writer->width);
        }
}

static size_t pixel_bytes(const struct image_writer *writer) {
    size_t samples = writer->layout->planar ? 1 : (size_t)writer->samples;
    return samples * (size_t)writer->layout->bits / 8;
}

static bool put_scanlines(struct image_writer *writer, uint32_t y0, uint32_t rows, int plane) {
    size_t row_bytes = pixel_bytes(writer) * writer->width;
    for (uint32_t y = 0; y < rows; y++)
        if (TIFFWriteScanline(writer->tiff, writer->pixels + y * row_bytes, y0 + y,
                              (uint16_t)(plane < 0 ? 0 : plane)) < 0)
            return false;
    return true;
}

static bool put_tiles(struct image_writer *writer, uint32_t y0, uint32_t rows, int plane) {
    size_t bytes = pixel_bytes(writer);
    for (uint32_t x = 0; x < writer->width; x += TILE_PX) {
        uint32_t columns = writer->width - x < TILE_PX ? writer->width - x : TILE_PX;
        memset(writer->tile, 0, bytes * TILE_PX * TILE_PX);
        for (uint32_t y = 0; y < rows; y++)
            memcpy(writer->tile + (size_t)y * TILE_PX * bytes,
                   writer->pixels + ((size_t)y * writer->width + x) * bytes, columns * bytes);
        if (TIFFWriteTile(writer->tiff, writer->tile, x, y0, 0, (uint16_t)(plane < 0 ? 0 : plane)) <
            0)
            return false;
    }
    return true;
}

static bool set_tags(const struct image_writer *writer) {
    const struct image_layout *layout = writer->layout;
    TIFF *tiff = writer->tiff;
    bool jpeg = layout->compression == COMPRESSION_JPEG;
    bool ok = TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, writer->width) &&
              TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, writer->height) &&
              TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, writer->samples) &&
              TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, layout->bits) &&
              TIFFSetField(tiff, TIFFTAG_PLANARCONFIG,
                           layout->planar ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG) &&
              TIFFSetField(tiff, TIFFTAG_ORIENTATION, layout->orientation) &&
              TIFFSetField(tiff, TIFFTAG_COMPRESSION, layout->compression);
    if (layout->colour == IMAGE_GREY)
        ok = ok && TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    else
        ok = ok && TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
                                jpeg && !layout->planar ? PHOTOMETRIC_YCBCR : PHOTOMETRIC_RGB);
    if (jpeg)
        ok = ok && TIFFSetField(tiff, TIFFTAG_JPEGQUALITY, JPEG_QUALITY);
    if (jpeg && layout->colour != IMAGE_GREY && !layout->planar)
        ok = ok && TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    if (layout->predictor)
        ok = ok && TIFFSetField(tiff, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
    if (layout->tiling == IMAGE_TILES)
        return ok && TIFFSetField(tiff, TIFFTAG_TILEWIDTH, TILE_PX) &&
               TIFFSetField(tiff, TIFFTAG_TILELENGTH, TILE_PX);
    return ok && TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP,
                              layout->tiling == IMAGE_ONE_STRIP ? writer->height
                                                                : layout->rows_per_strip);
}

static bool write_planes(struct image_writer *writer) {
    for (int plane = writer->layout->planar ? 0 : -1;
         plane < (writer->layout->planar ? writer->samples : 0); plane++)
        for (uint32_t y = 0; y < writer->height; y += writer->band_rows) {
            uint32_t rows =
                writer->height - y < writer->band_rows ? writer->height - y : writer->band_rows;
            render_band(writer, y, rows);
            quantise_band(writer, y, rows, plane);
            if (writer->layout->tiling == IMAGE_TILES ? !put_tiles(writer, y, rows, plane)
                                                      : !put_scanlines(writer, y, rows, plane))
                return false;
        }
    return true;
}

int image_file_write(const char *path, const struct image_layout *layout, const struct view *view,
                     const struct image_noise *noise, struct failure *failure) {
    bool turned = layout->orientation >= 5;
    struct image_writer writer = {
        .layout = layout,
        .view = *view,
        .noise = noise,
        .width = turned ? layout->height : layout->width,
        .height = turned ? layout->width : layout->height,
        .band_rows = layout->tiling == IMAGE_TILES ? TILE_PX : RENDER_BLOCK_PX,
        .samples = layout->colour == IMAGE_GREY ? 1 : 3,
    };
    writer.view.to_scene = matrix_then(orientation_map(layout), view->to_scene);
    if (!TIFFIsCODECConfigured(layout->compression))
        return failure_set(failure, -ENOTSUP, "%s: this libtiff cannot write compression %d", path,
                           layout->compression);
    char mode[4] = {'w', layout->big_endian ? 'b' : 'l', layout->bigtiff ? '8' : '\0', '\0'};
    writer.tiff = TIFFOpen(path, mode);
    if (!writer.tiff)
        return failure_set(failure, -EIO, "%s: cannot be created; does its folder exist?", path);
    size_t band_pixels = (size_t)writer.width * writer.band_rows;
    CLEANUP_FREE float *signal = writer.signal = malloc(band_pixels * sizeof(float));
    CLEANUP_FREE unsigned char *pixels = writer.pixels = malloc(band_pixels * pixel_bytes(&writer));
    CLEANUP_FREE unsigned char *tile = writer.tile =
        malloc((size_t)TILE_PX * TILE_PX * pixel_bytes(&writer));
    bool ok = signal && pixels && tile && set_tags(&writer) && write_planes(&writer) &&
              TIFFFlush(writer.tiff);
    TIFFClose(writer.tiff);
    if (ok)
        return 0;
    (void)unlink(path); /* half an image is no use to anyone */
    return failure_set(failure, -EIO, "%s: cannot be written (disk full? unknown combination?)",
                       path);
}
