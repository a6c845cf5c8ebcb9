/* A child with a user's rights: real programs tell what they run as. timeout: 60 */
#include "common/protocol.h"
#include "supervisor/process/orphans.h"
#include "supervisor/process/spawn.h"

#include "tests/unit/folder_fixture.h"
#include "tests/unit/user_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

struct captured {
    char text[4096];
    struct spawn_exit exit;
};

static int start(const char *script, const char *cwd, int stdout_fd, struct spawned *ret,
                 struct failure *failure) {
    const char *argv[] = {"sh", "-c", script, NULL};
    const struct spawn_request request = {
        .argv = argv,
        .envp = (const char *const *)user_fixture()->environment,
        .cwd = cwd,
        .credentials = user_fixture(),
        .stdin_fd = -1,
        .stdout_fd = stdout_fd,
        .stderr_fd = -1,
        .report_fd = -1,
        .oom_score_adj = 321,
    };
    return spawn_start(&request, ret, failure);
}

static void wait_for_end(int pidfd, struct spawn_exit *ret) {
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    while (poll(&poll_fd, 1, -1) < 0 && errno == EINTR)
        ;
    assert_int_equal(spawn_reap(pidfd, ret), 0);
    (void)close(pidfd);
}

static void run(const char *script, struct captured *ret) {
    int ends[2];
    struct spawned child;
    struct failure failure = {0};
    size_t used = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(start(script, NULL, ends[1], &child, &failure), 0);
    (void)close(ends[1]);
    for (ssize_t n; (n = read(ends[0], ret->text + used, sizeof(ret->text) - 1 - used)) > 0;)
        used += (size_t)n;
    ret->text[used] = '\0';
    (void)close(ends[0]);
    wait_for_end(child.pidfd, &ret->exit);
}

/* What /proc/self/status says behind the name, tabs as spaces. */
static void expect_line(const struct captured *got, const char *name, const char *expected) {
    char line[256] = "none";
    const char *found = strstr(got->text, name);
    if (found)
        (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(found, "\n"), found);
    for (char *at = line; *at; at++)
        if (*at == '\t')
            *at = ' ';
    assert_string_equal(line, expected);
}

static void it_is_the_user(void **state) {
    (void)state;
    struct captured got;
    user_fixture_need();
    run("cat /proc/self/status; umask; cat /proc/self/oom_score_adj", &got);
    assert_int_equal(got.exit.status, 0);
    expect_line(&got, "Uid:", "Uid: 54321 54321 54321 54321");
    expect_line(&got, "Gid:", "Gid: 54322 54322 54322 54322");
    expect_line(&got, "Groups:", "Groups: 54322 54323 ");
    expect_line(&got, "CapInh:", "CapInh: 0000000000000000");
    expect_line(&got, "CapPrm:", "CapPrm: 0000000000000000");
    expect_line(&got, "CapEff:", "CapEff: 0000000000000000");
    expect_line(&got, "CapAmb:", "CapAmb: 0000000000000000");
    expect_line(&got, "NoNewPrivs:", "NoNewPrivs: 1");
    assert_non_null(strstr(got.text, "\n0027\n321\n"));
}

/* Only what the request names: nothing of the environment that this test was started with. */
static void its_environment_is_clean(void **state) {
    (void)state;
    struct captured got;
    user_fixture_need();
    assert_int_equal(setenv("REGISTRAR_TEST_SECRET", "1", 1), 0);
    run("exec env", &got);
    assert_null(strstr(got.text, "REGISTRAR_TEST_SECRET"));
    assert_non_null(strstr(got.text, "USER=somebody\n"));
}

/* The folder is entered, and the program found, with the user's rights. */
static void paths_are_the_users(void **state) {
    const char *folder = *state;
    struct spawned child;
    struct failure failure = {0};
    char program[512];
    user_fixture_need();
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(start("exit 0", folder, -1, &child, &failure), -EACCES);
    assert_non_null(strstr(failure.text, "cannot start sh in the folder /tmp/registrar-unit-"));

    folder_write(folder, "program", "#!/bin/sh\n");
    (void)snprintf(program, sizeof(program), "%s/program", folder);
    const char *argv[] = {program, NULL};
    const struct spawn_request request = {.argv = argv,
                                          .envp = (const char *const *)user_fixture()->environment,
                                          .credentials = user_fixture(),
                                          .stdin_fd = -1,
                                          .stdout_fd = -1,
                                          .stderr_fd = -1,
                                          .report_fd = -1};
    assert_int_equal(spawn_start(&request, &child, &failure), -EACCES);
    assert_non_null(strstr(failure.text, "not executable"));
}

static void it_can_be_killed(void **state) {
    (void)state;
    struct spawned child;
    struct spawn_exit end;
    user_fixture_need();
    assert_int_equal(start("exec sleep 1000", NULL, -1, &child, NULL), 0);
    assert_int_equal(spawn_signal(child.pidfd, SIGKILL), 0);
    wait_for_end(child.pidfd, &end);
    assert_int_equal(end.code, CLD_KILLED);
    assert_int_equal(end.status, SIGKILL);
}

/* The change of rights clears PR_SET_PDEATHSIG; it must hold nevertheless. */
static void it_dies_with_its_parent(void **state) {
    (void)state;
    int ends[2], status;
    char text[16];
    user_fixture_need();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        struct spawned child;
        if (start("echo started; exec sleep 1000", NULL, ends[1], &child, NULL) < 0)
            _exit(1);
        (void)pause();
        _exit(0);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof(text)), 8); /* "started\n" */
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(read(ends[0], text, sizeof(text)), 0); /* the last holder is gone */
    assert_int_equal(waitpid(parent, &status, 0), parent);
    (void)close(ends[0]);
}

/* What a killed supervisor left of another user's task is found by its token, which only we may
 * read, and ended. */
static void its_leftovers_are_ended(void **state) {
    (void)state;
    int ends[2];
    char text[16] = "";
    struct spawned child;
    struct spawn_exit end;
    user_fixture_need();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const char *argv[] = {"sh", "-c", "setsid sh -c 'echo $$; exec sleep 600' &", NULL};
    const char *envp[] = {PROTOCOL_TOKEN_VARIABLE "=test-become-user:1", "PATH=/usr/bin:/bin",
                          NULL};
    const struct spawn_request request = {.argv = argv,
                                          .envp = envp,
                                          .credentials = user_fixture(),
                                          .stdin_fd = -1,
                                          .stdout_fd = ends[1],
                                          .stderr_fd = -1,
                                          .report_fd = -1};
    assert_int_equal(spawn_start(&request, &child, NULL), 0);
    (void)close(ends[1]);
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    wait_for_end(child.pidfd, &end);
    assert_int_equal(orphans_end_leftovers("test-become-user", NULL, 0, 5000), 1);
    assert_int_equal(read(ends[0], text, sizeof(text)), 0); /* the last holder is gone */
    (void)close(ends[0]);
}

/* In a process of its own: without privilege nothing is executed. */
static void without_privilege_it_does_not_start(void **state) {
    (void)state;
    int status;
    user_fixture_need();
    const pid_t pid = fork();
    if (pid == 0) {
        struct spawned child;
        struct failure failure = {0};
        if (setresuid(1, 1, 1) < 0)
            _exit(10);
        if (start("exit 0", NULL, -1, &child, &failure) != -EPERM)
            _exit(11);
        _exit(strstr(failure.text, "cannot start sh with the rights of somebody") ? 0 : 12);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_user),
        cmocka_unit_test(its_environment_is_clean),
        cmocka_unit_test_setup_teardown(paths_are_the_users, folder_setup, folder_teardown),
        cmocka_unit_test(it_can_be_killed),
        cmocka_unit_test(it_dies_with_its_parent),
        cmocka_unit_test(its_leftovers_are_ended),
        cmocka_unit_test(without_privilege_it_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
