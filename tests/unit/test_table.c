/* Tables and the text in their cells: widths, cuts, and what must never reach a terminal. */
#include "supervisor/report/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants them first */
#include <cmocka.h>

static char *print_text(const char *text, size_t width, enum text_cut cut, size_t *ret_columns) {
    char *bytes = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&bytes, &length);
    assert_non_null(stream);
    *ret_columns = text_print(stream, text, width, cut);
    assert_int_equal(fclose(stream), 0);
    return bytes;
}

static void texts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t width;
        enum text_cut cut;
        const char *shown;
        size_t columns;
    } cases[] = {
        {"CD070/DAPI", TEXT_UNLIMITED, TEXT_CUT_END, "CD070/DAPI", 10},
        {"CD070/DAPI", 10, TEXT_CUT_END, "CD070/DAPI", 10},
        {"CD070/DAPI", 9, TEXT_CUT_END, "CD070/...", 9},
        {"CD070/DAPI", 9, TEXT_CUT_MIDDLE, "CD0...API", 9},
        {"CD070/DAPI", 3, TEXT_CUT_MIDDLE, "CD0", 3},
        {"CD070/DAPI", 0, TEXT_CUT_END, "", 0},
        {"", 5, TEXT_CUT_END, "", 0},
        {"gr\xc3\xbc\xc3\x9f"
         "e",
         TEXT_UNLIMITED, TEXT_CUT_END,
         "gr\xc3\xbc\xc3\x9f"
         "e",
         5},
        /* two wide characters: four columns; a cut never halves one */
        {"\xe8\x84\xb3\xe6\xa8\x99/x", TEXT_UNLIMITED, TEXT_CUT_END, "\xe8\x84\xb3\xe6\xa8\x99/x",
         6},
        {"\xe8\x84\xb3\xe6\xa8\x99\xe6\xa8\x99", 3, TEXT_CUT_END, "\xe8\x84\xb3", 2},
        /* e + combining acute: one column */
        {"e\xcc\x81t\xc3\xa9", TEXT_UNLIMITED, TEXT_CUT_END, "e\xcc\x81t\xc3\xa9", 3},
        /* hostile: escapes, a C1 control, broken UTF-8, an overlong form, right-to-left override */
        {"a\033[2Jb", TEXT_UNLIMITED, TEXT_CUT_END, "a?[2Jb", 6},
        {"a\xc2\x9b"
         "b",
         TEXT_UNLIMITED, TEXT_CUT_END, "a?b", 3},
        {"a\xff\xfe"
         "b\xc3",
         TEXT_UNLIMITED, TEXT_CUT_END, "a??b?", 5},
        {"\xc0\xaf", TEXT_UNLIMITED, TEXT_CUT_END, "??", 2},
        {"a\xe2\x80\xae"
         "fit",
         TEXT_UNLIMITED, TEXT_CUT_END, "a?fit", 5},
        {"one\ntwo\tthree", TEXT_UNLIMITED, TEXT_CUT_END, "one two three", 13},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t columns = 0;
        CLEANUP_FREE char *shown =
            print_text(cases[i].text, cases[i].width, cases[i].cut, &columns);
        assert_string_equal(shown, cases[i].shown);
        assert_int_equal(columns, cases[i].columns);
    }
    assert_int_equal(text_width("a\033\xe8\x84\xb3"), 4);
}

static char *wrap_text(const char *text, size_t indent, size_t width) {
    char *bytes = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&bytes, &length);
    assert_non_null(stream);
    text_wrap(stream, text, indent, width);
    assert_int_equal(fclose(stream), 0);
    return bytes;
}

static void broken(void **state) {
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"ok  a/b  12 s", "ok  a/b  12 s"},
        {"failed  a/b  the file is cut off", "failed  a/b  the file is\r\n    cut off"},
        {"failed  a/b  0123456789012345678901234567", "failed  a/b  0123456789012345678901234567"},
        {"exactly 24 columns wide,", "exactly 24 columns wide,"},
        {"exactly 24 columns wide, no more", "exactly 24 columns wide,\r\n    no more"},
        {"a\nb\033c", "a b?c"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *bytes = NULL;
        size_t length = 0;
        FILE *stream = open_memstream(&bytes, &length);
        assert_non_null(stream);
        text_print_broken(stream, cases[i].text, 4, 24, "\r\n");
        assert_int_equal(fclose(stream), 0);
        assert_string_equal(bytes, cases[i].shown);
        free(bytes);
    }
}

static void wrapped(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t indent, width;
        const char *shown;
    } cases[] = {
        {"one two three", 2, 10, "one two\n  three\n"},
        {"one  two\n", 0, 80, "one two\n"},
        {"/a/path/that/is/longer and more", 2, 10, "/a/path/that/is/longer\n  and more\n"},
        {"", 4, 80, "\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *shown = wrap_text(cases[i].text, cases[i].indent, cases[i].width);
        assert_string_equal(shown, cases[i].shown);
    }
}

static const struct table_column columns[] = {
    {.title = "TASK", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
    {.title = "TIME", .right = true},
    {.title = "REASON", .shrinks = true},
};

static struct table *make_table(void) {
    struct table *table = table_open(columns, ARRAY_LEN(columns));
    table_cell(table, "%s/%d", "CD070", 1);
    table_cell(table, "12 s");
    table_cell(table, "%s", "");
    table_cell(table, "\xe8\x84\xb3\xe6\xa8\x99/DAPI");
    table_cell(table, "1 h 02 min");
    table_style(table, TEXT_BAD);
    table_cell(table, "no agreement between the tiles anywhere");
    return table;
}

static void print_table(size_t width, bool colour, const char *expected) {
    struct table *table = make_table();
    char *bytes = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&bytes, &length);
    assert_non_null(stream);
    assert_int_equal(table_print(table, stream, width, colour), 0);
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(bytes, expected);
    free(bytes);
    table_close(table);
}

static void tables(void **state) {
    (void)state;
    print_table(TEXT_UNLIMITED, false,
                "TASK             TIME  REASON\n"
                "CD070/1          12 s\n"
                "\xe8\x84\xb3\xe6\xa8\x99/DAPI  1 h 02 min"
                "  no agreement between the tiles anywhere\n");
    /* the widest column gives way, never a number */
    print_table(40, false,
                "TASK             TIME  REASON\n"
                "CD070/1          12 s\n"
                "\xe8\x84\xb3\xe6\xa8\x99/DAPI  1 h 02 min  no agreement b...\n");
    print_table(10, false,
                "TASK          TIME  REASON\n"
                "CD...1        12 s\n"
                "\xe8\x84\xb3...I  1 h 02 min  no ...\n");
    print_table(40, true,
                "\033[2mTASK\033[0m             \033[2mTIME\033[0m  \033[2mREASON\033[0m\n"
                "CD070/1          12 s\n"
                "\xe8\x84\xb3\xe6\xa8\x99/DAPI  \033[31m1 h 02 min\033[0m  no agreement b...\n");
}

static void empty_and_lost(void **state) {
    (void)state;
    struct table *table = table_open(columns, ARRAY_LEN(columns));
    char *bytes = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&bytes, &length);
    assert_non_null(stream);
    assert_int_equal(table_print(table, stream, 80, false), 0);
    assert_int_equal(table_print(NULL, stream, 80, false), -ENOMEM);
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(bytes, "");
    free(bytes);
    table_cell(NULL, "nothing happens");
    table_style(NULL, TEXT_BAD);
    table_close(NULL);
    table_close(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),  cmocka_unit_test(broken),         cmocka_unit_test(wrapped),
        cmocka_unit_test(tables), cmocka_unit_test(empty_and_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
