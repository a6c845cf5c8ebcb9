/* trace: sampling on a loop with real processes, what it leaves, and that it slows itself down.
 * timeout: 60 */
#include "common/clock.h"
#include "supervisor/memory/trace.h"
#include "tests/unit/folder_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { MANY = 200 };

struct fixture {
    uv_loop_t loop;
    struct trace *trace;
    int looks, wanted_looks; /* the loop stops at so many */
    bool is_over;
    struct failure told;
};

static bool look(void *context, bool is_thorough) {
    struct fixture *fixture = context;
    (void)is_thorough;
    if (++fixture->looks == fixture->wanted_looks)
        uv_stop(&fixture->loop);
    return !fixture->is_over;
}

static void on_failed(void *context, const struct failure *failure) {
    struct fixture *fixture = context;
    fixture->told = *failure;
}

static void open_fixture(struct fixture *fixture, const char *root, int64_t interval_ms) {
    struct failure failure = {0};
    *fixture = (struct fixture){0};
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(trace_open(&fixture->loop, root, interval_ms, on_failed, fixture,
                                &fixture->trace, &failure),
                     0);
}

static void close_fixture(struct fixture *fixture) {
    trace_close(fixture->trace);
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0); /* nothing keeps it */
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
}

static struct trace_task *add(struct fixture *fixture, pid_t pid) {
    const struct trace_request request = {.pid = pid, .look = look, .context = fixture};
    struct trace_task *task = trace_add(fixture->trace, &request);
    assert_non_null(task);
    return task;
}

static void run_until(struct fixture *fixture, int looks) {
    fixture->looks = 0;
    fixture->wanted_looks = looks;
    (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(fixture->looks, looks);
}

static void the_course_goes_to_a_file(void **state) {
    struct fixture fixture;
    open_fixture(&fixture, "/proc", 1);
    CLEANUP_FREE char *path = names_format("%s/memory.csv", (char *)*state);
    struct trace_task *task = add(&fixture, getpid());
    struct trace_view view;
    trace_look(task, &view);
    assert_int_equal(view.resident_bytes, 0);
    run_until(&fixture, 2);
    trace_write(task, path, 1, NULL); /* too few to be worth a file */
    assert_int_equal(access(path, F_OK), -1);
    run_until(&fixture, 20);
    trace_look(task, &view);
    assert_true(view.resident_bytes > 100 * 1024);
    assert_true(view.least_bytes <= view.resident_bytes && view.most_bytes >= view.resident_bytes);
    trace_write(task, path, 1, NULL);
    trace_write(task, path, 2, NULL); /* one after the other */
    trace_remove(task);
    close_fixture(&fixture);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[16384] = "";
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_int_equal(strncmp(text, TRACE_SERIES_HEADING, strlen(TRACE_SERIES_HEADING)), 0);
    assert_in(",1\n", text);
    assert_in(",2\n", text);
    assert_int_equal(fixture.told.code, 0);
}

static void a_file_that_cannot_be_written_is_told_once(void **state) {
    struct fixture fixture;
    (void)state;
    open_fixture(&fixture, "/proc", 1);
    struct trace_task *task = add(&fixture, getpid());
    run_until(&fixture, 5);
    trace_write(task, "/nowhere/memory.csv", 1, NULL);
    while (fixture.told.code == 0)
        (void)uv_run(&fixture.loop, UV_RUN_ONCE);
    assert_in("/nowhere/memory.csv", fixture.told.text);
    fixture.told.code = 0;
    trace_write(task, "/nowhere/else.csv", 1, NULL);
    trace_remove(task);
    close_fixture(&fixture);
    assert_int_equal(fixture.told.code, 0);
}

static void what_has_ended_is_not_sampled(void **state) {
    struct fixture fixture;
    struct trace_view view;
    (void)state;
    open_fixture(&fixture, "/proc", 1);
    struct trace_task *task = add(&fixture, getpid());
    fixture.is_over = true;
    run_until(&fixture, 5);
    trace_look(task, &view);
    assert_int_equal(view.most_bytes, 0);
    trace_remove(task);
    close_fixture(&fixture);
}

/* Tasks come and go in any order; the timer stands still without any. */
static void tasks_leave_in_any_order(void **state) {
    struct fixture fixture;
    struct trace_task *tasks[5];
    (void)state;
    open_fixture(&fixture, "/proc", 1);
    for (int i = 0; i < 5; i++)
        tasks[i] = add(&fixture, getpid());
    static const int order[] = {2, 4, 0, 1, 3};
    for (int i = 0; i < 5; i++) {
        run_until(&fixture, 5 - i);
        trace_remove(tasks[order[i]]);
    }
    assert_int_equal(uv_run(&fixture.loop, UV_RUN_DEFAULT), 0); /* at once: no timer runs */
    trace_remove(NULL);
    close_fixture(&fixture);
}

/* So many tasks cannot all be read every millisecond for a hundredth of a core. */
static void the_interval_grows_with_the_cost(void **state) {
    struct fixture fixture;
    struct trace_task *tasks[MANY];
    struct trace_cost before, after;
    char name[32];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "%d/statm", i + 1);
        folder_write(*state, name, "100 40 10 1 0 20 0\n");
    }
    open_fixture(&fixture, *state, 1);
    for (int i = 0; i < MANY; i++)
        tasks[i] = add(&fixture, i + 1);
    run_until(&fixture, 30 * MANY);
    trace_tell_cost(fixture.trace, &before);
    assert_true(before.interval_ms > 10);
    assert_true(before.longest_ms >= before.interval_ms);
    const int64_t start_ms = clock_monotonic_ms();
    run_until(&fixture, 20 * MANY);
    trace_tell_cost(fixture.trace, &after);
    const double wall_ns = (double)(clock_monotonic_ms() - start_ms) * 1e6;
    assert_int_equal(after.n_turns - before.n_turns, 20);
    assert_true((double)(after.cpu_ns - before.cpu_ns) < 0.01 * wall_ns);
    for (int i = 0; i < MANY; i++)
        trace_remove(tasks[i]);
    close_fixture(&fixture);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_course_goes_to_a_file),
        cmocka_unit_test(a_file_that_cannot_be_written_is_told_once),
        cmocka_unit_test(what_has_ended_is_not_sampled),
        cmocka_unit_test(tasks_leave_in_any_order),
        IN_FOLDER(the_interval_grows_with_the_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
