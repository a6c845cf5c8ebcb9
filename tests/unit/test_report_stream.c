/* report_stream: lines whole, in pieces, and every way to break the protocol. */
#include "supervisor/process/report_stream.h"

#include "common/protocol.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

struct heard {
    int count;
    enum report_kind kind;
    double fraction;
    uint64_t peak_bytes;
    char text[128]; /* stage, status or cause; then the reason */
};

static void hear(void *context, const struct report *report) {
    struct heard *heard = context;
    heard->count++;
    heard->kind = report->kind;
    heard->fraction = report->fraction;
    heard->peak_bytes = report->peak_bytes;
    (void)snprintf(heard->text, sizeof(heard->text), "%s%s%s/%s", report->stage, report->status,
                   report->cause, report->reason);
    if (report->kind == REPORT_BLOCKED)
        (void)snprintf(heard->text, sizeof(heard->text), "%s %d", report->call, report->number);
}

static const char script[] =
    "{\"event\":\"progress\",\"stage\":\"survey\",\"fraction\":0.25,\"memory_bytes\":1024}\n"
    "{\"event\":\"stage_end\",\"stage\":\"survey\",\"wall_s\":1.5}\n"
    "{\"event\":\"memory\",\"peak_bytes\":4096,\"stage\":\"warp\",\"buffers\":"
    "[{\"label\":\"tiles\",\"bytes\":4000},{\"label\":\"map\",\"bytes\":96}]}\n"
    "{\"event\":\"error\",\"cause\":\"input\",\"reason\":\"too small\"}\n"
    "{\"event\":\"result\",\"status\":\"doubtful\",\"reason\":\"few tiles\",\"outputs\":[]}\n";

static void any_pieces_give_the_same(void **state) {
    (void)state;
    for (size_t piece = 1; piece <= sizeof(script); piece++) {
        struct heard heard = {0};
        struct report_stream *stream = report_stream_open(hear, &heard);
        for (size_t at = 0; at < sizeof(script) - 1; at += piece) {
            size_t left = sizeof(script) - 1 - at;
            assert_int_equal(report_stream_feed(stream, script + at, left < piece ? left : piece),
                             0);
        }
        assert_int_equal(report_stream_end(stream), 0);
        assert_null(report_stream_breach(stream));
        assert_int_equal(heard.count, 5);
        assert_int_equal(heard.kind, REPORT_RESULT);
        assert_string_equal(heard.text, "doubtful/few tiles");
        report_stream_close(stream);
    }
}

static void fractions(void **state) {
    (void)state;
    struct heard heard = {0};
    struct report_stream *stream = report_stream_open(hear, &heard);
    const char line[] = "{\"event\":\"progress\",\"stage\":\"s\",\"fraction\":1}\n";
    assert_int_equal(report_stream_feed(stream, line, strlen(line)), 0);
    assert_true(heard.fraction == 1.0);
    report_stream_close(stream);
}

static void waiting(void **state) {
    (void)state;
    struct heard heard = {0};
    struct report_stream *stream = report_stream_open(hear, &heard);
    const char line[] = "{\"event\":\"waiting\",\"stage\":\"search\"}\n";
    const char nameless[] = "{\"event\":\"waiting\"}\n";
    assert_int_equal(report_stream_feed(stream, line, strlen(line)), 0);
    assert_int_equal(heard.kind, REPORT_WAITING);
    assert_string_equal(heard.text, "search/");
    assert_int_equal(report_stream_feed(stream, nameless, strlen(nameless)), -EPROTO);
    report_stream_close(stream);
}

static void memory(void **state) {
    (void)state;
    struct heard heard = {0};
    struct report_stream *stream = report_stream_open(hear, &heard);
    char line[2048];
    int used = snprintf(line, sizeof(line),
                        "{\"event\":\"memory\",\"peak_bytes\":4096,\"stage\":\"s\",\"buffers\":[");
    for (int i = 0; i < PROTOCOL_MEMORY_BUFFERS; i++)
        used += snprintf(line + used, sizeof(line) - (size_t)used,
                         "%s{\"label\":\"%064d\",\"bytes\":%d}", i ? "," : "", i, i);
    const size_t length = (size_t)used;
    (void)strcpy(line + length, "]}\n");
    assert_int_equal(report_stream_feed(stream, line, strlen(line)), 0);
    assert_int_equal(heard.kind, REPORT_MEMORY);
    assert_int_equal(heard.peak_bytes, 4096);
    (void)strcpy(line + length, ",{\"label\":\"one too many\",\"bytes\":1}]}\n");
    assert_int_equal(report_stream_feed(stream, line, strlen(line)), -EPROTO);
    assert_int_equal(heard.count, 1);
    report_stream_close(stream);
}

static void blocked(void **state) {
    (void)state;
    struct heard heard = {0};
    struct report_stream *stream = report_stream_open(hear, &heard);
    const char line[] = "{\"event\":\"blocked\",\"call\":\"accept4\",\"number\":288}\n";
    assert_int_equal(report_stream_feed(stream, line, strlen(line)), 0);
    assert_int_equal(heard.kind, REPORT_BLOCKED);
    assert_string_equal(heard.text, "accept4 288");
    report_stream_close(stream);
}

static void breaches(void **state) {
    (void)state;
    static const struct {
        const char *sent;
        size_t length; /* 0: strlen */
        const char *says;
    } cases[] = {
        {"hello\n", 0, "not a JSON object: 'hello'"},
        {"[1]\n", 0, "not a JSON object: '[1]'"},
        {"\n", 0, "not a JSON object: ''"},
        {"{\"event\":\0\"x\"}\n", 15, "not a JSON object: '{\"event\":\\x00\"x\"}'"},
        {"\xff\xfe\x1b[2J\n", 0, "'\\xff\\xfe\\x1b[2J'"},
        {"{\"event\":\"dance\"}\n", 0, "breaks the protocol: '{\"event\":\"dance\"}'"},
        {"{}\n", 0, "breaks the protocol: '{}'"},
        {"{\"event\":\"progress\",\"stage\":\"s\",\"fraction\":1.5}\n", 0, "breaks the protocol"},
        {"{\"event\":\"progress\",\"stage\":\"s\",\"fraction\":\"1\"}\n", 0, "breaks the protocol"},
        {"{\"event\":\"memory\",\"peak_bytes\":1}\n", 0, "breaks the protocol"},
        {"{\"event\":\"memory\",\"peak_bytes\":-1,\"buffers\":[]}\n", 0, "breaks the protocol"},
        {"{\"event\":\"memory\",\"peak_bytes\":1,\"buffers\":{}}\n", 0, "breaks the protocol"},
        {"{\"event\":\"memory\",\"peak_bytes\":1,\"buffers\":[1]}\n", 0, "breaks the protocol"},
        {"{\"event\":\"memory\",\"peak_bytes\":1,\"buffers\":[{\"label\":\"a\",\"bytes\":-1}]}\n",
         0, "breaks the protocol"},
        {"{\"event\":\"memory\",\"peak_bytes\":1,\"buffers\":[{\"label\":\"a\",\"bytes\":1,\"x\":[]"
         "}]}\n",
         0, "breaks the protocol"},
        {"{\"event\":\"result\",\"status\":\"fine\"}\n", 0, "breaks the protocol"},
        {"{\"event\":\"result\",\"status\":\"failed\",\"inputs\":{}}\n", 0, "breaks the protocol"},
        {"{\"event\":\"result\",\"status\":\"failed\",\"inputs\":[1]}\n", 0, "breaks the protocol"},
        {"{\"event\":\"result\",\"status\":\"failed\",\"inputs\":"
         "[{\"path\":\"/a\",\"size\":1,\"mtime_ns\":2,\"hash\":[[[[]]]]}]}\n",
         0, "breaks the protocol"},
        {"{\"event\":\"result\",\"status\":\"failed\",\"outputs\":"
         "[{\"name\":\"a\",\"size\":1,\"mtime_ns\":2,\"more\":[]}]}\n",
         0, "breaks the protocol"},
        {"{\"event\":\"error\",\"cause\":\"magic\"}\n", 0, "breaks the protocol"},
        {"{\"event\":\"blocked\",\"call\":\"\",\"number\":1}\n", 0, "breaks the protocol"},
        {"{\"event\":\"blocked\",\"call\":\"rm -rf\",\"number\":1}\n", 0, "breaks the protocol"},
        {"{\"event\":\"blocked\",\"call\":\"bpf\",\"number\":99999999999}\n", 0,
         "breaks the protocol"},
        {"{\"event\":\"result\",\"event\":\"error\"}\n", 0, "not a JSON object"},
        {"{\"event\":\"prog", 0, "ended in half a line: '{\"event\":\"prog'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heard heard = {0};
        struct report_stream *stream = report_stream_open(hear, &heard);
        size_t length = cases[i].length ? cases[i].length : strlen(cases[i].sent);
        (void)report_stream_feed(stream, cases[i].sent, length);
        assert_int_equal(report_stream_end(stream), -EPROTO);
        assert_non_null(strstr(report_stream_breach(stream), cases[i].says));
        assert_int_equal(heard.count, 0);
        /* nothing is heard after a breach */
        assert_int_equal(report_stream_feed(stream, script, strlen(script)), -EPROTO);
        assert_int_equal(heard.count, 0);
        report_stream_close(stream);
    }
}

/* A gigabyte without a newline, in the pieces a pipe gives. */
static void a_gigabyte(void **state) {
    (void)state;
    static char piece[64 * 1024];
    memset(piece, 'x', sizeof(piece));
    struct heard heard = {0};
    struct report_stream *stream = report_stream_open(hear, &heard);
    for (int i = 0; i < 16 * 1024; i++)
        (void)report_stream_feed(stream, piece, sizeof(piece));
    assert_non_null(strstr(report_stream_breach(stream), "longer than 64 KiB: 'xxxx"));
    report_stream_close(stream);
}

/* The limit counts the newline: one byte less is heard, in one piece or in two. */
static void the_longest_line(void **state) {
    (void)state;
    static char line[PROTOCOL_LINE_BYTES + 1];
    const char head[] = "{\"event\":\"result\",\"status\":\"failed\",\"reason\":\"";
    for (int over = 0; over < 2; over++)
        for (size_t first = 0; first < 2; first++) {
            size_t length = (size_t)(PROTOCOL_LINE_BYTES + over);
            memset(line, 'y', length);
            memcpy(line, head, strlen(head));
            memcpy(line + length - 3, "\"}\n", 3);
            struct heard heard = {0};
            struct report_stream *stream = report_stream_open(hear, &heard);
            (void)report_stream_feed(stream, line, first);
            (void)report_stream_feed(stream, line + first, length - first);
            assert_int_equal(heard.count, over ? 0 : 1);
            report_stream_close(stream);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_pieces_give_the_same),
        cmocka_unit_test(fractions),
        cmocka_unit_test(waiting),
        cmocka_unit_test(memory),
        cmocka_unit_test(blocked),
        cmocka_unit_test(breaches),
        cmocka_unit_test(a_gigabyte),
        cmocka_unit_test(the_longest_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
