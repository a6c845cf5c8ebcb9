/* trace_series: what is kept of a course of any length, and how it is written. */
#include "supervisor/memory/trace_file.h"
#include "tests/unit/folder_fixture.h"

#include <stdlib.h>

enum { LONG = 100 * 1000 };

static struct trace_sample at(int64_t us, uint64_t resident) {
    return (struct trace_sample){.at_us = us,
                                 .resident_bytes = resident,
                                 .anonymous_bytes = resident - resident / 4,
                                 .file_bytes = resident / 4};
}

static void add(struct trace_series *series, int64_t us, uint64_t resident) {
    const struct trace_sample sample = at(us, resident);
    trace_series_add(series, &sample);
}

/* Caller owns. */
static char *print(const struct trace_series *series) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    trace_series_print(series, 3, stream);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

static void nothing(void **state) {
    (void)state;
    struct trace_series series = {0};
    CLEANUP_FREE char *text = print(&series);
    assert_string_equal(text, "");
    trace_series_free(&series);
}

static void few_are_all_kept(void **state) {
    (void)state;
    struct trace_series series = {0};
    add(&series, 0, 4096);
    add(&series, 10000, 8192);
    add(&series, 20500, 4096);
    CLEANUP_FREE char *text = print(&series);
    assert_string_equal(text, "0.0000,4096,3072,1024,0,3\n"
                              "0.0100,8192,6144,2048,0,3\n"
                              "0.0205,4096,3072,1024,0,3\n");
    assert_int_equal(series.least_bytes, 4096);
    assert_int_equal(series.most_bytes, 8192);
    trace_series_free(&series);
}

/* One sample among a hundred thousand, wherever it stands, above or below the rest. */
static void a_peak_of_one_sample_is_kept(void **state) {
    (void)state;
    static const int places[] = {0, 1, 511, 512, 513, 4711, 65535, 65536, LONG - 2, LONG - 1};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct trace_series series = {0};
        for (int k = 0; k < LONG; k++)
            add(&series, k,
                k == places[i]  ? 900000U
                : k == LONG / 2 ? 100U
                                : 5000U + (unsigned)k % 7);
        CLEANUP_FREE char *text = print(&series);
        assert_in(",900000,", text);
        assert_in(",100,75,25,0,3\n", text);
        assert_true(strncmp(text, "0.0000,", 7) == 0); /* the first, and the last: */
        assert_in("\n0.1000,", text);                  /* 99,999 us */
        assert_int_equal(series.most_bytes, 900000);
        assert_int_equal(series.least_bytes, 100);
        assert_true(count_lines(text) <= 2 * TRACE_SERIES_STRETCHES + 2);
        assert_true(count_lines(text) >= TRACE_SERIES_STRETCHES / 2);
        trace_series_free(&series);
    }
}

static void lines_are_in_order_of_time(void **state) {
    (void)state;
    struct trace_series series = {0};
    srand(7);
    for (int k = 0; k < 20000; k++)
        add(&series, 100LL * k, (unsigned)rand() % 100000);
    CLEANUP_FREE char *text = print(&series);
    double before = -1;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        const double seconds = strtod(line, NULL);
        assert_true(seconds > before);
        before = seconds;
    }
    trace_series_free(&series);
}

static void what_is_swapped_out_is_still_held(void **state) {
    (void)state;
    struct trace_series series = {0};
    for (int k = 0; k < 5000; k++) {
        struct trace_sample sample = at(k, 5000);
        if (k == 3333) {
            sample.resident_bytes = 4000;
            sample.swap_bytes = 70000;
        }
        trace_series_add(&series, &sample);
    }
    CLEANUP_FREE char *text = print(&series);
    assert_in(",70000,3\n", text);
    trace_series_free(&series);
}

/* ---- the file ---- */

static void later_attempts_follow(void **state) {
    (void)state;
    CLEANUP_FREE char *first = trace_file_join(NULL, "0.1,1,1,0,0,1\n");
    assert_string_equal(first, TRACE_SERIES_HEADING "0.1,1,1,0,0,1\n");
    CLEANUP_FREE char *both = trace_file_join(first, "0.2,2,2,0,0,2\n");
    assert_string_equal(both, TRACE_SERIES_HEADING "0.1,1,1,0,0,1\n0.2,2,2,0,0,2\n");
}

static void what_is_no_table_is_not_kept(void **state) {
    (void)state;
    static const char cut[] = TRACE_SERIES_HEADING "0.1,1,1,0,0";
    static const char *const olds[] = {
        "", "x", "hello\n", "seconds,resident_bytes\n1,2\n", cut,
    };
    for (size_t i = 0; i < ARRAY_LEN(olds); i++) {
        CLEANUP_FREE char *text = trace_file_join(olds[i], "0.2,2,2,0,0,2\n");
        assert_string_equal(text, TRACE_SERIES_HEADING "0.2,2,2,0,0,2\n");
    }
}

static void the_file_is_bounded(void **state) {
    (void)state;
    static const char line[] = "0.1,1,1,0,0,1\n";
    CLEANUP_FREE char *text = NULL;
    for (int i = 0; i < 2 * TRACE_FILE_MOST_BYTES / (int)sizeof(line); i++) {
        char *longer = trace_file_join(text, line);
        free(text);
        text = longer;
        assert_true(strlen(text) <= TRACE_FILE_MOST_BYTES);
    }
    assert_true(strlen(text) < TRACE_FILE_MOST_BYTES); /* it began anew */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing),
        cmocka_unit_test(few_are_all_kept),
        cmocka_unit_test(a_peak_of_one_sample_is_kept),
        cmocka_unit_test(lines_are_in_order_of_time),
        cmocka_unit_test(what_is_swapped_out_is_still_held),
        cmocka_unit_test(later_attempts_follow),
        cmocka_unit_test(what_is_no_table_is_not_kept),
        cmocka_unit_test(the_file_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
