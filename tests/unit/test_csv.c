/* Tables: separators, quotes, line ends, and records that are larger than what is read at once. */
#include "worker/apply/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static struct csv_reader *open_bytes(const char *bytes, size_t length, int *ret_fd) {
    struct csv_reader *reader = NULL;
    struct failure failure;
    *ret_fd = memfd_create("table", MFD_CLOEXEC);
    assert_true(*ret_fd >= 0);
    assert_int_equal(write(*ret_fd, bytes, length), (ssize_t)length);
    assert_int_equal(lseek(*ret_fd, 0, SEEK_SET), 0);
    assert_int_equal(csv_open(*ret_fd, "t.csv", &reader, &failure), 0);
    return reader;
}

/* Records as "field|field|" and their line ends as "/n" or "/rn"; all records one behind the other.
 */
static void assert_records(const char *bytes, const char *wanted) {
    char got[1024] = "";
    size_t used = 0, total = 0;
    int fd;
    struct csv_reader *reader = open_bytes(bytes, strlen(bytes), &fd);
    struct csv_record record;
    struct failure failure = {0};
    int r;
    while ((r = csv_next(reader, &record, &failure)) == 0) {
        used += (size_t)snprintf(got + used, sizeof(got) - used,
                                 "%llu:", (unsigned long long)record.line);
        for (size_t i = 0; i < record.n_fields; i++) {
            struct csv_field bare = csv_bare(&record, record.fields[i]);
            used += (size_t)snprintf(got + used, sizeof(got) - used, "%.*s|", (int)bare.length,
                                     record.text + bare.start);
        }
        used += (size_t)snprintf(got + used, sizeof(got) - used, "%zu ", record.end_length);
        total += record.length;
    }
    const char *mark;
    assert_int_equal(total + csv_mark(reader, &mark), strlen(bytes)); /* nothing gets lost */
    csv_close(reader);
    (void)close(fd);
    assert_int_equal(r, -ENODATA);
    assert_string_equal(got, wanted);
}

static void records_are_taken_apart(void **state) {
    (void)state;
    assert_records("x,y\n1,2\n", "1:x|y|1 2:1|2|1 ");
    assert_records("x;y\r\n1,5;2\r\n", "1:x|y|2 2:1,5|2|2 ");
    assert_records("x\ty\r1\t2\r", "1:x|y|1 2:1|2|1 ");
    assert_records("x,y\n1,2", "1:x|y|1 2:1|2|0 ");
    assert_records("x,y\n\n,\n", "1:x|y|1 2:1 3:||1 ");
    assert_records("\xef\xbb\xbfx,y\n", "1:x|y|1 ");
    assert_records("", "");
    assert_records("\xef\xbb\xbf", "");
}

static void quotes_hold_separators_and_line_ends(void **state) {
    (void)state;
    assert_records("\"x\",\"a,b\"\n", "1:x|a,b|1 ");
    assert_records("a,\"b\r\nc\",d\r\n1,2,3\r\n", "1:a|b\r\nc|d|2 3:1|2|3|2 ");
    assert_records("a,\"b\"\"\n,c\"\n", "1:a|b\"\"\n,c|1 ");
    assert_records("a,5\" wide,c\n", "1:a|5\" wide|c|1 "); /* no quoted field begins here */
    assert_records(" x , \"y\" \n", "1:x|y|1 ");
}

static void assert_refused(const char *bytes, size_t length, const char *sentence) {
    int fd, r;
    struct csv_reader *reader = open_bytes(bytes, length, &fd);
    struct csv_record record;
    struct failure failure = {0};
    while ((r = csv_next(reader, &record, &failure)) == 0)
        ;
    csv_close(reader);
    (void)close(fd);
    assert_int_equal(r, -EINVAL);
    assert_string_equal(failure.text, sentence);
}

static void what_is_no_table_is_refused(void **state) {
    (void)state;
    static const char utf16[] = "\xff\xfex\0,\0y\0\n";
    static const char open_quote[] = "x,y\n1,\"2\n3,4\n";
    assert_refused(utf16, sizeof(utf16),
                   "t.csv holds bytes that are no text; save it as CSV in UTF-8, not as UTF-16 or "
                   "a spreadsheet");
    assert_refused(open_quote, strlen(open_quote),
                   "t.csv, line 2: a quote that is opened there is never closed");
    char *endless = malloc(3 << 20);
    assert_non_null(endless);
    memset(endless, 'a', 3 << 20);
    assert_refused(endless, 3 << 20, "t.csv, line 1: it is longer than 1 MiB; is this a table?");
    free(endless);
}

/* Larger than the buffer as a whole, with a record of nearly the most. */
static void long_tables_come_through_whole(void **state) {
    (void)state;
    enum { ROWS = 300000, WIDE = 1000000 };
    size_t used = 0, bytes = 0;
    char *text = malloc(ROWS * 16 + WIDE + 2);
    assert_non_null(text);
    for (int i = 0; i < ROWS; i++)
        used += (size_t)sprintf(text + used, "%d,%d\r\n", i, 2 * i);
    memset(text + used, 'w', WIDE);
    used += WIDE;
    text[used++] = '\n';
    int fd, r;
    struct csv_reader *reader = open_bytes(text, used, &fd);
    struct csv_record record;
    struct failure failure;
    for (uint64_t line = 1; (r = csv_next(reader, &record, &failure)) == 0; line++) {
        assert_int_equal(record.line, line);
        assert_memory_equal(record.text, text + bytes, record.length);
        assert_int_equal(record.n_fields, line > ROWS ? 1 : 2);
        bytes += record.length;
    }
    assert_int_equal(r, -ENODATA);
    assert_int_equal(bytes, used);
    csv_close(reader);
    (void)close(fd);
    free(text);
}

static void assert_number(const char *text, bool comma_allowed, double wanted) {
    double value = -1;
    if (!csv_parse_number(text, strlen(text), comma_allowed, &value) || value != wanted)
        fail_msg("\"%s\" is read as %g", text, value);
}

static void numbers_are_read_as_programs_write_them(void **state) {
    (void)state;
    assert_number("12", false, 12);
    assert_number("-1.5e3", false, -1500);
    assert_number("+.5", false, 0.5);
    assert_number("1E2", true, 100);
    assert_number("12,5", true, 12.5);
    static const char *const wrong[] = {"",     "abc",   "1.2.3", "1,234.5", "0x10",
                                        "nan",  "inf",   "1 2",   "--1",     "1e",
                                        "12px", "1,2,3", "1.5,2", "\"1\""};
    double value;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (csv_parse_number(wrong[i], strlen(wrong[i]), true, &value))
            fail_msg("\"%s\" is read as %g", wrong[i], value);
    assert_false(csv_parse_number("12,5", 4, false, &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_taken_apart),
        cmocka_unit_test(quotes_hold_separators_and_line_ends),
        cmocka_unit_test(what_is_no_table_is_refused),
        cmocka_unit_test(long_tables_come_through_whole),
        cmocka_unit_test(numbers_are_read_as_programs_write_them),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
