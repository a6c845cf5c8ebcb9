/* Hooks with real shells: what they get, how their end is told, and that nothing outlives them. */
#include "supervisor/service/hooks.h"
#include "tests/unit/folder_fixture.h"

#include <signal.h>

enum { LONG_MS = 60 * 1000, MAX_TOLD = 400 };

struct case_of_hooks {
    char *folder;
    uv_loop_t loop;
    struct child_host host;
    struct hooks *hooks;
    char *told[MAX_TOLD];
    bool is_fine[MAX_TOLD];
    size_t n_told;
};

static void on_done(void *context, const struct hooks_end *end) {
    struct case_of_hooks *test = context;
    assert_true(test->n_told < MAX_TOLD);
    test->is_fine[test->n_told] = end->is_fine;
    test->told[test->n_told++] = strdup(end->sentence);
}

static int setup(void **state) {
    struct case_of_hooks *test = calloc(1, sizeof(*test));
    void *folder = NULL;
    if (!test || folder_setup(&folder) < 0 || uv_loop_init(&test->loop) < 0 ||
        child_host_open(&test->loop, &test->host, NULL) < 0)
        return -1;
    test->folder = folder;
    *state = test;
    return hooks_open(&test->host, "test", on_done, test, &test->hooks, NULL);
}

static int teardown(void **state) {
    struct case_of_hooks *test = *state;
    hooks_close(test->hooks);
    (void)uv_run(&test->loop, UV_RUN_DEFAULT);
    child_host_close(&test->host);
    int r = uv_loop_close(&test->loop);
    for (size_t i = 0; i < test->n_told; i++)
        free(test->told[i]);
    void *folder = test->folder;
    free(test);
    return folder_teardown(&folder) < 0 ? -1 : r;
}

static struct hooks_request request(const struct case_of_hooks *test, const char *command) {
    return (struct hooks_request){.event = HOOKS_ON_FINISH,
                                  .command = command,
                                  .batch = "night",
                                  .out = "/the/results",
                                  .cwd = test->folder,
                                  .input = strdup("{\"version\": 1}\n"),
                                  .limit_ms = LONG_MS};
}

static void run(struct case_of_hooks *test, const struct hooks_request *one) {
    assert_int_equal(hooks_run(test->hooks, one, NULL), 0);
}

static void until_idle(struct case_of_hooks *test) {
    while (!hooks_idle(test->hooks))
        (void)uv_run(&test->loop, UV_RUN_ONCE);
}

static void assert_file(const struct case_of_hooks *test, const char *name, const char *text) {
    char bytes[512];
    CLEANUP_FREE char *path = names_format("%s/%s", test->folder, name);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes) - 1);
    bytes[n > 0 ? n : 0] = '\0';
    assert_string_equal(bytes, text);
}

static void what_it_gets(void **state) {
    struct case_of_hooks *test = *state;
    assert_int_equal(setenv("NOTIFY_SOCKET", "/nowhere", 1), 0);
    struct hooks_request one =
        request(test, "{ cat; echo \"$REGISTRAR_EVENT $REGISTRAR_BATCH $REGISTRAR_OUT\"; "
                      "echo \"${NOTIFY_SOCKET-hidden}\"; } >got");
    run(test, &one);
    until_idle(test);
    assert_int_equal(test->n_told, 1);
    assert_in("on-finish of night ended well after ", test->told[0]);
    assert_true(test->is_fine[0]);
    assert_file(test, "got", "{\"version\": 1}\non-finish night /the/results\nhidden\n");
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
}

static void what_it_prints_goes_to_its_log(void **state) {
    struct case_of_hooks *test = *state;
    CLEANUP_FREE char *log = names_format("%s/on-finish.log", test->folder);
    struct hooks_request one = request(test, "echo out; echo err >&2");
    one.log_path = log;
    run(test, &one);
    until_idle(test);
    assert_file(test, "on-finish.log", "out\nerr\n");

    assert_int_equal(unlink(log), 0);
    assert_int_equal(mkfifo(log, 0600), 0);
    struct hooks_request again = request(test, "echo out");
    again.log_path = log;
    run(test, &again);
    until_idle(test);
    assert_int_equal(test->n_told, 2);
    assert_in("on-finish of night could not be started: cannot write ", test->told[1]);
    assert_false(test->is_fine[1]);
}

static void ends_that_are_not_well(void **state) {
    struct case_of_hooks *test = *state;
    struct hooks_request status = request(test, "exit 3");
    run(test, &status);
    until_idle(test);
    struct hooks_request killed = request(test, "kill -KILL $$");
    run(test, &killed);
    until_idle(test);
    struct hooks_request nowhere = request(test, "true");
    nowhere.cwd = "/there/is/no/such/folder";
    run(test, &nowhere);
    until_idle(test);
    assert_int_equal(test->n_told, 3);
    assert_in("on-finish of night ended with exit status 3 after ", test->told[0]);
    assert_in("on-finish of night was ended by signal 9 (Killed) after ", test->told[1]);
    assert_in("on-finish of night could not be started: ", test->told[2]);
    assert_in("/there/is/no/such/folder", test->told[2]);
    for (size_t i = 0; i < test->n_told; i++)
        assert_false(test->is_fine[i]);
}

static void over_its_time_all_of_it_goes(void **state) {
    struct case_of_hooks *test = *state;
    struct hooks_request one =
        request(test, "setsid sh -c 'echo $$ >other; exec sleep 1000' & exec sleep 1000");
    one.limit_ms = 1;
    run(test, &one);
    until_idle(test);
    assert_int_equal(test->n_told, 1);
    assert_in("on-finish of night was ended: it had not come to its end after ", test->told[0]);
    assert_false(test->is_fine[0]);
    char text[32] = "";
    CLEANUP_FREE char *path = names_format("%s/other", test->folder);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    /* it may have been ended before it could say who it is */
    if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0) {
        const pid_t other = (pid_t)strtol(text, NULL, 10);
        assert_true(other > 0);
        assert_int_equal(kill(other, 0), -1);
        assert_int_equal(errno, ESRCH);
    }
}

static void many_wait_their_turn(void **state) {
    struct case_of_hooks *test = *state;
    for (int i = 0; i < 10; i++) {
        struct hooks_request one = request(test, "echo x >>count");
        run(test, &one);
    }
    assert_int_equal(test->n_told, 0); /* never from within the call */
    until_idle(test);
    assert_int_equal(test->n_told, 10);
    assert_file(test, "count", "x\nx\nx\nx\nx\nx\nx\nx\nx\nx\n");
}

/* However many slow ones another has, and however little the administrator hears of him. */
static void nobody_waits_for_anothers(void **state) {
    struct case_of_hooks *test = *state;
    struct failure failure = {0};
    int r = 0;
    for (int i = 0; r == 0; i++) {
        assert_true(i < 2 * HOOKS_MAX_WAITING);
        struct hooks_request slow = request(test, "exec sleep 1000");
        slow.owner = 7;
        r = hooks_run(test->hooks, &slow, &failure);
        (void)uv_run(&test->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(r, -EBUSY);
    assert_in("of this user wait already", failure.text);
    struct hooks_request other = request(test, "echo x >>other");
    other.owner = 8;
    run(test, &other);
    struct hooks_request about = request(test, "echo x >>about");
    about.owner = 7;
    about.event = HOOKS_ON_FAILURE;
    run(test, &about);
    while (test->n_told < 2)
        (void)uv_run(&test->loop, UV_RUN_ONCE);
    assert_file(test, "other", "x\n");
    assert_file(test, "about", "x\n");
    hooks_stop(test->hooks);
    until_idle(test);
}

static void told_to_stop(void **state) {
    struct case_of_hooks *test = *state;
    for (int i = 0; i < 6; i++) {
        struct hooks_request one = request(test, "exec sleep 1000");
        run(test, &one);
    }
    (void)uv_run(&test->loop, UV_RUN_NOWAIT); /* some are started */
    hooks_stop(test->hooks);
    until_idle(test);
    assert_int_equal(test->n_told, 6);
    size_t n_killed = 0, n_given_up = 0;
    for (size_t i = 0; i < test->n_told; i++) {
        n_killed += strstr(test->told[i], "was ended by signal 9") != NULL;
        n_given_up += strstr(test->told[i], "was not started: the daemon was told to stop") != NULL;
    }
    assert_int_equal(n_killed + n_given_up, 6);
    assert_int_equal(n_given_up, 2);
}

static void alone(void **state) {
    struct case_of_hooks *test = *state;
    struct failure failure = {0};
    struct hooks_request one = request(test, "cat >alone");
    one.batch = "";
    assert_int_equal(hooks_run_alone(&one, &failure), 0);
    assert_file(test, "alone", "{\"version\": 1}\n");
    struct hooks_request bad = request(test, "exit 7");
    bad.batch = "";
    assert_int_equal(hooks_run_alone(&bad, &failure), -ECHILD);
    assert_in("on-finish ended with exit status 7 after ", failure.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_it_gets, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_prints_goes_to_its_log, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_that_are_not_well, setup, teardown),
        cmocka_unit_test_setup_teardown(over_its_time_all_of_it_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(many_wait_their_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_waits_for_anothers, setup, teardown),
        cmocka_unit_test_setup_teardown(told_to_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
