/* Sizes and durations: what people type, and what must be refused. */
#include "common/units.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int r;
        uint64_t bytes;
    } cases[] = {
        {"0", 0, 0},
        {"512M", 0, 512ULL << 20},
        {"4G", 0, 4ULL << 30},
        {"1.5GiB", 0, 3ULL << 29},
        {"100", 0, 100},
        {"2 t", 0, 2ULL << 40},
        {"", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"nan", -EINVAL, 0},
        {"5X", -EINVAL, 0},
        {"5M!", -EINVAL, 0},
        {"1e30", -ERANGE, 0},
        {"2097151T", 0, 2097151ULL << 40},
        {"2097152T", -ERANGE, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = 0;
        assert_int_equal(units_parse_size(cases[i].text, &bytes), cases[i].r);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int r;
        int64_t ms;
    } cases[] = {
        {"90s", 0, 90000},     {"30m", 0, 1800000},    {"2h", 0, 7200000},
        {"250ms", 0, 250},     {"7", 0, 7000},         {"", -EINVAL, 0},
        {"2x", -EINVAL, 0},    {"1e300h", -ERANGE, 0}, {"3659d", 0, 3659LL * 86400000},
        {"3660d", -ERANGE, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 0;
        assert_int_equal(units_parse_duration(cases[i].text, &ms), cases[i].r);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void printed(void **state) {
    (void)state;
    char text[UNITS_TEXT_BYTES];
    assert_string_equal(units_format_size(480ULL << 20, text), "480 MiB");
    assert_string_equal(units_format_size(3ULL * 480 << 20, text), "1.4 GiB");
    assert_string_equal(units_format_size(41ULL << 30, text), "41 GiB");
    assert_string_equal(units_format_duration(12100, text), "12 s");
    assert_string_equal(units_format_duration(185000, text), "3 min 05 s");
    assert_string_equal(units_format_duration(3720000, text), "1 h 02 min");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
