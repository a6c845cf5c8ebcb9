/* Reading a long list value by value: every value comes once, and every way to be no such file has
 * its sentence with a place. */
#include "common/json_list.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { MAX_BYTES = 1 << 20, MAX_VALUE_BYTES = 40 };

static int fd = -1;
static char path[64];

static int make(void **state) {
    (void)state;
    fd = memfd_create("list", MFD_CLOEXEC);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return fd < 0;
}

static int unmake(void **state) {
    (void)state;
    return close(fd);
}

static void write_text(const char *text) {
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
}

/* All values, one behind the other; what was wrong, if something was. */
static void read_all(const char *text, char *ret, size_t size, struct failure *failure) {
    CLEANUP_JSON_LIST struct json_list *list = NULL;
    json_t *value = NULL;
    int r = 0;
    *ret = '\0';
    write_text(text);
    assert_int_equal(json_list_open(path, "rows", MAX_BYTES, MAX_VALUE_BYTES, &list, failure), 0);
    while ((r = json_list_next(list, &value, failure)) == 0 && value) {
        CLEANUP_FREE char *shown = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        const size_t used = strlen(ret);
        (void)snprintf(ret + used, size - used, "%s;", shown);
        json_decref(value);
    }
    assert_true(r == 0 || failure->code == r);
}

static void values(void **state) {
    (void)state;
    static const struct {
        const char *text, *values;
    } cases[] = {
        {"{\"rows\":[{\"a\":1},{\"b\":[2,{}]}]}", "{\"a\":1};{\"b\":[2,{}]};"},
        {" {\n\t\"rows\" : [ 1 , 2.5,-3\r\n, true,false ,null,\"x\" ,[ ]] } \n",
         "1;2.5;-3;true;false;null;\"x\";[];"},
        {"{\"rows\":[7]}", "7;"},
        {"{\"rows\":[\"]}\\\"\"]}", "\"]}\\\"\";"},
        {"{\"r\\u006fws\":[[\"\xc3\xa4\"]]}", "[\"\xc3\xa4\"];"},
        {"{\"rows\":[]}", ""},
        {"{\"rows\":{\"not\":1}}", ""},
        {"{}", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char got[256];
        struct failure failure = {0};
        read_all(cases[i].text, got, sizeof(got), &failure);
        assert_string_equal(failure.text, "");
        assert_string_equal(got, cases[i].values);
    }
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", ", line 1, column 0: '{' expected near end of file"},
        {"rows", ", line 1, column 1: '{' expected near 'r'"},
        {"[]", ": must be an object {\"rows\":[...]}"},
        {"{3:[]}", ", line 1, column 2: '\"' expected near '3'"},
        {"{\"rows\" []}", ", line 1, column 9: ':' expected near '['"},
        {"{\"rows\":[", ", line 1, column 9: "},
        {"{\"rows\":[1", ", line 1, column 10: ',' expected near end of file"},
        {"{\"rows\":[1\n 2]}", ", line 2, column 2: ',' expected near '2'"},
        {"{\"rows\":[1,]}", ", line 1, column 12: "},
        {"{\"rows\":[{\"a\":1},\n{\"a\":1,\n\"a\":2}]}",
         ", line 3, column 3: duplicate object key"},
        {"{\"rows\":[\"\xff\"]}", "unable to decode byte 0xff"},
        {"{\"rows\":[1]", ", line 1, column 11: '}' expected near end of file"},
        {"{\"rows\":[1]}}", ", line 1, column 13: end of file expected"},
        {"{\"rows\":[1],\"more\":2}", ": unknown key \"more\"; known are rows"},
        {"{\"more\":2,\"rows\":[1]}", ": unknown key \"more\"; known are rows"},
        {"{\"rows\":[1],\"rows\":[2]}", ", line 1, column 18: a second list"},
        {"{\"rows\":[\"0123456789012345678901234567890123456789\"]}",
         "one value is longer than 40 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char got[256];
        struct failure failure = {0};
        print_message("%s\n", cases[i].text);
        read_all(cases[i].text, got, sizeof(got), &failure);
        assert_non_null(strstr(failure.text, cases[i].sentence));
        assert_int_equal(strncmp(failure.text, path, strlen(path)), 0);
    }
}

/* Every beginning of a good file is refused: none is taken for the whole. */
static void torn(void **state) {
    (void)state;
    static const char whole[] = "{\"rows\":[{\"a\":[1,\"]\"]},22,{}]}";
    for (size_t length = 0; length + 1 < sizeof(whole); length++) {
        char got[256];
        struct failure failure = {0};
        CLEANUP_FREE char *text = strndup(whole, length);
        read_all(text, got, sizeof(got), &failure);
        assert_true(failure.code < 0);
    }
}

static void files(void **state) {
    (void)state;
    struct json_list *list = NULL;
    struct failure failure = {0};
    write_text("{\"rows\":[1]}");
    assert_int_equal(json_list_open(path, "rows", 5, 5, &list, &failure), -EFBIG);
    assert_non_null(strstr(failure.text, "has 12 bytes; at most 5 are read"));
    assert_int_equal(json_list_open("/tmp", "rows", 5, 5, &list, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "is not a file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(refused),
        cmocka_unit_test(torn),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests_name("json_list", tests, make, unmake);
}
