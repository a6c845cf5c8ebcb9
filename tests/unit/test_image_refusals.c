/* Images that are refused, with the words in which it is done; damaged files, and files
 * that change. timeout: 120
 */
#include "tests/unit/image_files.h"
#include "worker/tiff/tiff_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static struct image_file grey(void) {
    return (struct image_file){.width = 147,
                               .height = 131,
                               .samples = 1,
                               .bits = 8,
                               .photometric = PHOTOMETRIC_MINISBLACK,
                               .compression = COMPRESSION_NONE,
                               .planar = PLANARCONFIG_CONTIG,
                               .orientation = 1,
                               .rows = 16,
                               .mode = "wl"};
}

static void expect_refusal(const char *path, int code, const char *words) {
    struct failure failure = {0};
    struct image *image = NULL;
    int r = image_open(path, &image, &failure);
    if (r == 0) {
        image_close(image);
        fail_msg("it was opened; due was: %s", words);
    }
    if (r != code || !strstr(failure.text, words) || !strstr(failure.text, path))
        fail_msg("%d, \"%s\" in place of %d, \"%s\"", r, failure.text, code, words);
}

/* One row of zeros is enough: the header is what is refused. */
struct refusal {
    uint16_t photometric, samples, bits, format, compression;
    uint32_t width;
    const char *words;
};

static void kinds_are_refused_by_name(void **state) {
    (void)state;
    static const struct refusal cases[] = {
        {PHOTOMETRIC_MINISBLACK, 1, 32, SAMPLEFORMAT_IEEEFP, 1, 8, "float pixels (32-bit)"},
        {PHOTOMETRIC_RGB, 3, 16, SAMPLEFORMAT_IEEEFP, 1, 8, "float pixels (16-bit)"},
        {PHOTOMETRIC_MINISBLACK, 1, 16, SAMPLEFORMAT_INT, 1, 8, "signed pixels (16-bit)"},
        {PHOTOMETRIC_MINISBLACK, 1, 64, SAMPLEFORMAT_COMPLEXIEEEFP, 1, 8, "complex pixels"},
        {PHOTOMETRIC_MINISBLACK, 1, 1, SAMPLEFORMAT_UINT, 1, 8, "1-bit pixels"},
        {PHOTOMETRIC_MINISBLACK, 1, 12, SAMPLEFORMAT_UINT, 1, 8, "12-bit pixels"},
        {PHOTOMETRIC_MINISBLACK, 1, 32, SAMPLEFORMAT_UINT, 1, 8, "32-bit pixels"},
        {PHOTOMETRIC_MINISBLACK, 1, 64, SAMPLEFORMAT_UINT, 1, 8, "64-bit pixels"},
        {PHOTOMETRIC_PALETTE, 1, 8, SAMPLEFORMAT_UINT, 1, 8, "palette colours"},
        {PHOTOMETRIC_SEPARATED, 4, 8, SAMPLEFORMAT_UINT, 1, 8, "CMYK"},
        {PHOTOMETRIC_CIELAB, 3, 8, SAMPLEFORMAT_UINT, 1, 8, "CIELab colours"},
        {PHOTOMETRIC_LOGL, 1, 16, SAMPLEFORMAT_INT, 1, 8, "LogL pixels"},
        {PHOTOMETRIC_YCBCR, 3, 8, SAMPLEFORMAT_UINT, 1, 8, "YCbCr colours without JPEG"},
        {PHOTOMETRIC_CFA, 1, 8, SAMPLEFORMAT_UINT, 1, 8, "raw camera data"},
        {PHOTOMETRIC_MINISWHITE, 1, 1, SAMPLEFORMAT_UINT, COMPRESSION_CCITTFAX4, 8, "CCITT fax 4"},
        {PHOTOMETRIC_MINISBLACK, 65, 8, SAMPLEFORMAT_UINT, 1, 8, "65 samples per pixel"},
        {PHOTOMETRIC_MINISBLACK, 1, 8, SAMPLEFORMAT_UINT, 1, 1000001, "1000001 x 1 px"},
        {PHOTOMETRIC_RGB, 4, 16, SAMPLEFORMAT_UINT, 1, 400000, "a row of 400000 px"},
    };
    char path[IMAGE_PATH_BYTES];
    static uint16_t map[3][256];
    static unsigned char row[400000 * 8];
    (void)image_in_folder("refused.tif", path);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct refusal *at = &cases[i];
        struct image_file file = grey();
        file.photometric = at->photometric;
        file.samples = at->samples;
        file.bits = at->bits;
        file.compression = at->compression;
        file.width = at->width;
        file.height = 1;
        TIFF *tiff = TIFFOpen(path, "wl");
        assert_non_null(tiff);
        image_set_tags(tiff, &file);
        (void)TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, at->format);
        if (at->photometric == PHOTOMETRIC_PALETTE)
            (void)TIFFSetField(tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
        assert_int_equal(TIFFWriteScanline(tiff, row, 0, 0), 1);
        TIFFClose(tiff);
        expect_refusal(path, -ENOTSUP, at->words);
        assert_int_equal(unlink(path), 0);
    }
}

static void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wbe");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void what_is_no_tiff(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES];
    (void)image_in_folder("other", path);
    write_bytes(path, "", 0);
    expect_refusal(path, -EBADMSG, "is empty (0 bytes)");
    write_bytes(path, "II*", 3);
    expect_refusal(path, -EBADMSG, "cut off after 3 bytes");
    write_bytes(path, "\x89PNG\r\n\x1a\n", 8);
    expect_refusal(path, -ENOTSUP, "is not a TIFF file (it begins with 89 50 4e 47)");
    write_bytes(path, "II*\0\xff\xff\0\0", 8);
    expect_refusal(path, -EBADMSG, "the header of its image 1 cannot be read");
    assert_int_equal(unlink(path), 0);
    expect_refusal(path, -ENOENT, "cannot be opened: No such file");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refusal(path, -EINVAL, "is not a regular file");
    assert_int_equal(unlink(path), 0);
    expect_refusal(image_folder, -EISDIR, "is a folder");
}

static void only_reduced_images(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    TIFF *tiff = TIFFOpen(image_in_folder("reduced.tif", path), "wl");
    assert_non_null(tiff);
    (void)TIFFSetField(tiff, TIFFTAG_SUBFILETYPE, FILETYPE_REDUCEDIMAGE);
    image_write_directory(tiff, &file);
    TIFFClose(tiff);
    expect_refusal(path, -ENOTSUP, "no full image among its 1");
    assert_int_equal(unlink(path), 0);
}

static off_t size_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* Our own writer puts the directory first, so a broken copy still has one. */
static void cut_files_are_refused(void **state) {
    (void)state;
    static const struct tiff_writer_options options = {
        .width = 300, .height = 300, .samples = 1, .bits = 8};
    static const unsigned char tile[TIFF_WRITER_TILE_PX * TIFF_WRITER_TILE_PX];
    char path[IMAGE_PATH_BYTES];
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    assert_int_equal(tiff_writer_open(image_in_folder("cut.tif", path), &options, &writer, NULL),
                     0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(tiff_writer_put(writer, i % 2, i / 2, tile, &failure), 0);
    assert_int_equal(tiff_writer_publish(writer, &failure), 0);
    long long whole = size_of(path);
    assert_int_equal(truncate(path, whole - 100), 0);
    char words[128];
    (void)snprintf(words, sizeof(words),
                   "tile 4 of 4 ends at byte %lld, but the file has only %lld", whole, whole - 100);
    expect_refusal(path, -EBADMSG, words);
    assert_int_equal(unlink(path), 0);
}

/* Overwrites part of a strip's or tile's bytes. */
static void spoil(const char *path, uint32_t block, const void *bytes, size_t size, int from) {
    TIFF *tiff = TIFFOpen(path, "r");
    assert_non_null(tiff);
    uint64_t at = TIFFGetStrileOffset(tiff, block) + (uint64_t)from;
    assert_true(TIFFGetStrileByteCount(tiff, block) >= (uint64_t)from + size);
    TIFFClose(tiff);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), size);
    assert_int_equal(close(fd), 0);
}

static void expect_broken_stream(const char *path, const char *words) {
    char scratch[IMAGE_PATH_BYTES];
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_canvas canvas;
    struct image_identity identity;
    (void)image_in_folder("scratch", scratch);
    if (image_open(path, &image, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_int_equal(image_stream_all(image, scratch, &canvas, &identity, &failure), -EBADMSG);
    if (!strstr(failure.text, words) || !strstr(failure.text, path))
        fail_msg("\"%s\" in place of \"%s\"", failure.text, words);
    assert_int_equal(access(scratch, F_OK), -1);
    free(canvas.pixels);
    image_close(image);
}

static void damage_in_the_middle_is_named(void **state) {
    (void)state;
    static const unsigned char ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const unsigned char end[2] = {0xff, 0xd9}; /* JPEG: end of image */
    char path[IMAGE_PATH_BYTES];
    (void)image_in_folder("spoilt.tif", path);
    struct image_file file = grey();
    file.compression = COMPRESSION_ADOBE_DEFLATE;
    image_write_file(path, &file);
    spoil(path, 4, ones, sizeof(ones), 40);
    expect_broken_stream(path, "row 6"); /* 64 to 79 */

    file.tile_width = file.tile_height = 32;
    image_write_file(path, &file);
    spoil(path, 7, ones, sizeof(ones), 40);
    expect_broken_stream(path, "the tile at x 64, y 32 cannot be decoded");

    file.compression = COMPRESSION_JPEG;
    image_write_file(path, &file);
    spoil(path, 7, end, sizeof(end), 60);
    expect_broken_stream(path, "the tile at x 64, y 32 cannot be decoded");
    assert_int_equal(unlink(path), 0);
}

/* Overwrites the image's link to the next: some programs leave garbage there. */
static void link_to_nowhere(const char *path) {
    unsigned char bytes[8];
    static const unsigned char garbage[4] = {0xf1, 0xff, 0xff, 0x7f};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, 4, 4), 4);
    off_t at = (off_t)bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (off_t)bytes[3] << 24;
    assert_int_equal(pread(fd, bytes, 2, at), 2);
    at += 2 + 12 * (bytes[0] | bytes[1] << 8);
    assert_int_equal(pwrite(fd, garbage, 4, at), 4);
    assert_int_equal(close(fd), 0);
}

static void a_broken_chain_may_lose_the_image(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    image_write_file(image_in_folder("chain.tif", path), &file);
    link_to_nowhere(path);
    expect_refusal(path, -EBADMSG, "the header of its image 2 cannot be read");
    file.width = file.height = 4100; /* no thumbnail, and all there is in the file */
    image_write_file(path, &file);
    link_to_nowhere(path);
    struct failure failure = {0};
    struct image *image = NULL;
    if (image_open(path, &image, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_int_equal(image_get_info(image)->width, file.width);
    image_close(image);
    assert_int_equal(truncate(path, 3 * size_of(path)), 0);
    expect_refusal(path, -EBADMSG, "the header of its image 2 cannot be read");
    assert_int_equal(unlink(path), 0);
}

static void a_missing_jpeg_end_is_fine(void **state) {
    (void)state;
    static const unsigned char zeros[2];
    char path[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    file.compression = COMPRESSION_JPEG;
    file.tile_width = file.tile_height = 32;
    image_write_file(image_in_folder("endless.tif", path), &file);
    TIFF *tiff = TIFFOpen(path, "r");
    assert_non_null(tiff);
    int last = (int)TIFFGetStrileByteCount(tiff, 7) - 2;
    TIFFClose(tiff);
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_canvas whole, endless;
    struct image_identity identity;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(image_open(path, &image, &failure), 0);
        if (image_stream_all(image, NULL, round ? &endless : &whole, &identity, &failure) < 0)
            fail_msg("%s", failure.text);
        image_close(image);
        spoil(path, 7, zeros, sizeof(zeros), last);
    }
    assert_memory_equal(whole.pixels, endless.pixels, 147 * 131);
    free(whole.pixels);
    free(endless.pixels);
    assert_int_equal(unlink(path), 0);
}

/* Writes to the file while it is being read. */
static int disturb(void *context, const struct image_band *band, struct failure *failure) {
    (void)failure;
    if (band->y == 0) {
        int fd = open(context, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(close(fd), 0);
    }
    return 0;
}

static void a_change_is_noticed(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    image_write_file(image_in_folder("changing.tif", path), &file);
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_reader *reader = NULL;
    struct image_identity identity;
    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_stream(image, NULL, disturb, path, NULL, &identity, &failure), -ESTALE);
    assert_non_null(strstr(failure.text, "was changed while it was being read"));
    assert_int_equal(image_reader_open(image, 0, &reader, &failure), -ESTALE);
    image_close(image);
    assert_int_equal(unlink(path), 0);
}

static int give_up(void *context, const struct image_band *band, struct failure *failure) {
    (void)context;
    return failure_set(failure, -EDOM, "enough at row %u", band->y);
}

static void a_callback_stops_the_stream(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES], scratch[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    file.compression = COMPRESSION_LZW;
    image_write_file(image_in_folder("stopped.tif", path), &file);
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_identity identity;
    (void)image_in_folder("scratch", scratch);
    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_stream(image, NULL, give_up, NULL, NULL, &identity, &failure), -EINVAL);
    assert_int_equal(image_stream(image, scratch, give_up, NULL, NULL, &identity, &failure), -EDOM);
    assert_string_equal(failure.text, "enough at row 0");
    assert_int_equal(access(scratch, F_OK), -1);
    image_close(image);
    assert_int_equal(unlink(path), 0);
}

static void regions_must_lie_inside(void **state) {
    (void)state;
    static const uint32_t cases[][4] = {
        {147, 0, 1, 1},        {0, 131, 1, 1},        {100, 0, 48, 1},         {0, 100, 1, 32},
        {UINT32_MAX, 0, 2, 1}, {0, 1, 1, UINT32_MAX}, {10, 10, UINT32_MAX, 5}, {0, 0, 148, 131}};
    char path[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    image_write_file(image_in_folder("inside.tif", path), &file);
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_reader *reader = NULL;
    unsigned char pixel;
    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_reader_open(image, 0, &reader, &failure), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const uint32_t *c = cases[i];
        assert_int_equal(image_reader_read(reader, c[0], c[1], c[2], c[3], &pixel, 1, &failure),
                         -EINVAL);
        assert_non_null(strstr(failure.text, "are not inside 147 x 131 px"));
    }
    assert_int_equal(image_reader_read(reader, 147, 131, 0, 0, &pixel, 1, &failure), 0);
    image_reader_close(reader);
    image_close(image);
    assert_int_equal(unlink(path), 0);
}

static void the_copy_belongs_to_its_image(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES], scratch[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    file.compression = COMPRESSION_LZW;
    image_write_file(image_in_folder("copied.tif", path), &file);
    (void)image_in_folder("scratch", scratch);
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_reader *reader = NULL;
    struct image_canvas canvas;
    struct image_identity identity;
    unsigned char pixel = 0;
    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_attach_scratch(image, scratch, &failure), -ENOENT);
    assert_int_equal(image_reader_open(image, 0, &reader, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "its tiled copy was not made yet"));
    assert_int_equal(image_stream_all(image, scratch, &canvas, &identity, &failure), 0);
    image_close(image);

    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_attach_scratch(image, scratch, &failure), 0);
    assert_int_equal(image_reader_open(image, 0, &reader, &failure), 0);
    assert_int_equal(image_reader_read(reader, 100, 100, 1, 1, &pixel, 1, &failure), 0);
    assert_int_equal(pixel, canvas.pixels[100 * 147 + 100]);
    image_reader_close(reader);
    image_close(image);

    static const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_attach_scratch(image, scratch, &failure), -ESTALE);
    assert_non_null(strstr(failure.text, "is not a copy of"));
    image_close(image);
    free(canvas.pixels);
    assert_int_equal(unlink(scratch), 0);
    assert_int_equal(unlink(path), 0);
}

static void a_cut_copy_is_stale(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES], scratch[IMAGE_PATH_BYTES];
    struct image_file file = grey();
    file.orientation = 3;
    image_write_file(image_in_folder("turned.tif", path), &file);
    (void)image_in_folder("scratch", scratch);
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_canvas canvas;
    struct image_identity identity;
    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_stream_all(image, scratch, &canvas, &identity, &failure), 0);
    free(canvas.pixels);
    assert_int_equal(truncate(scratch, size_of(scratch) - 1), 0);
    assert_int_equal(image_attach_scratch(image, scratch, &failure), -ESTALE);
    image_close(image);
    assert_int_equal(unlink(scratch), 0);
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_refused_by_name),
        cmocka_unit_test(what_is_no_tiff),
        cmocka_unit_test(only_reduced_images),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(damage_in_the_middle_is_named),
        cmocka_unit_test(a_change_is_noticed),
        cmocka_unit_test(a_broken_chain_may_lose_the_image),
        cmocka_unit_test(a_missing_jpeg_end_is_fine),
        cmocka_unit_test(a_callback_stops_the_stream),
        cmocka_unit_test(regions_must_lie_inside),
        cmocka_unit_test(the_copy_belongs_to_its_image),
        cmocka_unit_test(a_cut_copy_is_stale),
    };
    return cmocka_run_group_tests(tests, image_make_folder, image_remove_folder);
}
