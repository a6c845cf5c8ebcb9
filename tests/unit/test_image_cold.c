/* What of a file that is not in RAM gets there when a region of uncompressed strips is read: of a
 * lone region little more than itself, of an expected swath the rows ahead too, and no more; of
 * tiles the same. */
#include "tests/unit/image_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { WIDTH = 65536, HEIGHT = 1024, SIDE = 256, PAGE = 4096, SLOPE = 40, TMPFS = 0x01021994 };

struct cold {
    char path[IMAGE_PATH_BYTES];
    int fd;
    size_t size;
    struct image *image;
    struct image_reader *reader;
};

/* tile: 0: strips of a row each. */
static int open_layout(void **state, uint32_t tile) {
    const struct image_file file = {.width = WIDTH,
                                    .height = HEIGHT,
                                    .samples = 1,
                                    .bits = 8,
                                    .photometric = PHOTOMETRIC_MINISBLACK,
                                    .compression = COMPRESSION_NONE,
                                    .planar = PLANARCONFIG_CONTIG,
                                    .tile_width = tile,
                                    .tile_height = tile,
                                    .rows = 1,
                                    .mode = "wl"};
    static struct cold cold;
    struct failure failure = {0};
    struct stat status;
    image_write_file(image_in_folder("cold.tif", cold.path), &file);
    cold.fd = open(cold.path, O_RDONLY);
    if (fsync(cold.fd) < 0 || fstat(cold.fd, &status) < 0 ||
        image_open(cold.path, &cold.image, &failure) < 0 ||
        image_reader_open(cold.image, 0, &cold.reader, &failure) < 0)
        return -1;
    cold.size = (size_t)status.st_size;
    *state = &cold;
    return posix_fadvise(cold.fd, 0, 0, POSIX_FADV_DONTNEED);
}

enum { CLAIMED_TILES = 96 };

/* Each tile but the last ones claims to have the bytes of so many. */
static void claim_more(const char *path) {
    TIFF *tiff = TIFFOpen(path, "r+");
    uint64_t *counts = NULL;
    assert_non_null(tiff);
    assert_int_equal(TIFFGetField(tiff, TIFFTAG_TILEBYTECOUNTS, &counts), 1);
    for (uint32_t i = 0; i + CLAIMED_TILES < TIFFNumberOfTiles(tiff); i++)
        counts[i] *= CLAIMED_TILES;
    assert_int_equal(TIFFRewriteDirectory(tiff), 1);
    TIFFClose(tiff);
}

static int open_claiming(void **state) {
    int r = open_layout(state, SIDE);
    struct cold *cold = *state;
    struct failure failure = {0};
    image_reader_close(cold->reader);
    image_close(cold->image);
    claim_more(cold->path);
    if (image_open(cold->path, &cold->image, &failure) < 0 ||
        image_reader_open(cold->image, 0, &cold->reader, &failure) < 0 || fsync(cold->fd) < 0)
        return -1;
    return r < 0 ? r : posix_fadvise(cold->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int open_strips(void **state) { return open_layout(state, 0); }

static int open_tiles(void **state) { return open_layout(state, SIDE); }

static int close_cold(void **state) {
    struct cold *cold = *state;
    image_reader_close(cold->reader);
    image_close(cold->image);
    return close(cold->fd) < 0 || unlink(cold->path) < 0 ? -1 : 0;
}

static void read_region(struct cold *cold, uint32_t x, uint32_t y) {
    static unsigned char pixels[SIDE * SIDE];
    struct failure failure = {0};
    assert_int_equal(image_reader_read(cold->reader, x, y, SIDE, SIDE, pixels, SIDE, &failure), 0);
    assert_int_equal(pixels[SIDE + 1], image_sample(x + 1, y + 1, 0, 8));
}

static void skip_in_ram(const struct cold *cold) {
    struct statfs system;
    assert_int_equal(fstatfs(cold->fd, &system), 0);
    if (system.f_type == TMPFS)
        skip();
}

/* Pages of pixels [x, x + n) of the row; rows are 16 pages behind the header. */
static size_t held(const struct cold *cold, uint32_t x, uint32_t n, uint32_t y) {
    static unsigned char pages[(size_t)WIDTH * (HEIGHT + 1) / PAGE + 64];
    void *map = mmap(NULL, cold->size, PROT_READ, MAP_SHARED, cold->fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, cold->size, pages), 0);
    assert_int_equal(munmap(map, cold->size), 0);
    size_t first = ((size_t)y * WIDTH + x) / PAGE, sum = 0;
    for (size_t i = first; i < first + n / PAGE; i++)
        sum += pages[i] & 1;
    return sum;
}

static void lone_region(void **state) {
    struct cold *cold = *state;
    skip_in_ram(cold);
    size_t before = held(cold, 0, WIDTH * (HEIGHT - 1), 0); /* the strips' table */
    read_region(cold, 30000, 512);
    size_t after = held(cold, 0, WIDTH * (HEIGHT - 1), 0);
    assert_in_range(after - before, SIDE, SIDE * 2);
}

static void swath_ahead(void **state) {
    struct cold *cold = *state;
    skip_in_ram(cold);
    /* 20,000 px wide, moving SLOPE px to the right with each row */
    image_reader_expect(cold->reader,
                        &(struct image_swath){
                            .left = 0, .left_slope = SLOPE, .right = 20000, .right_slope = SLOPE});
    read_region(cold, 12000, 0);
    /* a row of the next tiles: its last pixel comes with all of its piece */
    char pixel;
    uint32_t y = SIDE + 200;
    assert_int_equal(posix_fadvise(cold->fd, 0, 0, POSIX_FADV_RANDOM), 0);
    assert_int_equal(
        pread(cold->fd, &pixel, 1, (off_t)((size_t)y * WIDTH + SLOPE * y + 20000 - 2 * PAGE)), 1);
    assert_int_equal(held(cold, SLOPE * y + 2 * PAGE, 2 * PAGE, y), 2);
    assert_int_equal(held(cold, SLOPE * y + 20000 + 2 * PAGE, 4 * PAGE, y), 0);
    assert_int_equal(held(cold, PAGE, 2 * PAGE, y), 0);
    assert_int_equal(held(cold, SLOPE * 900, 4 * PAGE, 900), 0); /* not yet */
}

/* Pages of n tiles from (column, row) on, one after the other behind the header. */
static size_t held_tiles(const struct cold *cold, uint32_t column, uint32_t row, uint32_t n) {
    uint32_t at = (row * (WIDTH / SIDE) + column) * SIDE * SIDE;
    return held(cold, at % WIDTH, n * SIDE * SIDE, at / WIDTH);
}

static void tiles_ahead(void **state) {
    enum { TILE_PAGES = SIDE * SIDE / PAGE, FIRST = 40, END = 80, SLACK = 48 };
    struct cold *cold = *state;
    skip_in_ram(cold);
    image_reader_expect(cold->reader,
                        &(struct image_swath){.left = FIRST * SIDE + 10, .right = END * SIDE - 10});
    size_t before = held(cold, 0, WIDTH * (HEIGHT - 1), 0);
    read_region(cold, 50 * SIDE, SIDE);
    char pixel;
    assert_int_equal(posix_fadvise(cold->fd, 0, 0, POSIX_FADV_RANDOM), 0);
    off_t last = (off_t)(2 * (WIDTH / SIDE) + END) * SIDE * SIDE - 2 * PAGE;
    assert_int_equal(pread(cold->fd, &pixel, 1, last), 1);
    for (uint32_t row = 1; row < 3; row++)
        assert_int_equal(held_tiles(cold, FIRST + 1, row, END - FIRST - 2),
                         (END - FIRST - 2) * TILE_PAGES);
    size_t after = held(cold, 0, WIDTH * (HEIGHT - 1), 0);
    assert_in_range(after - before, 2 * (END - FIRST - 1) * TILE_PAGES,
                    (2 * (END - FIRST) + SLACK) * TILE_PAGES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lone_region, open_strips, close_cold),
        cmocka_unit_test_setup_teardown(swath_ahead, open_strips, close_cold),
        cmocka_unit_test_setup_teardown(tiles_ahead, open_tiles, close_cold),
        {"tiles_ahead_of_false_claims", tiles_ahead, open_claiming, close_cold, NULL},
    };
    return cmocka_run_group_tests(tests, image_make_folder, image_remove_folder);
}
