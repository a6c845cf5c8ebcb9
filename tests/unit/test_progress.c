/* Progress: never falling, not too often, and -ECANCELED once SIGTERM is pending. */
#include "worker/stage/progress.h"

#include "common/protocol.h"
#include "worker/stage/report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void assert_near(double actual, double wanted, double tolerance) {
    if (!(fabs(actual - wanted) <= tolerance))
        fail_msg("%.9g is not within %g of %.9g", actual, tolerance, wanted);
}

static int read_end = -1;

/* The report descriptor becomes a pipe that this test reads. */
static struct report *open_piped_report(void) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    read_end = fcntl(ends[0], F_DUPFD_CLOEXEC, 20);
    assert_true(read_end >= 0);
    int write_end = fcntl(ends[1], F_DUPFD_CLOEXEC, 20);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(dup2(write_end, PROTOCOL_REPORT_FD), PROTOCOL_REPORT_FD);
    (void)close(write_end);
    struct report *report = report_open();
    assert_non_null(report);
    return report;
}

static size_t count_lines(double *ret_last) {
    char text[65536];
    ssize_t length = read(read_end, text, sizeof(text) - 1);
    size_t n = 0;
    text[length > 0 ? length : 0] = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        CLEANUP_JSON json_t *report = json_loads(line, 0, NULL);
        assert_non_null(report);
        assert_string_equal(json_string_value(json_object_get(report, "event")), "progress");
        double fraction = json_real_value(json_object_get(report, "fraction"));
        assert_true(fraction >= *ret_last && fraction <= 1);
        *ret_last = fraction;
        n++;
    }
    return n;
}

static void reports_rise_and_are_few(void **state) {
    (void)state;
    struct report *report = open_piped_report();
    struct progress *progress = progress_open(report);
    assert_non_null(progress);
    double last = 0;
    progress_begin(progress, "survey", 0.0, 0.5);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(progress_set(progress, i / 1e5), 0);
    size_t n = count_lines(&last);
    assert_in_range(n, 1, 20);
    assert_true(last <= 0.5);
    progress_begin(progress, "warp", 0.5, 1.0);
    assert_int_equal(count_lines(&last), 1);
    assert_near(last, 0.5, 1e-9);
    progress_begin(progress, "again", 0.2, 0.3); /* earlier in the task: what was told stays */
    assert_int_equal(count_lines(&last), 1);
    assert_near(last, 0.5, 1e-9);
    progress_close(progress);
    report_close(report);
    (void)close(read_end);
    (void)close(PROTOCOL_REPORT_FD);
}

/* 40 KiB lines into a non-blocking pipe of 64 KiB: the writer waits for the reader, loses nothing.
 */
static void *drain(void *argument) {
    size_t *total = argument;
    char bytes[4096];
    int fd = fcntl(read_end, F_SETFL, 0) == 0 ? read_end : -1;
    for (ssize_t n; (n = read(fd, bytes, sizeof(bytes))) > 0;)
        *total += (size_t)n;
    return NULL;
}

static void long_lines_arrive_whole(void **state) {
    (void)state;
    struct report *report = open_piped_report();
    size_t total = 0, sent = 0;
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, drain, &total), 0);
    char text[40001];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 20; i++) {
        assert_int_equal(report_send(report, json_pack("{s:s}", "reason", text)), 0);
        sent += strlen("{\"reason\":\"\"}\n") + sizeof(text) - 1;
    }
    char endless[PROTOCOL_LINE_BYTES];
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    assert_int_equal(report_send(report, json_pack("{s:s}", "reason", endless)), -EMSGSIZE);
    assert_int_equal(report_send(report, NULL), -ENOMEM);
    report_close(report);
    (void)close(PROTOCOL_REPORT_FD);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(total, sent);
    (void)close(read_end);
}

static void sigterm_cancels(void **state) {
    (void)state;
    assert_int_equal(progress_set(NULL, 0.5), 0);
    struct progress *progress = progress_open(NULL);
    assert_non_null(progress);
    progress_hold_signals();
    assert_int_equal(progress_set(progress, 0.1), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(progress_set(progress, 0.2), -ECANCELED);
    assert_int_equal(progress_set(progress, 0.3), -ECANCELED); /* and stays so */
    const struct timespec now = {0};
    sigset_t term;
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    assert_int_equal(sigtimedwait(&term, NULL, &now), SIGTERM);
    progress_close(progress);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_rise_and_are_few),
        cmocka_unit_test(long_lines_arrive_whole),
        cmocka_unit_test(sigterm_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
