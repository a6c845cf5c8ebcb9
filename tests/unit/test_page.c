/* page: what is put into the report from texts and tables that may be anything. */
#include "supervisor/page/page_out.h"
#include "supervisor/page/page_picture.h"
#include "supervisor/page/page_series.h"
#include "tests/unit/folder_fixture.h"

#include <stdlib.h>

#define HEADING "seconds,resident_bytes,anonymous_bytes,file_bytes,swap_bytes,attempt\n"

/* ---- text ---- */

enum { TEXT_MOST = 512 };

static const char *as_text(const char *text, char *written) {
    written[0] = '\0'; /* the stream ends what it wrote, but not nothing */
    FILE *stream = fmemopen(written, TEXT_MOST, "w");
    assert_non_null(stream);
    assert_int_equal(page_out_text(stream, text), 0);
    assert_int_equal(fclose(stream), 0);
    return written;
}

static const char *as_json(json_t *value, char *written) {
    FILE *stream = fmemopen(written, TEXT_MOST, "w");
    assert_non_null(stream);
    assert_int_equal(page_out_json_new(stream, value), 0);
    assert_int_equal(fclose(stream), 0);
    return written;
}

static void text_is_no_markup(void **state) {
    (void)state;
    char written[TEXT_MOST];
    assert_string_equal(as_text("a<b>&\"'", written), "a&lt;b&gt;&amp;&quot;&#39;");
    assert_string_equal(as_text("\x1b[2J\xff\n", written), "\\x1b[2J\\xff\\x0a");
    assert_string_equal(as_text("\xc3\xa9", written), "\xc3\xa9");
    assert_string_equal(as_text("", written), "");
}

static void json_closes_no_element(void **state) {
    (void)state;
    char written[TEXT_MOST];
    assert_string_equal(as_json(json_pack("[s]", "</script><!--"), written),
                        "[\"\\u003c/script>\\u003c!--\"]");
    assert_string_equal(as_json(json_pack("{s:s}", "<", "\xe2\x80\xa8"), written),
                        "{\"\\u003c\":\"\\u2028\"}");
    assert_string_equal(as_json(page_out_string("\xff<"), written), "\"\\\\xff\\u003c\"");
    FILE *stream = fmemopen(written, TEXT_MOST, "w");
    assert_int_equal(page_out_json(stream, NULL), -ENOMEM);
    assert_int_equal(fclose(stream), 0);
}

/* The examples of RFC 4648, and blocks around the size of the buffer. */
static void base64(void **state) {
    static const struct {
        const char *bytes, *text;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"}};
    char written[TEXT_MOST];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_FREE char *path = names_format("%s/bytes", (const char *)*state);
        const size_t length = strlen(rows[i].bytes);
        assert_int_equal(atomic_file_write(path, rows[i].bytes, length, NULL), 0);
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        written[0] = '\0';
        FILE *stream = fmemopen(written, TEXT_MOST, "w");
        assert_int_equal(page_out_base64(stream, fd, 100), length);
        assert_int_equal(fclose(stream), 0);
        assert_string_equal(written, rows[i].text);
        assert_int_equal(page_out_base64_length(length), strlen(rows[i].text));
    }
}

static void base64_of_any_length(void **state) {
    enum { LONGEST = 40000 };
    CLEANUP_FREE char *bytes = calloc(1, LONGEST), *path = NULL;
    path = names_format("%s/bytes", (const char *)*state);
    assert_int_equal(atomic_file_write(path, bytes, LONGEST, NULL), 0);
    static const uint64_t most[] = {1, 12287, 12288, 12289, 24576, LONGEST, LONGEST + 1};
    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        FILE *stream = open_memstream(&text, &length);
        const uint64_t wanted = most[i] < LONGEST ? most[i] : LONGEST;
        assert_int_equal(page_out_base64(stream, fd, most[i]), wanted);
        assert_int_equal(fclose(stream), 0);
        assert_int_equal(length, page_out_base64_length(wanted));
        assert_int_equal(strspn(text, "A="), length);
    }
}

/* ---- memory over time ---- */

static double number(const json_t *points, size_t i) {
    return json_number_value(json_array_get(points, i));
}

static void few_samples_are_all_kept(void **state) {
    (void)state;
    CLEANUP_JSON json_t *series =
        page_series_parse(HEADING "0.1,100,1,1,0,1\n0.2,300,1,1,0,1\n0.3,200,1,1,0,1\n", 96);
    const json_t *points = json_array_get(json_array_get(series, 0), 1);
    assert_int_equal(json_array_size(series), 1);
    assert_int_equal(json_array_size(points), 6);
    assert_true(number(points, 2) == 0.2 && number(points, 3) == 300);
}

static void peaks_outlive_the_thinning(void **state) {
    enum { SAMPLES = 5000, PEAK_AT = 3217, MOST = 40 };
    (void)state;
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    (void)fputs(HEADING, stream);
    for (int i = 0; i < SAMPLES; i++)
        (void)fprintf(stream, "%d.5,%d,0,0,0,2\n", i, i == PEAK_AT ? 777777 : 1000 + i % 7);
    assert_int_equal(fclose(stream), 0);
    CLEANUP_JSON json_t *series = page_series_parse(text, MOST);
    const json_t *attempt = json_array_get(series, 0), *points = json_array_get(attempt, 1);
    const size_t n = json_array_size(points) / 2;
    assert_int_equal(number(attempt, 0), 2);
    assert_true(n > MOST / 2 && n <= MOST);
    assert_true(number(points, 0) == 0.5);
    assert_true(number(points, 2 * n - 2) == SAMPLES - 0.5);
    bool has_peak = false;
    for (size_t i = 0; i < n; i++) {
        has_peak |= number(points, 2 * i + 1) == 777777 && number(points, 2 * i) == PEAK_AT + 0.5;
        assert_true(i == 0 || number(points, 2 * i) > number(points, 2 * i - 2));
    }
    assert_true(has_peak);
}

static void attempts_are_kept_apart(void **state) {
    (void)state;
    CLEANUP_JSON json_t *series =
        page_series_parse(HEADING "1,5,0,0,0,1\n2,6,0,0,0,1\n1,7,0,0,0,2\n", 96);
    assert_int_equal(json_array_size(series), 2);
    assert_int_equal(number(json_array_get(series, 1), 0), 2);
    assert_int_equal(json_array_size(json_array_get(json_array_get(series, 1), 1)), 2);
}

static void what_is_no_sample_is_passed_over(void **state) {
    static const char *const texts[] = {"",
                                        "\n\n",
                                        HEADING,
                                        "1,2\n",
                                        "nan,1,1,1,0,1\n",
                                        "-1,1,1,1,0,1\n",
                                        "1e99,1,1,1,0,1\n",
                                        "1,99999999999999999999999,1,1,0,1\n",
                                        "1,1,1,1,0,0\n",
                                        "1,1,x,1,0,1\n",
                                        "1,1,1,1,0,1 and more\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP_JSON json_t *series = page_series_parse(texts[i], 96);
        assert_non_null(series);
        assert_int_equal(json_array_size(series), 0);
    }
}

/* ---- pictures ---- */

static struct page_task picture_task(enum verdict verdict, uint64_t core, uint64_t all) {
    return (struct page_task){.result = {.finished = true, .verdict = verdict},
                              .core_bytes = core,
                              .all_bytes = all,
                              .n_pictures = all > 0};
}

static void problems_get_their_pictures_first(void **state) {
    static const struct {
        uint64_t budget, used;
        enum page_picture_choice choices[4];
    } rows[] = {
        {0, 0, {PAGE_PICTURE_NONE, PAGE_PICTURE_NONE, PAGE_PICTURE_NONE, PAGE_PICTURE_NONE}},
        {30, 30, {PAGE_PICTURE_NONE, PAGE_PICTURE_NONE, PAGE_PICTURE_CORE, PAGE_PICTURE_NONE}},
        {100, 100, {PAGE_PICTURE_NONE, PAGE_PICTURE_NONE, PAGE_PICTURE_ALL, PAGE_PICTURE_NONE}},
        {120, 110, {PAGE_PICTURE_CORE, PAGE_PICTURE_NONE, PAGE_PICTURE_ALL, PAGE_PICTURE_NONE}},
        {130, 130, {PAGE_PICTURE_CORE, PAGE_PICTURE_CORE, PAGE_PICTURE_ALL, PAGE_PICTURE_NONE}},
        {1000, 200, {PAGE_PICTURE_ALL, PAGE_PICTURE_ALL, PAGE_PICTURE_ALL, PAGE_PICTURE_NONE}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct page_task items[] = {
            picture_task(VERDICT_OK, 10, 50), picture_task(VERDICT_OK, 20, 50),
            picture_task(VERDICT_DOUBTFUL, 30, 100), picture_task(VERDICT_FAILED, 0, 0)};
        struct page_tasks tasks = {.items = items, .count = ARRAY_LEN(items)};
        assert_int_equal(page_picture_choose(&tasks, rows[i].budget), rows[i].used);
        for (size_t k = 0; k < ARRAY_LEN(items); k++)
            assert_int_equal(items[k].embedded, rows[i].choices[k]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_no_markup),
        cmocka_unit_test(json_closes_no_element),
        cmocka_unit_test_setup_teardown(base64, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(base64_of_any_length, folder_setup, folder_teardown),
        cmocka_unit_test(few_samples_are_all_kept),
        cmocka_unit_test(peaks_outlive_the_thinning),
        cmocka_unit_test(attempts_are_kept_apart),
        cmocka_unit_test(what_is_no_sample_is_passed_over),
        cmocka_unit_test(problems_get_their_pictures_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
