/* background_counts: sums, and what of a file is believed. */
#include "worker/output/background_counts.h"

#include "tests/unit/folder_fixture.h"

static void cleanup_counts(struct background_counts **counts) { background_counts_free(*counts); }
#define COUNTS CLEANUP(cleanup_counts) struct background_counts *

static struct background_counts *make(uint64_t seed) {
    struct background_counts *counts = background_counts_new();
    assert_non_null(counts);
    counts->ratio[0] = seed;
    counts->ratio[LOG_RATIO_FINE_BINS - 1] = seed + 1;
    counts->pre[BACKGROUND_COUNTS_BINS - 1] = seed + 2;
    counts->post[7] = seed + 3;
    counts->pre_bins_per_count = 0.5;
    counts->post_bins_per_count = 1;
    return counts;
}

static void sums(void **state) {
    (void)state;
    COUNTS a = make(1);
    COUNTS b = make(100);
    background_counts_add(a, b);
    assert_int_equal(a->ratio[0], 101);
    assert_int_equal(a->ratio[LOG_RATIO_FINE_BINS - 1], 103);
    assert_int_equal(a->pre[BACKGROUND_COUNTS_BINS - 1], 105);
    assert_int_equal(a->post[7], 107);
}

static void a_file_comes_back_or_is_refused(void **state) {
    const char *folder = *state;
    struct failure failure = {0};
    CLEANUP_FREE char *path = names_format("%s/counts", folder);
    COUNTS counts = make(5);
    COUNTS back = NULL;
    COUNTS none = NULL;
    assert_int_equal(background_counts_load(path, &none, &failure), -ENOENT);
    assert_int_equal(background_counts_save(counts, path, &failure), 0);
    assert_int_equal(background_counts_load(path, &back, &failure), 0);
    assert_memory_equal(back, counts, sizeof(*counts));
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    const off_t size = lseek(fd, 0, SEEK_END);
    static const char wrong = 'x';
    for (off_t at = 0; at < size; at += size / 5) {
        char right;
        assert_int_equal(pread(fd, &right, 1, at), 1);
        assert_int_equal(pwrite(fd, &wrong, 1, at), 1);
        assert_int_equal(background_counts_load(path, &none, &failure), -EBADMSG);
        assert_in("counts is damaged", failure.text);
        assert_int_equal(pwrite(fd, &right, 1, at), 1);
    }
    assert_int_equal(ftruncate(fd, size - 1), 0);
    assert_int_equal(background_counts_load(path, &none, &failure), -EBADMSG);
    assert_null(none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test_setup_teardown(a_file_comes_back_or_is_refused, folder_setup,
                                        folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
