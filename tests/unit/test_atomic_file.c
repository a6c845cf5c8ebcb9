/* Files that appear whole or not at all: what stands under the final name, before, after and when
 * the write fails. */
#include "common/atomic_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <signal.h>

static char folder[] = "/tmp/test_atomic_file.XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void in_folder(const char *name, char path[256]) {
    (void)snprintf(path, 256, "%s/%s", folder, name);
}

static void read_text(const char *path, char text[256]) {
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t n = fread(text, 1, 255, file);
    text[n] = '\0';
    assert_int_equal(fclose(file), 0);
}

static void replaces_whole(void **state) {
    (void)state;
    char path[256], text[256];
    in_folder("a.txt", path);
    struct failure failure = {0};
    assert_int_equal(atomic_file_write(path, "first, longer", 13, &failure), 0);
    assert_int_equal(atomic_file_write(path, "second", 6, &failure), 0);
    read_text(path, text);
    assert_string_equal(text, "second");
}

static void takes_over_a_stale_temporary(void **state) {
    (void)state;
    char path[256], text[256];
    in_folder("b.txt", path);
    CLEANUP_FREE char *temporary = atomic_file_temporary_name(path);
    FILE *stale = fopen(temporary, "we");
    assert_non_null(stale);
    assert_true(fputs("half a file of an earlier life", stale) >= 0);
    assert_int_equal(fclose(stale), 0);
    assert_int_equal(atomic_file_write(path, "whole", 5, NULL), 0);
    read_text(path, text);
    assert_string_equal(text, "whole");
    assert_int_equal(access(temporary, F_OK), -1);
}

/* A write that the kernel cuts short (here by RLIMIT_FSIZE) must leave the old file and no litter.
 */
static void failed_write_keeps_the_old_file(void **state) {
    (void)state;
    char path[256], text[256];
    static const char big[8192];
    in_folder("c.txt", path);
    assert_int_equal(atomic_file_write(path, "old", 3, NULL), 0);
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    struct failure failure = {0};
    int r = atomic_file_write(path, big, sizeof(big), &failure);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(r, -EFBIG);
    assert_non_null(strstr(failure.text, "c.txt"));
    assert_non_null(strstr(failure.text, "File too large"));
    read_text(path, text);
    assert_string_equal(text, "old");
    CLEANUP_FREE char *temporary = atomic_file_temporary_name(path);
    assert_int_equal(access(temporary, F_OK), -1);
}

static void writes_json_with_a_newline(void **state) {
    (void)state;
    char path[256], text[256];
    in_folder("d.json", path);
    CLEANUP_JSON json_t *value = json_pack("{s:i}", "version", 1);
    assert_int_equal(atomic_file_write_json(path, value, NULL), 0);
    read_text(path, text);
    assert_string_equal(text, "{\n \"version\": 1\n}\n");
}

static void writes_numbers_on_one_line(void **state) {
    (void)state;
    char path[256], text[256];
    in_folder("e.json", path);
    CLEANUP_JSON json_t *value =
        json_pack("{s:[[f,i],[i,f]], s:[s,i], s:[], s:s}", "map", 0.5, -2, 3, 1e-9, "mixed",
                  "[1,\\ \"2\"]", 1, "none", "quoted", "a [1, 2]");
    assert_int_equal(atomic_file_write_json(path, value, NULL), 0);
    read_text(path, text);
    assert_string_equal(text, "{\n \"map\": [\n  [0.5, -2],\n  [3, 1e-09]\n ],\n"
                              " \"mixed\": [\n  \"[1,\\\\ \\\"2\\\"]\",\n  1\n ],\n"
                              " \"none\": [],\n \"quoted\": \"a [1, 2]\"\n}\n");
}

/* Shortest, yet the same: a checkpoint must not change what it keeps. */
static void writes_reals_short_and_exact(void **state) {
    (void)state;
    static const double values[] = {0.1,  1.0 / 3, 0.1 + 0.2,         -29999.123456789,
                                    1e22, 5e-324,  1.23e300,          -0.0,
                                    1e16, 3.0,     1234567890123456.0};
    char path[256], text[256];
    in_folder("r.json", path);
    CLEANUP_JSON json_t *value = json_pack("{s:[], s:s, s:I}", "r", "s", "0.10000000000000001", "i",
                                           (json_int_t)1764000000123456789);
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        assert_int_equal(json_array_append_new(json_object_get(value, "r"), json_real(values[i])),
                         0);
    assert_int_equal(atomic_file_write_json(path, value, NULL), 0);
    read_text(path, text);
    assert_non_null(strstr(text, "[0.1, 0.333333333333333"));
    assert_non_null(strstr(text, "0.30000000000000004, -29999.123456789, "));
    assert_non_null(strstr(text, "\"0.10000000000000001\""));
    assert_non_null(strstr(text, "1764000000123456789"));
    CLEANUP_JSON json_t *back = json_load_file(path, 0, NULL);
    assert_non_null(back);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        const json_t *element = json_array_get(json_object_get(back, "r"), i);
        assert_true(json_is_real(element));
        assert_true(json_real_value(element) == values[i]);
    }
}

static void makes_folders(void **state) {
    (void)state;
    char path[256], file[300];
    in_folder("x/y/z", path);
    assert_int_equal(atomic_file_make_folders(path, NULL), 0);
    assert_int_equal(atomic_file_make_folders(path, NULL), 0);
    (void)snprintf(file, sizeof(file), "%s/f", path);
    assert_int_equal(atomic_file_write(file, "", 0, NULL), 0);
    struct failure failure = {0};
    assert_int_equal(atomic_file_make_folders(file, &failure), -ENOTDIR);
    assert_non_null(strstr(failure.text, "is not a folder"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_whole),
        cmocka_unit_test(takes_over_a_stale_temporary),
        cmocka_unit_test(failed_write_keeps_the_old_file),
        cmocka_unit_test(writes_json_with_a_newline),
        cmocka_unit_test(writes_numbers_on_one_line),
        cmocka_unit_test(writes_reals_short_and_exact),
        cmocka_unit_test(makes_folders),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
