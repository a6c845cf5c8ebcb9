/* Reading other people's JSON: what is taken, and the sentence for what is not. */
#include "common/json_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void typed_members(void **state) {
    (void)state;
    CLEANUP_JSON json_t *object = json_loads("{\"s\":\"x\",\"i\":7,\"n\":1.5}", 0, NULL);
    struct failure failure = {0};
    const char *text = NULL;
    int64_t whole = 0;
    double number = 0;
    assert_int_equal(json_read_string(object, "s", "here", &text, &failure), 0);
    assert_string_equal(text, "x");
    assert_int_equal(json_read_int(object, "i", "here", 0, 9, &whole, &failure), 0);
    assert_int_equal(whole, 7);
    assert_int_equal(json_read_number(object, "n", "here", &number, &failure), 0);
    assert_true(number == 1.5);

    assert_int_equal(json_read_string(object, "gone", "here", &text, &failure), -EINVAL);
    assert_string_equal(failure.text, "here: \"gone\" is missing");
    assert_int_equal(json_read_string(object, "i", "here", &text, &failure), -EINVAL);
    assert_string_equal(failure.text, "here: \"i\" must be a string");
    assert_int_equal(json_read_int(object, "n", "here", 0, 9, &whole, &failure), -EINVAL);
    assert_string_equal(failure.text, "here: \"n\" must be a whole number");
    assert_int_equal(json_read_int(object, "i", "here", 8, 9, &whole, &failure), -ERANGE);
    assert_string_equal(failure.text, "here: \"i\" is 7; it must lie in 8 to 9");
    assert_int_equal(whole, 7);
}

static void optional_members_keep_the_default(void **state) {
    (void)state;
    CLEANUP_JSON json_t *object = json_object();
    const char *text = "default";
    int64_t whole = 3;
    assert_int_equal(json_read_optional_string(object, "s", "here", &text, NULL), 0);
    assert_int_equal(json_read_optional_int(object, "i", "here", 0, 9, &whole, NULL), 0);
    assert_string_equal(text, "default");
    assert_int_equal(whole, 3);
}

static void unknown_keys_are_named(void **state) {
    (void)state;
    static const char *const keys[] = {"id", "pre", NULL};
    CLEANUP_JSON json_t *good = json_loads("{\"id\":1}", 0, NULL);
    CLEANUP_JSON json_t *bad = json_loads("{\"id\":1,\"prr\":2}", 0, NULL);
    struct failure failure = {0};
    assert_int_equal(json_read_known_keys(good, keys, "task 1", &failure), 0);
    assert_int_equal(json_read_known_keys(bad, keys, "task 1", &failure), -EINVAL);
    assert_string_equal(failure.text, "task 1: unknown key \"prr\"; known are id, pre");
}

static void files(void **state) {
    (void)state;
    char path[] = "/tmp/test_json_read.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "{\"a\":1,\n \"a\":2}";
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    struct failure failure = {0};
    json_t *value = NULL;
    assert_int_equal(json_read_file(path, 1 << 20, &value, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "line 2"));
    assert_non_null(strstr(failure.text, "duplicate"));
    assert_int_equal(json_read_file(path, 4, &value, &failure), -EFBIG);
    assert_int_equal(json_read_file("/tmp", 4, &value, &failure), -EINVAL);
    assert_string_equal(failure.text, "/tmp is not a file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(json_read_file(path, 4, &value, &failure), -ENOENT);
    assert_non_null(strstr(failure.text, path));
    assert_null(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_members),
        cmocka_unit_test(optional_members_keep_the_default),
        cmocka_unit_test(unknown_keys_are_named),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
