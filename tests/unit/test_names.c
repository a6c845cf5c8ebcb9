/* Names as text: what is clean, how the rest is shown, lists. */
#include "tests/unit/folder_fixture.h"

static void clean_and_escaped(void **state) {
    (void)state;
    static const struct {
        const char *text, *escaped;
        bool clean;
    } cases[] = {
        {"", "", true},
        {"plain name", "plain name", true},
        {"Zürich µm", "Zürich µm", true},
        {"a\nb", "a\\x0ab", false},
        {"\033[2J", "\\x1b[2J", false},
        {"\x7f", "\\x7f", false},
        {"a\xc2\x9b"
         "2J",
         "a\\xc2\\x9b2J", false}, /* C1: CSI as one character */
        {"\xff", "\\xff", false},
        {"Z\xc3", "Z\\xc3", false},                 /* cut inside a character */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80", false}, /* a surrogate is no UTF-8 */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *escaped = names_escape(cases[i].text);
        assert_string_equal(escaped, cases[i].escaped);
        assert_int_equal(names_is_clean(cases[i].text), cases[i].clean);
        assert_true(names_is_clean(escaped));
    }
}

static void half_characters_are_dropped(void **state) {
    (void)state;
    static const char whole[] = "a\u00e9\u20ac\U0001f600"; /* of 1, 2, 3 and 4 bytes */
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t cut = 0; cut < sizeof(whole); cut++) {
        char text[sizeof(whole)] = "";
        memcpy(text, whole, cut);
        names_drop_half(text);
        assert_int_equal(strlen(text), kept[cut]);
    }
}

static void lists(void **state) {
    (void)state;
    CLEANUP_NAMES char **list = NULL;
    assert_int_equal(names_count(list), 0);
    assert_false(names_contains(list, "b"));
    static const char *const words[] = {"c", "a", "b\n"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_int_equal(names_append(&list, words[i]), 0);
    names_sort(list);
    assert_int_equal(names_count(list), 3);
    assert_true(names_contains(list, "a"));
    assert_null(list[3]);
    CLEANUP_FREE char *all = names_join(list, 3);
    assert_string_equal(all, "a, b\\x0a, c");
    CLEANUP_FREE char *some = names_join(list, 1);
    assert_string_equal(some, "a and 2 more");
    CLEANUP_FREE char *none = names_join(NULL, 1);
    assert_string_equal(none, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_and_escaped),
        cmocka_unit_test(half_characters_are_dropped),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
