/* floor PRE POST TRUTH.json OUT: the least that any aligner must do, given the answer.
 *
 * Reads both images once, whole, into RAM; warps pre with the map it is told (bilinear, two
 * threads); writes OUT/aligned.tif and OUT/difference.tif, uncompressed, no sync. It searches
 * nothing, checks nothing and bounds nothing: what an align task takes above it is the price of
 * finding the map, of knowing that it is right, and of doing so in half a gigabyte.
 */
#include "common/json_read.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <tiffio.h>

enum { THREADS = 2 };

struct picture {
    uint32_t width, height;
    uint16_t samples, bits;
    unsigned char *pixels;
};

struct share {
    const struct picture *pre, *post;
    struct picture *aligned;
    float *difference;
    const double *map;
    double scale;
    uint32_t from, to;
};

static void picture_free(struct picture *picture) { free(picture->pixels); }

static bool read_picture(const char *path, struct picture *ret) {
    TIFF *tiff = TIFFOpen(path, "r");
    if (!tiff)
        return false;
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &ret->width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &ret->height);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &ret->samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &ret->bits);
    size_t row = (size_t)TIFFScanlineSize(tiff);
    ret->pixels = malloc(row * ret->height);
    bool ok = ret->pixels && !TIFFIsTiled(tiff);
    for (uint32_t y = 0; ok && y < TIFFNumberOfStrips(tiff); y++) {
        uint32_t rows = 0;
        TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
        ok = TIFFReadEncodedStrip(tiff, y, ret->pixels + (size_t)y * rows * row, -1) >= 0;
    }
    TIFFClose(tiff);
    return ok;
}

static double sample_at(const struct picture *picture, size_t index) {
    return picture->bits == 8 ? (double)picture->pixels[index]
                              : (double)((const uint16_t *)(const void *)picture->pixels)[index];
}

static void warp_pixel(const struct share *share, uint32_t x, uint32_t y) {
    const struct picture *pre = share->pre;
    const double *m = share->map;
    double w = m[6] * x + m[7] * y + m[8];
    double px = (m[0] * x + m[1] * y + m[2]) / w;
    double py = (m[3] * x + m[4] * y + m[5]) / w;
    size_t at = (size_t)y * share->post->width + x;
    share->difference[at] = 0.0F;
    if (!(px >= 0.0) || !(py >= 0.0) || px >= pre->width - 1.0 || py >= pre->height - 1.0)
        return;
    size_t left = (size_t)px;
    size_t top = (size_t)py;
    double u = px - (double)left;
    double v = py - (double)top;
    size_t corner = (top * pre->width + left) * pre->samples;
    size_t below = corner + (size_t)pre->width * pre->samples;
    double sum = 0.0;
    double post = 0.0;
    for (uint16_t s = 0; s < pre->samples; s++) {
        double value = (1 - v) * ((1 - u) * sample_at(pre, corner + s) +
                                  u * sample_at(pre, corner + pre->samples + s)) +
                       v * ((1 - u) * sample_at(pre, below + s) +
                            u * sample_at(pre, below + pre->samples + s));
        sum += value;
        post += sample_at(share->post, at * pre->samples + s);
        if (pre->bits == 8)
            share->aligned->pixels[at * pre->samples + s] = (unsigned char)(value + 0.5);
        else
            ((uint16_t *)(void *)share->aligned->pixels)[at * pre->samples + s] =
                (uint16_t)(value + 0.5);
    }
    share->difference[at] = (float)(post - share->scale * sum);
}

static void *warp_share(void *context) {
    const struct share *share = context;
    for (uint32_t y = share->from; y < share->to; y++)
        for (uint32_t x = 0; x < share->post->width; x++)
            warp_pixel(share, x, y);
    return NULL;
}

static bool write_picture(const char *folder, const char *name, const struct picture *picture,
                          int format) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return false;
    TIFF *tiff = TIFFOpen(path, "w8");
    if (!tiff)
        return false;
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, picture->width);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, picture->height);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, picture->samples);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, picture->bits);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, format);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
                 picture->samples == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 64);
    size_t strip = (size_t)TIFFStripSize(tiff);
    size_t left = (size_t)TIFFScanlineSize(tiff) * picture->height;
    bool ok = true;
    for (uint32_t i = 0; ok && left > 0; i++) {
        size_t length = left < strip ? left : strip;
        ok = TIFFWriteEncodedStrip(tiff, i, picture->pixels + i * strip, (tmsize_t)length) >= 0;
        left -= length;
    }
    ok = ok && TIFFFlush(tiff);
    TIFFClose(tiff);
    return ok;
}

static bool read_truth(const char *path, double ret_map[9], double *ret_gain) {
    CLEANUP_JSON json_t *truth = NULL;
    struct failure failure;
    if (json_read_file(path, 16 << 20, &truth, &failure) < 0)
        return false;
    const json_t *rows = json_object_get(truth, "post_to_pre");
    for (size_t i = 0; i < 9; i++)
        ret_map[i] = json_number_value(json_array_get(json_array_get(rows, i / 3), i % 3));
    *ret_gain = json_number_value(json_object_get(truth, "gain"));
    return true;
}

int main(int argc, char **argv) {
    CLEANUP(picture_free) struct picture pre = {0};
    CLEANUP(picture_free) struct picture post = {0};
    CLEANUP(picture_free) struct picture aligned = {0};
    CLEANUP(picture_free) struct picture difference = {0};
    double map[9];
    double gain;
    if (argc != 5 || !read_picture(argv[1], &pre) || !read_picture(argv[2], &post) ||
        !read_truth(argv[3], map, &gain) || pre.samples != post.samples || pre.bits != post.bits) {
        (void)fputs("usage: floor PRE POST TRUTH.json OUT (stripped images of one kind)\n", stderr);
        return 2;
    }
    size_t area = (size_t)post.width * post.height;
    aligned = post;
    aligned.pixels = calloc(area * post.samples, post.bits / 8);
    difference =
        (struct picture){.width = post.width, .height = post.height, .samples = 1, .bits = 32};
    difference.pixels = calloc(area, difference.bits / 8);
    if (!aligned.pixels || !difference.pixels)
        return 1;
    struct share shares[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        shares[i] = (struct share){.pre = &pre,
                                   .post = &post,
                                   .aligned = &aligned,
                                   .difference = (float *)(void *)difference.pixels,
                                   .map = map,
                                   .scale = gain,
                                   .from = post.height * i / THREADS,
                                   .to = post.height * (i + 1) / THREADS};
        if (pthread_create(&threads[i], NULL, warp_share, &shares[i]) != 0)
            return 1;
    }
    for (uint32_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    bool ok = write_picture(argv[4], "aligned.tif", &aligned, SAMPLEFORMAT_UINT) &&
              write_picture(argv[4], "difference.tif", &difference, SAMPLEFORMAT_IEEEFP);
    return ok ? 0 : 1;
}
