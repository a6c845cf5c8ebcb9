/* The TIFF writer: what libtiff reads from its files, in every depth; and that nothing half-written
 * gets the final name. */
#include "worker/tiff/tiff_writer.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { TILE = TIFF_WRITER_TILE_PX, PATH_BYTES = 256 };

static char folder[] = "/tmp/test_tiff_writer.XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder); /* fails when a test left something */
}

static const char *in_folder(const char *name, char path[PATH_BYTES]) {
    (void)snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

/* Every byte of every pixel is told apart. */
static unsigned char byte_at(uint32_t x, uint32_t y, size_t byte) {
    return (unsigned char)(x * 7 + y * 13 + byte * 29 + (x >> 8) * 3 + (y >> 8) * 5);
}

static void fill_tile(unsigned char *tile, const struct tiff_writer_options *options, uint32_t tx,
                      uint32_t ty) {
    size_t pixel = (size_t)options->samples * options->bits / 8;
    memset(tile, 0, pixel * TILE * TILE);
    for (uint32_t y = ty * TILE; y < (ty + 1) * TILE && y < options->height; y++) {
        for (uint32_t x = tx * TILE; x < (tx + 1) * TILE && x < options->width; x++) {
            for (size_t b = 0; b < pixel; b++)
                tile[((size_t)(y % TILE) * TILE + x % TILE) * pixel + b] = byte_at(x, y, b);
        }
    }
}

static void put_all(struct tiff_writer *writer, const struct tiff_writer_options *options) {
    unsigned char *tile = calloc((size_t)TILE * TILE * options->samples, options->bits / 8);
    assert_non_null(tile);
    uint32_t columns = (options->width - 1) / TILE + 1, rows = (options->height - 1) / TILE + 1;
    struct failure failure = {0};
    for (uint32_t i = columns * rows; i-- > 0;) { /* backwards: any order will do */
        fill_tile(tile, options, i % columns, i / columns);
        if (tiff_writer_put(writer, i % columns, i / columns, tile, &failure) < 0)
            fail_msg("%s", failure.text);
    }
    free(tile);
}

/* The same for compressed tiles, forwards, from tile `first` to before `end`. */
static void append_some(struct tiff_writer *writer, const struct tiff_writer_options *options,
                        uint32_t first, uint32_t end) {
    struct tile_codec_shape shape = tiff_writer_shape(options);
    struct tile_codec *codec = NULL;
    struct failure failure = {0};
    assert_int_equal(
        tile_codec_open(options->compression, tile_codec_raw_bytes(&shape), &codec, &failure), 0);
    unsigned char *tile = malloc(tile_codec_raw_bytes(&shape));
    unsigned char *small = malloc(tile_codec_bound(options->compression, &shape));
    assert_true(tile && small);
    uint32_t columns = (options->width - 1) / TILE + 1;
    for (uint32_t i = first; i < end; i++) {
        size_t n = 0;
        fill_tile(tile, options, i % columns, i / columns);
        assert_int_equal(tile_codec_encode(codec, &shape, tile, small, &n, &failure), 0);
        if (tiff_writer_append(writer,
                               &(struct tiff_writer_place){.x = i % columns, .y = i / columns},
                               small, n, &failure) < 0)
            fail_msg("%s", failure.text);
    }
    tile_codec_close(codec);
    free(tile);
    free(small);
}

static uint32_t tiles_of(const struct tiff_writer_options *options) {
    return ((options->width - 1) / TILE + 1) * ((options->height - 1) / TILE + 1);
}

static void check_pixels(TIFF *tiff, const struct tiff_writer_options *options) {
    size_t pixel = (size_t)options->samples * options->bits / 8;
    unsigned char *tile = malloc(pixel * TILE * TILE), *expected = malloc(pixel * TILE * TILE);
    assert_true(tile && expected);
    for (uint32_t y = 0; y < options->height; y += TILE) {
        for (uint32_t x = 0; x < options->width; x += TILE) {
            assert_int_equal(TIFFReadTile(tiff, tile, x, y, 0, 0), pixel * TILE * TILE);
            fill_tile(expected, options, x / TILE, y / TILE);
            assert_memory_equal(tile, expected, pixel * TILE * TILE);
        }
    }
    free(tile);
    free(expected);
}

static uint16_t short_tag(TIFF *tiff, uint32_t tag) {
    uint16_t value = 0;
    assert_int_equal(TIFFGetFieldDefaulted(tiff, tag, &value), 1);
    return value;
}

static void libtiff_reads_it(void **state) {
    (void)state;
    static const struct tiff_writer_options cases[] = {
        {.width = 700, .height = 300, .samples = 1, .bits = 8},
        {.width = 257, .height = 513, .samples = 3, .bits = 8, .description = "made by a test"},
        {.width = 256, .height = 256, .samples = 3, .bits = 16, .description = "short"},
        {.width = 1, .height = 1, .samples = 1, .bits = 16},
        {.width = 300, .height = 520, .samples = 5, .bits = 16},
        {.width = 513, .height = 255, .samples = 1, .bits = 32, .is_float = true},
        {.width = 50,
         .height = 50,
         .samples = 1,
         .bits = 8,
         .x_resolution = 40000.25,
         .y_resolution = 0.5,
         .resolution_unit = RESUNIT_CENTIMETER},
    };
    char path[PATH_BYTES];
    (void)in_folder("written.tif", path);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct tiff_writer_options *options = &cases[i];
        struct failure failure = {0};
        struct tiff_writer *writer = NULL;
        if (tiff_writer_open(path, options, &writer, &failure) < 0)
            fail_msg("%s", failure.text);
        put_all(writer, options);
        if (tiff_writer_publish(writer, &failure) < 0)
            fail_msg("%s", failure.text);

        TIFF *tiff = TIFFOpen(path, "r");
        assert_non_null(tiff);
        uint32_t width = 0, height = 0;
        assert_int_equal(TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width), 1);
        assert_int_equal(TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height), 1);
        assert_int_equal(width, options->width);
        assert_int_equal(height, options->height);
        assert_true(TIFFIsBigTIFF(tiff));
        assert_int_equal(short_tag(tiff, TIFFTAG_BITSPERSAMPLE), options->bits);
        assert_int_equal(short_tag(tiff, TIFFTAG_SAMPLESPERPIXEL), options->samples);
        assert_int_equal(short_tag(tiff, TIFFTAG_ORIENTATION), 1);
        assert_int_equal(short_tag(tiff, TIFFTAG_PHOTOMETRIC),
                         options->samples == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
        assert_int_equal(short_tag(tiff, TIFFTAG_SAMPLEFORMAT),
                         options->is_float ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
        const char *text = NULL;
        assert_int_equal(TIFFGetField(tiff, TIFFTAG_IMAGEDESCRIPTION, &text),
                         options->description != NULL);
        if (text)
            assert_string_equal(text, options->description);
        float x = 0, y = 0;
        assert_int_equal(TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &x), options->x_resolution > 0);
        assert_int_equal(TIFFGetField(tiff, TIFFTAG_YRESOLUTION, &y), options->y_resolution > 0);
        assert_true(x == (float)options->x_resolution && y == (float)options->y_resolution);
        check_pixels(tiff, options);
        TIFFClose(tiff);
        assert_int_equal(unlink(path), 0);
    }
}

static off_t size_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* Every kind of compression and of pixel, written at one go and in two; libtiff undoes it. */
static void compressed_tiles(void **state) {
    (void)state;
    static const struct tiff_writer_options cases[] = {
        {.width = 1200, .height = 700, .samples = 1, .bits = 8},
        {.width = 513, .height = 513, .samples = 3, .bits = 8},
        {.width = 700, .height = 300, .samples = 3, .bits = 16},
        {.width = 300, .height = 520, .samples = 5, .bits = 16},
        {.width = 513, .height = 255, .samples = 1, .bits = 32, .is_float = true},
        {.width = 10, .height = 20, .samples = 3, .bits = 8}, /* places stand in the directory */
    };
    char path[PATH_BYTES];
    (void)in_folder("small.tif", path);
    for (size_t i = 0; i < ARRAY_LEN(cases) * 2 * 2; i++) {
        struct tiff_writer_options options = cases[i / 4];
        options.compression = i % 2 ? PARAMS_COMPRESSION_DEFLATE : PARAMS_COMPRESSION_ZSTD;
        uint32_t n = tiles_of(&options), half = i / 2 % 2 ? (n + 1) / 2 : n;
        struct failure failure = {0};
        struct tiff_writer *writer = NULL;
        assert_int_equal(tiff_writer_open(path, &options, &writer, &failure), 0);
        append_some(writer, &options, 0, half);
        if (i / 2 % 2) {
            uint64_t inode = 0;
            assert_int_equal(tiff_writer_get_inode(writer, &inode, &failure), 0);
            append_some(writer, &options, half, n); /* these are not known to have been written */
            tiff_writer_suspend(writer);
            if (tiff_writer_reopen(path, &options, inode, half, half - 1, &writer, &failure) < 0)
                fail_msg("%s", failure.text);
            append_some(writer, &options, half, n);
        }
        assert_int_equal(tiff_writer_publish(writer, &failure), 0);
        TIFF *tiff = TIFFOpen(path, "r");
        assert_non_null(tiff);
        assert_int_equal(short_tag(tiff, TIFFTAG_COMPRESSION),
                         i % 2 ? COMPRESSION_ADOBE_DEFLATE : COMPRESSION_ZSTD);
        check_pixels(tiff, &options);
        uint64_t last = TIFFGetStrileOffset(tiff, n - 1) + TIFFGetStrileByteCount(tiff, n - 1);
        assert_int_equal(size_of(path), last); /* nothing behind the last tile */
        TIFFClose(tiff);
        assert_int_equal(unlink(path), 0);
    }
}

/* Two images of different kind with two reduced levels each: libtiff finds them all, and what is
 * read back is what was put. */
static void images_and_levels(void **state) {
    (void)state;
    char path[PATH_BYTES];
    (void)in_folder("levels.tif", path);
    for (int kind = 0; kind < PARAMS_COMPRESSION_COUNT; kind++) {
        struct tiff_writer_options options[2] = {
            {.width = 1201, .height = 513, .samples = 3, .bits = 16, .x_resolution = 1000},
            {.width = 1201, .height = 513, .samples = 1, .bits = 32, .is_float = true}};
        options[0].next = &options[1];
        struct failure failure = {0};
        struct tiff_writer *writer = NULL;
        for (int i = 0; i < 2; i++) {
            options[i].n_levels = 2;
            options[i].compression = (enum params_compression)kind;
        }
        assert_int_equal(tiff_writer_open(path, options, &writer, &failure), 0);
        struct tile_codec *codec = NULL;
        static unsigned char tile[TILE * TILE * 6], packed[2 * sizeof(tile)], back[sizeof(tile)];
        assert_int_equal(tile_codec_open(options->compression, sizeof(tile), &codec, &failure), 0);
        for (uint32_t n = 0; n < 2 * 3; n++) {
            struct tiff_writer_options reduced = options[n % 2];
            const struct tile_codec_shape shape = tiff_writer_shape(&reduced);
            struct tiff_writer_place at = {.image = n % 2, .level = n / 2};
            reduced.width = tiff_writer_level_px(reduced.width, at.level);
            reduced.height = tiff_writer_level_px(reduced.height, at.level);
            for (at.y = 0; at.y * TILE < reduced.height; at.y++)
                for (at.x = 0; at.x * TILE < reduced.width; at.x++) {
                    size_t size = 0, read = 0;
                    fill_tile(tile, &reduced, at.x, at.y);
                    assert_int_equal(
                        tile_codec_encode(codec, &shape, tile, packed, &size, &failure), 0);
                    assert_int_equal(tiff_writer_append(writer, &at, packed, size, &failure), 0);
                    assert_int_equal(
                        tiff_writer_read(writer, &at, packed, sizeof(packed), &read, &failure), 0);
                    assert_int_equal(read, size);
                    assert_int_equal(tile_codec_decode(codec, &shape, packed, read, back, &failure),
                                     0);
                    assert_memory_equal(back, tile, tile_codec_raw_bytes(&shape));
                    if (kind != PARAMS_COMPRESSION_NONE)
                        assert_int_equal(
                            tile_codec_decode(codec, &shape, packed, read / 2, back, &failure),
                            -EBADMSG);
                }
            assert_int_equal(tiff_writer_append(writer, &at, packed, 1, &failure), -EINVAL);
        }
        tile_codec_close(codec);
        assert_int_equal(tiff_writer_publish(writer, &failure), 0);
        TIFF *tiff = TIFFOpen(path, "r");
        assert_non_null(tiff);
        assert_int_equal(TIFFNumberOfDirectories(tiff), 2);
        for (uint16_t i = 0; i < 2; i++) {
            uint16_t n = 0;
            const uint64_t *found = NULL;
            assert_int_equal(TIFFSetDirectory(tiff, i), 1);
            check_pixels(tiff, &options[i]);
            assert_int_equal(TIFFGetField(tiff, TIFFTAG_SUBIFD, &n, &found), 1);
            assert_int_equal(n, 2);
            const uint64_t places[2] = {found[0], found[1]};
            for (uint32_t level = 1; level <= 2; level++) {
                struct tiff_writer_options reduced = options[i];
                reduced.width = tiff_writer_level_px(reduced.width, level);
                reduced.height = tiff_writer_level_px(reduced.height, level);
                assert_int_equal(TIFFSetSubDirectory(tiff, places[level - 1]), 1);
                check_pixels(tiff, &reduced);
                float x = 0;
                if (TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &x))
                    assert_true(x == 1000.0F / (float)(1U << level));
            }
        }
        TIFFClose(tiff);
        assert_int_equal(unlink(path), 0);
    }
}

/* A file whose tables know nothing of its last tile is not gone on with. */
static void a_table_without_the_last_tile_is_stale(void **state) {
    (void)state;
    static const struct tiff_writer_options options = {.width = 600,
                                                       .height = 600,
                                                       .samples = 1,
                                                       .bits = 8,
                                                       .compression = PARAMS_COMPRESSION_ZSTD};
    char path[PATH_BYTES], temporary[PATH_BYTES];
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    uint64_t inode = 0;
    (void)in_folder("stale.tif.tmp", temporary);
    assert_int_equal(tiff_writer_open(in_folder("stale.tif", path), &options, &writer, &failure),
                     0);
    assert_int_equal(tiff_writer_get_inode(writer, &inode, &failure), 0);
    append_some(writer, &options, 0, 3);
    tiff_writer_suspend(writer);
    assert_int_equal(tiff_writer_reopen(path, &options, inode, 5, 4, &writer, &failure), -ESTALE);
    assert_non_null(strstr(failure.text, "does not hold tile 4"));
    assert_int_equal(truncate(temporary, size_of(temporary) - 100), 0);
    assert_int_equal(tiff_writer_reopen(path, &options, inode, 3, 2, &writer, &failure), -ESTALE);
    assert_non_null(strstr(failure.text, "bytes long any more"));
    assert_int_equal(unlink(temporary), 0);
}

static void missing_tiles_are_not_published(void **state) {
    (void)state;
    static const struct tiff_writer_options options = {
        .width = 300, .height = 300, .samples = 1, .bits = 8};
    static const unsigned char tile[TILE * TILE];
    char path[PATH_BYTES];
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    assert_int_equal(tiff_writer_open(in_folder("part.tif", path), &options, &writer, &failure), 0);
    assert_int_equal(tiff_writer_put(writer, 1, 1, tile, &failure), 0);
    assert_int_equal(tiff_writer_put(writer, 2, 0, tile, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "has no tile 2, 0"));
    assert_int_equal(tiff_writer_publish(writer, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "1 tiles were written in place of 4"));
    assert_int_equal(access(path, F_OK), -1);
}

static void abandoned_leaves_nothing(void **state) {
    (void)state;
    static const struct tiff_writer_options options = {
        .width = 10, .height = 10, .samples = 3, .bits = 16};
    char path[PATH_BYTES];
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    assert_int_equal(tiff_writer_open(in_folder("gone.tif", path), &options, &writer, &failure), 0);
    tiff_writer_abandon(writer);
    tiff_writer_abandon(NULL);
    assert_int_equal(access(path, F_OK), -1);
}

static void impossible_is_refused(void **state) {
    (void)state;
    static const struct tiff_writer_options cases[] = {
        {.width = 0, .height = 10, .samples = 1, .bits = 8},
        {.width = 10, .height = 10, .samples = 0, .bits = 8},
        {.width = 10, .height = 10, .samples = 1, .bits = 12},
        {.width = 10, .height = 10, .samples = 1, .bits = 16, .is_float = true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[PATH_BYTES];
        struct failure failure = {0};
        struct tiff_writer *writer = NULL;
        assert_int_equal(tiff_writer_open(in_folder("no.tif", path), &cases[i], &writer, &failure),
                         -EINVAL);
        assert_non_null(strstr(failure.text, "cannot be a TIFF of"));
    }
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    struct tiff_writer_options fine = {.width = 1, .height = 1, .samples = 1, .bits = 8};
    assert_int_equal(tiff_writer_open("/nonexistent/a.tif", &fine, &writer, &failure), -ENOENT);
    assert_non_null(strstr(failure.text, "/nonexistent/a.tif"));
}

static const struct tiff_writer_options shared_options = {
    .width = 2048, .height = 1024, .samples = 3, .bits = 8};

/* Suspended after some tiles, and once also "published" too early by a death: the rest is put and
 * all is there. A file that was replaced, or has a second name, is refused. */
static void suspended_goes_on(void **state) {
    (void)state;
    char path[PATH_BYTES], temporary[PATH_BYTES], second[PATH_BYTES];
    (void)in_folder("half.tif", path);
    (void)in_folder("half.tif.tmp", temporary);
    (void)in_folder("second.tif", second);
    const struct tiff_writer_options *options = &shared_options;
    unsigned char *tile = malloc((size_t)TILE * TILE * 3);
    assert_non_null(tile);
    for (int renamed = 0; renamed < 2; renamed++) {
        struct failure failure = {0};
        struct tiff_writer *writer = NULL;
        uint64_t inode = 0;
        assert_int_equal(tiff_writer_open(path, options, &writer, &failure), 0);
        assert_int_equal(tiff_writer_get_inode(writer, &inode, &failure), 0);
        for (uint32_t i = 0; i < 32; i++) {
            if (i == 10) {
                assert_int_equal(tiff_writer_sync(writer, &failure), 0);
                tiff_writer_suspend(writer);
                assert_int_equal(
                    tiff_writer_reopen(path, options, inode + 1, 10, 9, &writer, &failure),
                    -ESTALE);
                assert_non_null(strstr(failure.text, "is gone or was replaced"));
                assert_int_equal(link(temporary, second), 0); /* somebody else's too */
                assert_int_equal(tiff_writer_reopen(path, options, inode, 10, 9, &writer, &failure),
                                 -ESTALE);
                assert_int_equal(unlink(second), 0);
                if (renamed)
                    assert_int_equal(rename(temporary, path), 0);
                assert_int_equal(tiff_writer_reopen(path, options, inode, 10, 9, &writer, &failure),
                                 0);
            }
            fill_tile(tile, options, i % 8, i / 8);
            assert_int_equal(tiff_writer_put(writer, i % 8, i / 8, tile, &failure), 0);
        }
        assert_int_equal(tiff_writer_publish(writer, &failure), 0);
        TIFF *tiff = TIFFOpen(path, "r");
        assert_non_null(tiff);
        check_pixels(tiff, options);
        TIFFClose(tiff);
        assert_int_equal(unlink(path), 0);
    }
    free(tile);
}

static void *put_some(void *context) {
    static atomic_uint next;
    unsigned char *tile = malloc((size_t)TILE * TILE * 3);
    for (uint32_t i; tile && (i = next++) < 32;) {
        fill_tile(tile, &shared_options, i % 8, i / 8);
        if (tiff_writer_put(context, i % 8, i / 8, tile, NULL) < 0)
            break;
    }
    free(tile);
    return NULL;
}

static void threads_may_share_it(void **state) {
    (void)state;
    char path[PATH_BYTES];
    struct failure failure = {0};
    struct tiff_writer *writer = NULL;
    assert_int_equal(
        tiff_writer_open(in_folder("shared.tif", path), &shared_options, &writer, &failure), 0);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_some, writer), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(tiff_writer_publish(writer, &failure), 0);
    TIFF *tiff = TIFFOpen(path, "r");
    assert_non_null(tiff);
    check_pixels(tiff, &shared_options);
    TIFFClose(tiff);
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libtiff_reads_it),
        cmocka_unit_test(compressed_tiles),
        cmocka_unit_test(images_and_levels),
        cmocka_unit_test(a_table_without_the_last_tile_is_stale),
        cmocka_unit_test(missing_tiles_are_not_published),
        cmocka_unit_test(abandoned_leaves_nothing),
        cmocka_unit_test(impossible_is_refused),
        cmocka_unit_test(suspended_goes_on),
        cmocka_unit_test(threads_may_share_it),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
