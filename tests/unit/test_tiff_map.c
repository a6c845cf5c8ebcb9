/* A mapped file that is cut short under its reader: zeros and a mark, or a sentence; no crash. */
#include "worker/tiff/tiff_map.h"

#include "common/cleanup.h"
#include "tests/unit/image_files.h"
#include "worker/tiff/tiff_directory.h"
#include "worker/tiff/tiff_limits.h"
#include "worker/tiff/tiff_rows.h"

#include <signal.h>
#include <sys/wait.h>

enum { PAGES = 8 };

/* A file of PAGES pages, each filled with its number plus one; unlinked. */
static int make_file(size_t page) {
    char path[IMAGE_PATH_BYTES];
    FILE *file = fopen(image_in_folder("map", path), "w+");
    assert_non_null(file);
    for (size_t i = 0; i < PAGES * page; i++)
        assert_int_not_equal(fputc((int)(i / page) + 1, file), EOF);
    assert_int_equal(fflush(file), 0);
    const int fd = dup(fileno(file));
    assert_int_equal(fclose(file), 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

static void a_cut_file_reads_as_zeros(void **state) {
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CLEANUP_CLOSE int fd = make_file(page);
    struct tiff_map *map = tiff_map_open(fd, PAGES * page);
    struct tiff_map *other = tiff_map_open(fd, PAGES * page);
    assert_non_null(map);
    const volatile char *bytes = tiff_map_bytes(map);
    assert_int_equal(bytes[7 * page], 8);
    assert_int_equal(ftruncate(fd, (off_t)(3 * page)), 0);
    assert_false(tiff_map_was_cut(map));
    assert_int_equal(bytes[5 * page + 17], 0);
    assert_true(tiff_map_was_cut(map));
    assert_false(tiff_map_was_cut(other));
    assert_int_equal(bytes[2 * page], 3);
    assert_int_equal(bytes[3 * page], 0);
    assert_int_equal(bytes[7 * page], 0);
    tiff_map_release(map);
    tiff_map_close(map);
    assert_int_equal(((const volatile char *)tiff_map_bytes(other))[2 * page], 3);
    tiff_map_close(other);
    tiff_map_close(NULL);
}

/* What is not ours to mend still ends the process. */
static void any_other_bus_error_is_fatal(void **state) {
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CLEANUP_CLOSE int fd = make_file(page);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGBUS, SIG_DFL); /* cmocka has its own */
        assert_non_null(tiff_map_open(fd, PAGES * page));
        (void)raise(SIGBUS);
        (void)raise(SIGBUS);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

/* Noise, which deflate cannot make smaller, in one strip that is too large to be read whole. */
static const struct image_file noise = {.width = 7000,
                                        .height = 4000,
                                        .samples = 1,
                                        .bits = 8,
                                        .photometric = PHOTOMETRIC_MINISBLACK,
                                        .compression = COMPRESSION_ADOBE_DEFLATE,
                                        .planar = PLANARCONFIG_CONTIG,
                                        .orientation = ORIENTATION_TOPLEFT,
                                        .rows = 4000,
                                        .mode = "wl"};

static void expect_told(const struct failure *failure, const char *path) {
    assert_non_null(strstr(failure->text, "was changed while it was being read ("));
    assert_non_null(strstr(failure->text, path));
}

static void rows_of_a_file_that_is_cut(void **state) {
    (void)state;
    enum { FEW = 64 };
    char path[IMAGE_PATH_BYTES];
    struct failure failure = {0};
    struct tiff_file file;
    struct tiff_handle *handle = NULL;
    struct tiff_layout layout;
    struct tiff_rows *rows = NULL;
    image_write_file(image_in_folder("cut.tif", path), &noise);
    assert_int_equal(tiff_file_open(path, &file, &failure), 0);
    assert_int_equal(tiff_handle_open(&file, false, &handle, &failure), 0);
    assert_int_equal(tiff_directory_choose(handle, &file, &failure), 0);
    assert_int_equal(tiff_layout_read(handle, &file, TIFF_LAYOUT_COUNTS, &layout, &failure), 0);
    assert_true(layout.mapped);
    assert_int_equal(tiff_rows_open(&file, &layout, &rows, &failure), 0);
    CLEANUP_FREE void *pixels = malloc((size_t)noise.width * noise.height);
    assert_non_null(pixels);
    assert_int_equal(tiff_rows_next(rows, FEW, pixels, &failure), 0);
    assert_int_equal(truncate(path, TIFF_LIMIT_READ_BYTES / 4), 0);
    assert_int_equal(tiff_rows_next(rows, noise.height - FEW, pixels, &failure), -ESTALE);
    expect_told(&failure, path);
    tiff_rows_close(rows);
    tiff_handle_close(handle);
    tiff_file_close(&file);
    assert_int_equal(unlink(path), 0);
}

static int cut_file(void *context, const struct image_band *band, struct failure *failure) {
    (void)failure;
    assert_true(band->rows > 0);
    assert_int_equal(truncate(context, TIFF_LIMIT_READ_BYTES / 4), 0);
    return 0;
}

static void an_image_cut_while_it_is_streamed(void **state) {
    (void)state;
    char path[IMAGE_PATH_BYTES], scratch[IMAGE_PATH_BYTES];
    struct failure failure = {0};
    struct image *image = NULL;
    struct image_identity identity;
    image_write_file(image_in_folder("cut.tif", path), &noise);
    assert_int_equal(image_open(path, &image, &failure), 0);
    assert_int_equal(image_stream(image, image_in_folder("scratch", scratch), cut_file, path, NULL,
                                  &identity, &failure),
                     -ESTALE);
    expect_told(&failure, path);
    image_close(image);
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_file_reads_as_zeros),
        cmocka_unit_test(any_other_bus_error_is_fatal),
        cmocka_unit_test(rows_of_a_file_that_is_cut),
        cmocka_unit_test(an_image_cut_while_it_is_streamed),
    };
    return cmocka_run_group_tests(tests, image_make_folder, image_remove_folder);
}
