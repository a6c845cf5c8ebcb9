/* Reading images: every layout, streamed and by regions, pixel for pixel.
 * timeout: 120
 */
#include "tests/unit/image_files.h"
#include "worker/memory/tracked.h"

/* A reader's cache of one block and what it turns pixels in. */
enum { SMALL_BYTES = 1 << 20 };

struct region {
    uint32_t x, y, width, height;
};

/* Corners, edges, single pixels, whole rows and columns, and some in between. */
static size_t regions_of(uint32_t width, uint32_t height, struct region *regions) {
    const struct region chosen[] = {
        {0, 0, width, height},
        {0, 0, 1, 1},
        {width - 1, height - 1, 1, 1},
        {0, height - 1, width, 1},
        {width - 1, 0, 1, height},
        {width / 3, height / 4, width / 2, height / 2},
        {15, 15, 2, 2},
        {width - 20, height - 20, 20, 20},
        {1, height > 66 ? 63 : height - 3, width - 1, 3},
        {63, 1, 3, height - 1},
    };
    memcpy(regions, chosen, sizeof(chosen));
    return ARRAY_LEN(chosen);
}

static void check_regions(struct image *image, const unsigned char *expected, const char *what) {
    const struct image_info *info = image_get_info(image);
    size_t pixel = (size_t)info->samples * info->bits / 8, row = info->width * pixel;
    unsigned char *pixels = malloc(row * info->height + 64);
    assert_non_null(pixels);
    struct region regions[16];
    size_t n = regions_of(info->width, info->height, regions);
    static const uint64_t caches[] = {0, 10000, 1 << 20};
    for (size_t c = 0; c < ARRAY_LEN(caches); c++) {
        struct failure failure = {0};
        struct image_reader *reader = NULL;
        if (image_reader_open(image, caches[c], &reader, &failure) < 0)
            fail_msg("%s: %s", what, failure.text);
        for (size_t i = 0; i < n; i++) {
            const struct region *at = &regions[i];
            size_t stride = at->width * pixel;
            if (image_reader_read(reader, at->x, at->y, at->width, at->height, pixels, stride,
                                  &failure) < 0)
                fail_msg("%s: %s", what, failure.text);
            for (uint32_t y = 0; y < at->height; y++) {
                if (memcmp(pixels + y * stride, expected + (at->y + y) * row + at->x * pixel,
                           stride) != 0)
                    fail_msg("%s: region %zu differs in row %u", what, i, y);
            }
        }
        image_reader_close(reader);
    }
    free(pixels);
}

static void check_file(const char *path, const struct image_file *file, uint32_t samples) {
    char what[160], scratch[IMAGE_PATH_BYTES];
    (void)snprintf(what, sizeof(what),
                   "%s %u x %u, %u samples of %u bit, photometric %u, compression %u, planar %u, "
                   "orientation %u, tile %u, rows %u",
                   file->mode, file->width, file->height, file->samples, file->bits,
                   file->photometric, file->compression, file->planar, file->orientation,
                   file->tile_width, file->rows);
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_canvas canvas;
    struct image_identity identity, again;
    (void)image_in_folder("scratch", scratch);
    if (image_open(path, &image, &failure) < 0)
        fail_msg("%s: %s", what, failure.text);
    const struct image_info *info = image_get_info(image);
    assert_int_equal(info->samples, samples);
    assert_int_equal(info->bits, file->bits);
    assert_int_equal(info->rgb, file->photometric == PHOTOMETRIC_RGB);
    assert_int_equal(info->width, file->orientation > 4 ? file->height : file->width);
    assert_int_equal(info->height, file->orientation > 4 ? file->width : file->height);
    (void)tracked_take_stage_peak();
    if (image_stream_all(image, scratch, &canvas, &identity, &failure) < 0)
        fail_msg("%s: %s", what, failure.text);
    if (tracked_take_stage_peak() > info->stream_bytes + SMALL_BYTES)
        fail_msg("%s: streaming took more than the %llu bytes announced", what,
                 (unsigned long long)info->stream_bytes);
    assert_int_equal(canvas.rows, info->height);
    unsigned char *expected = image_expected(file, samples);
    size_t size = (size_t)info->width * info->height * canvas.pixel_bytes;
    if (memcmp(canvas.pixels, expected, size) != 0)
        fail_msg("%s: the stream differs", what);
    check_regions(image, expected, what);
    assert_int_equal(image_identify(path, &again, &failure), 0);
    assert_string_equal(identity.hash, again.hash);
    assert_int_equal(identity.size, info->file_bytes);
    assert_int_equal(unlink(scratch), info->needs_scratch ? 0 : -1);
    free(expected);
    free(canvas.pixels);
    image_close(image);
}

struct kind {
    uint16_t samples, photometric, n_extra, extra;
    uint32_t delivered;
};

static const struct kind kinds[] = {
    {1, PHOTOMETRIC_MINISBLACK, 0, 0, 1},
    {1, PHOTOMETRIC_MINISWHITE, 0, 0, 1},
    {2, PHOTOMETRIC_MINISBLACK, 1, EXTRASAMPLE_UNASSALPHA, 1},
    {3, PHOTOMETRIC_RGB, 0, 0, 3},
    {4, PHOTOMETRIC_RGB, 1, EXTRASAMPLE_ASSOCALPHA, 3},
    {5, PHOTOMETRIC_MINISBLACK, 4, EXTRASAMPLE_UNSPECIFIED, 5},
};

static const struct {
    uint32_t tile_width, tile_height, rows;
} blocks[] = {{0, 0, 1}, {0, 0, 7}, {0, 0, 131}, {16, 16, 0}, {64, 48, 0}, {272, 144, 0}};

static const struct {
    uint16_t compression, predictor;
} codecs[] = {
    {COMPRESSION_NONE, 0},     {COMPRESSION_LZW, 0},  {COMPRESSION_LZW, 2},
    {COMPRESSION_PACKBITS, 0}, {COMPRESSION_ZSTD, 0}, {COMPRESSION_ADOBE_DEFLATE, 2},
};

static struct image_file make_file(size_t kind, size_t block, size_t codec, bool planar,
                                   uint16_t bits, uint16_t orientation, const char *mode) {
    return (struct image_file){
        .width = 147,
        .height = 131,
        .samples = kinds[kind].samples,
        .bits = bits,
        .photometric = kinds[kind].photometric,
        .n_extra = kinds[kind].n_extra,
        .extra = kinds[kind].extra,
        .compression = codecs[codec].compression,
        .predictor = codecs[codec].predictor,
        .planar = planar ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG,
        .orientation = orientation,
        .tile_width = blocks[block].tile_width,
        .tile_height = blocks[block].tile_height,
        .rows = blocks[block].rows,
        .mode = mode,
    };
}

static void write_and_check(const struct image_file *file, size_t kind) {
    char path[IMAGE_PATH_BYTES];
    image_write_file(image_in_folder("image.tif", path), file);
    check_file(path, file, kinds[kind].delivered);
    assert_int_equal(unlink(path), 0);
}

/* Every kind x blocks x codec x planes x depth; byte order, BigTIFF and orientation take turns. */
static void every_layout(void **state) {
    (void)state;
    static const char *const modes[] = {"wl", "wb", "w8l", "w8b"};
    size_t turn = 0;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (size_t b = 0; b < ARRAY_LEN(blocks); b++) {
            for (size_t c = 0; c < ARRAY_LEN(codecs); c++) {
                for (uint16_t bits = 8; bits <= 16; bits += 8) {
                    for (int planar = 0; planar < 2; planar++, turn++) {
                        uint16_t orientation = (uint16_t)(turn % 3 ? 1 : 1 + turn % 8);
                        struct image_file file = make_file(k, b, c, planar, bits, orientation,
                                                           modes[turn % ARRAY_LEN(modes)]);
                        write_and_check(&file, k);
                    }
                }
            }
        }
    }
}

static void every_orientation(void **state) {
    (void)state;
    for (uint16_t orientation = 1; orientation <= 8; orientation++) {
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            for (size_t b = 0; b < ARRAY_LEN(blocks); b++) {
                for (uint16_t bits = 8; bits <= 16; bits += 8) {
                    struct image_file file = make_file(k, b, 0, false, bits, orientation, "wl");
                    write_and_check(&file, k);
                }
            }
        }
    }
}

/* Wider than a turned square and than a scratch tile, taller than a band. */
static void larger_turned(void **state) {
    (void)state;
    for (uint16_t orientation = 2; orientation <= 8; orientation++) {
        struct image_file file = make_file(3, 1, 1, false, 8, orientation, "wl");
        file.width = 601;
        file.height = 530;
        write_and_check(&file, 3);
    }
}

static void sizes_around_a_band(void **state) {
    (void)state;
    static const uint32_t heights[] = {21, 63, 64, 65, 127, 128, 129, 256, 257};
    for (size_t i = 0; i < ARRAY_LEN(heights); i++) {
        for (size_t b = 0; b < ARRAY_LEN(blocks); b++) {
            struct image_file file = make_file(0, b, i % 2, false, 8, 1, "wl");
            file.height = heights[i];
            write_and_check(&file, 0);
        }
    }
}

/* Tiles so large that regions, and then not even rows, are read from them directly. */
static void huge_tiles(void **state) {
    (void)state;
    struct image_file file = make_file(3, 3, 5, false, 8, 1, "wl");
    file.width = 1500;
    file.height = 300;
    file.tile_width = file.tile_height = 1280;
    write_and_check(&file, 3);
    file.bits = 16;
    file.width = 4112;
    file.height = 70;
    file.tile_width = 1040;
    file.tile_height = 4096;
    write_and_check(&file, 3);
}

/* A compressed strip too large to be read whole. */
static void huge_strip(void **state) {
    (void)state;
    struct image_file file = make_file(0, 0, 3, false, 8, 1, "wl");
    file.width = 4300;
    file.height = file.rows = 4300;
    write_and_check(&file, 0);
}

/* Bits in the other order: not read in place, but by libtiff. */
static void reversed_bits(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES];
    struct image_file file = make_file(3, 1, 0, false, 8, 1, "wl");
    TIFF *tiff = TIFFOpen(image_in_folder("reversed.tif", path), file.mode);
    assert_non_null(tiff);
    (void)TIFFSetField(tiff, TIFFTAG_FILLORDER, FILLORDER_LSB2MSB);
    image_write_directory(tiff, &file);
    TIFFClose(tiff);
    check_file(path, &file, 3);
    assert_int_equal(unlink(path), 0);
}

/* libtiff's own RGBA view of a JPEG is what we must see as well. */
static void check_jpeg(const char *path) {
    char scratch[IMAGE_PATH_BYTES];
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_canvas canvas;
    struct image_identity identity;
    if (image_open(path, &image, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_true(image_get_info(image)->rgb);
    if (image_stream_all(image, image_in_folder("scratch", scratch), &canvas, &identity, &failure) <
        0)
        fail_msg("%s", failure.text);
    uint32_t *rgba = calloc((size_t)canvas.width * canvas.height, sizeof(*rgba));
    assert_non_null(rgba);
    TIFF *tiff = TIFFOpen(path, "r");
    assert_non_null(tiff);
    assert_int_equal(
        TIFFReadRGBAImageOriented(tiff, canvas.width, canvas.height, rgba, ORIENTATION_TOPLEFT, 1),
        1);
    for (size_t i = 0; i < (size_t)canvas.width * canvas.height; i++) {
        if (canvas.pixels[3 * i] != TIFFGetR(rgba[i]) ||
            canvas.pixels[3 * i + 1] != TIFFGetG(rgba[i]) ||
            canvas.pixels[3 * i + 2] != TIFFGetB(rgba[i]))
            fail_msg("%s: pixel %zu differs", path, i);
    }
    check_regions(image, canvas.pixels, path);
    TIFFClose(tiff);
    (void)unlink(scratch); /* only strips leave one */
    free(rgba);
    free(canvas.pixels);
    image_close(image);
}

static void jpeg_comes_as_rgb(void **state) {
    (void)state;
    static const uint16_t photometrics[] = {PHOTOMETRIC_YCBCR, PHOTOMETRIC_RGB};
    char path[IMAGE_PATH_BYTES];
    (void)image_in_folder("jpeg.tif", path);
    for (size_t p = 0; p < ARRAY_LEN(photometrics); p++) {
        for (uint16_t subsampling = 1; subsampling <= 2; subsampling++) {
            for (int tiled = 0; tiled < 2; tiled++) {
                struct image_file file = make_file(3, tiled ? 4 : 0, 0, false, 8, 1, "wl");
                file.compression = COMPRESSION_JPEG;
                file.photometric = photometrics[p];
                file.rows = 16;
                TIFF *tiff = TIFFOpen(path, file.mode);
                assert_non_null(tiff);
                image_set_tags(tiff, &file);
                if (file.photometric == PHOTOMETRIC_YCBCR) {
                    (void)TIFFSetField(tiff, TIFFTAG_YCBCRSUBSAMPLING, subsampling, subsampling);
                    (void)TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
                }
                image_write_blocks(tiff, &file, -1);
                TIFFClose(tiff);
                check_jpeg(path);
                assert_int_equal(unlink(path), 0);
            }
        }
    }
}

/* Thumbnail, full image, label, reduced level, mask: the largest that is a full image. */
static void takes_the_full_image(void **state) {
    (void)state;
    static const struct {
        uint32_t side, kind;
    } pages[] = {{90, FILETYPE_REDUCEDIMAGE},
                 {100, 0},
                 {147, 0},
                 {120, FILETYPE_PAGE},
                 {400, FILETYPE_REDUCEDIMAGE},
                 {300, FILETYPE_MASK}};
    char path[IMAGE_PATH_BYTES];
    struct image_file file = make_file(0, 3, 0, false, 8, 1, "w8l");
    TIFF *tiff = TIFFOpen(image_in_folder("pages.tif", path), file.mode);
    assert_non_null(tiff);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        struct image_file page = file;
        page.width = page.height = pages[i].side;
        (void)TIFFSetField(tiff, TIFFTAG_SUBFILETYPE, pages[i].kind);
        image_write_directory(tiff, &page);
    }
    TIFFClose(tiff);
    file.height = 147;
    check_file(path, &file, 1);
    assert_int_equal(unlink(path), 0);
}

static void resolution_turns_with_the_image(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES];
    struct image_file file = make_file(0, 0, 0, false, 8, 6, "wl");
    TIFF *tiff = TIFFOpen(image_in_folder("resolution.tif", path), file.mode);
    assert_non_null(tiff);
    (void)TIFFSetField(tiff, TIFFTAG_XRESOLUTION, 400.0);
    (void)TIFFSetField(tiff, TIFFTAG_YRESOLUTION, 200.0);
    (void)TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER);
    image_write_directory(tiff, &file);
    TIFFClose(tiff);
    struct failure failure = {0};
    struct image *image = NULL;
    assert_int_equal(image_open(path, &image, &failure), 0);
    const struct image_info *info = image_get_info(image);
    assert_true(info->x_resolution == 200.0 && info->y_resolution == 400.0);
    assert_int_equal(info->resolution_unit, RESUNIT_CENTIMETER);
    assert_int_equal(info->orientation, 6);
    image_close(image);
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout),         cmocka_unit_test(every_orientation),
        cmocka_unit_test(larger_turned),        cmocka_unit_test(sizes_around_a_band),
        cmocka_unit_test(huge_tiles),           cmocka_unit_test(huge_strip),
        cmocka_unit_test(reversed_bits),        cmocka_unit_test(jpeg_comes_as_rgb),
        cmocka_unit_test(takes_the_full_image), cmocka_unit_test(resolution_turns_with_the_image),
    };
    return cmocka_run_group_tests(tests, image_make_folder, image_remove_folder);
}
