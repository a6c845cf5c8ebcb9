/* Files with flipped bytes: whatever they say, a sentence or pixels come of it. timeout: 120 */
#include "tests/unit/image_files.h"

#include <sys/stat.h>

static void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wbe");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static off_t size_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* xorshift32: the same damage in every run. */
static uint32_t draw(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static int ignore_band(void *context, const struct image_band *band, struct failure *failure) {
    (void)context;
    (void)band;
    (void)failure;
    return 0;
}

/* Opens and reads what can be read. Whatever comes: a sentence or pixels, and no more. */
static void read_anything(const char *path, const char *scratch) {
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_identity identity;
    if (image_open(path, &image, &failure) < 0) {
        assert_true(strlen(failure.text) > strlen(path));
        return;
    }
    const struct image_info *info = image_get_info(image);
    uint64_t pixels = (uint64_t)info->width * info->height;
    if (pixels <= 1 << 20 &&
        image_stream(image, scratch, ignore_band, NULL, NULL, &identity, &failure) == 0) {
        struct image_reader *reader = NULL;
        char pixel[128];
        assert_int_equal(image_reader_open(image, 1000, &reader, &failure), 0);
        assert_int_equal(image_reader_read(reader, info->width - 1, info->height / 2, 1, 1, pixel,
                                           sizeof(pixel), &failure),
                         0);
        image_reader_close(reader);
    }
    image_close(image);
    (void)unlink(scratch); /* may never have been made */
}

static void flipped_bytes_never_crash(void **state) {
    (void)state;
    static const struct {
        uint16_t compression;
        uint32_t tile;
        const char *mode;
    } cases[] = {{COMPRESSION_NONE, 0, "wl"},     {COMPRESSION_LZW, 0, "wb"},
                 {COMPRESSION_PACKBITS, 0, "wl"}, {COMPRESSION_ADOBE_DEFLATE, 16, "w8l"},
                 {COMPRESSION_JPEG, 32, "wl"},    {COMPRESSION_NONE, 16, "w8b"}};
    char path[IMAGE_PATH_BYTES], scratch[IMAGE_PATH_BYTES];
    (void)image_in_folder("flipped.tif", path);
    (void)image_in_folder("scratch", scratch);
    uint32_t random = 20261121;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct image_file file = {.width = 37,
                                        .height = 29,
                                        .samples = 1,
                                        .bits = 8,
                                        .photometric = PHOTOMETRIC_MINISBLACK,
                                        .compression = cases[i].compression,
                                        .planar = PLANARCONFIG_CONTIG,
                                        .orientation = 1,
                                        .rows = 16,
                                        .tile_width = cases[i].tile,
                                        .tile_height = cases[i].tile,
                                        .mode = cases[i].mode};
        image_write_file(path, &file);
        size_t size = (size_t)size_of(path);
        unsigned char *good = malloc(size), *bad = malloc(size);
        assert_true(good && bad);
        FILE *from = fopen(path, "rbe");
        assert_non_null(from);
        assert_int_equal(fread(good, 1, size, from), size);
        assert_int_equal(fclose(from), 0);
        for (int round = 0; round < 600; round++) {
            memcpy(bad, good, size);
            for (uint32_t n = 1 + draw(&random) % 4; n > 0; n--) {
                /* every other flip goes to where the header and the directory are */
                size_t span = n % 2 && size > 400 ? 400 : size;
                size_t at = draw(&random) % span;
                bad[cases[i].tile || n % 4 == 1 ? size - 1 - at : at] ^=
                    (unsigned char)(1U << draw(&random) % 8);
            }
            write_bytes(path, bad, size);
            read_anything(path, scratch);
        }
        free(good);
        free(bad);
        assert_int_equal(unlink(path), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_bytes_never_crash),
    };
    return cmocka_run_group_tests(tests, image_make_folder, image_remove_folder);
}
