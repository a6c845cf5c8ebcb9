/* spawn: real programs, real exits. timeout: 60 */
#include "common/unforked.h"
#include "supervisor/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

extern char **environ;

struct captured {
    char text[4096];
    struct spawn_exit exit;
};

static void wait_for_end(int pidfd, struct spawn_exit *ret) {
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    while (poll(&poll_fd, 1, -1) < 0 && errno == EINTR)
        ;
    assert_int_equal(spawn_reap(pidfd, ret), 0);
    (void)close(pidfd);
}

/* Runs sh -c script with stdout (and fd 3) in a pipe. */
static void run(const char *script, const char *cwd, int score, struct captured *ret) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const char *argv[] = {"sh", "-c", script, NULL};
    const struct spawn_request request = {
        .argv = argv,
        .envp = (const char *const *)environ,
        .cwd = cwd,
        .stdin_fd = -1,
        .stdout_fd = ends[1],
        .stderr_fd = -1,
        .report_fd = ends[1],
        .oom_score_adj = score,
    };
    struct spawned child;
    struct failure failure = {0};
    assert_int_equal(spawn_start(&request, &child, &failure), 0);
    assert_true(child.pid > 0);
    assert_true(child.start_ticks > 0);
    (void)close(ends[1]);
    size_t used = 0;
    for (ssize_t n; (n = read(ends[0], ret->text + used, sizeof(ret->text) - 1 - used)) > 0;)
        used += (size_t)n;
    ret->text[used] = '\0';
    (void)close(ends[0]);
    wait_for_end(child.pidfd, &ret->exit);
}

static void statuses(void **state) {
    (void)state;
    struct captured got;
    run("exit 7", NULL, 0, &got);
    assert_int_equal(got.exit.code, CLD_EXITED);
    assert_int_equal(got.exit.status, 7);
    run("kill -9 $$", NULL, 0, &got);
    assert_int_equal(got.exit.code, CLD_KILLED);
    assert_int_equal(got.exit.status, SIGKILL);
    assert_true(got.exit.usage.ru_maxrss > 0);
}

static void inherits_only_what_is_named(void **state) {
    (void)state;
    int stray = fcntl(STDIN_FILENO, F_DUPFD, 20); /* careless: without close-on-exec */
    assert_true(stray >= 20);
    struct captured got;
    run("cd /proc/self/fd; echo *; cat /dev/stdin", NULL, 0, &got);
    (void)close(stray);
    /* the shell expands * itself and holds one more descriptor on the folder while it does */
    assert_true(strcmp(got.text, "0 1 2 3\n") == 0 || strcmp(got.text, "0 1 2 3 4\n") == 0);
}

static void own_session_folder_and_score(void **state) {
    (void)state;
    struct captured got;
    run("pwd; cat /proc/self/oom_score_adj; cut -d' ' -f1,5,6 /proc/$$/stat", "/proc", 321, &got);
    int pid, group, session, score;
    char folder[16];
    assert_int_equal(sscanf(got.text, "%15s %d %d %d %d", folder, &score, &pid, &group, &session),
                     5);
    assert_string_equal(folder, "/proc");
    assert_int_equal(score, 321);
    assert_int_equal(pid, group);
    assert_int_equal(pid, session);
}

static void signals_are_as_new(void **state) {
    (void)state;
    sigset_t set, before;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
    (void)signal(SIGPIPE, SIG_IGN);
    struct captured got;
    run("exec grep -E 'Sig(Blk|Ign)' /proc/self/status", NULL, 0, &got);
    unsigned long long blocked = 1, ignored = 1;
    assert_int_equal(sscanf(got.text, "SigBlk:\t%llx\nSigIgn:\t%llx\n", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    /* 32 and 33 are glibc's own: a posix_spawn above us (make's) leaves them ignored for good */
    assert_int_equal(ignored & ~(3ULL << 31), 0);
    sigset_t after;
    (void)sigprocmask(SIG_SETMASK, &before, &after);
    assert_true(sigismember(&after, SIGTERM) && !sigismember(&after, SIGINT));
    (void)signal(SIGPIPE, SIG_DFL);
}

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *program, *cwd;
        int code;
        const char *text;
    } cases[] = {
        {"no-such-program-here", NULL, -ENOENT, "no program of that name in PATH"},
        {"/no/such/program", NULL, -ENOENT, "cannot start /no/such/program: it is not there"},
        {"/etc/passwd", NULL, -EACCES, "cannot start /etc/passwd: not executable"},
        {"true", "/no/such/folder", -ENOENT, "cannot start true in the folder /no/such/folder"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *argv[] = {cases[i].program, NULL};
        const struct spawn_request request = {.argv = argv,
                                              .envp = (const char *const *)environ,
                                              .cwd = cases[i].cwd,
                                              .stdin_fd = -1,
                                              .stdout_fd = -1,
                                              .stderr_fd = -1,
                                              .report_fd = -1};
        struct spawned child = {.pidfd = -7};
        struct failure failure = {0};
        assert_int_equal(spawn_start(&request, &child, &failure), cases[i].code);
        assert_non_null(strstr(failure.text, cases[i].text));
        assert_int_equal(child.pidfd, -7);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to reap */
        assert_int_equal(errno, ECHILD);
    }
}

/* A control group that does not answer stands for all that can hold a process before it begins. */
static void who_does_not_begin_holds_nobody_up(void **state) {
    (void)state;
    static const struct {
        const char *program;
        int code;
    } cases[] = {{"true", 0}, {"no-such-program-here", -ENOENT}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *argv[] = {cases[i].program, NULL};
        int ends[2];
        char byte = 0;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
        while (write(ends[1], &byte, 1) == 1)
            ;
        assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
        const struct spawn_request request = {.argv = argv,
                                              .envp = (const char *const *)environ,
                                              .stdin_fd = -1,
                                              .stdout_fd = -1,
                                              .stderr_fd = -1,
                                              .report_fd = -1,
                                              .has_cgroup = true,
                                              .cgroup_fd = -1,
                                              .cgroup_procs_fd = ends[1],
                                              .patience_ms = 10};
        struct spawned child;
        struct spawn_exit exit_facts;
        struct failure failure = {0};
        assert_int_equal(spawn_start(&request, &child, &failure), 0);
        assert_true(child.begin_fd >= 0);
        assert_int_equal(spawn_reap(child.pidfd, &exit_facts), -EAGAIN);
        (void)close(ends[1]);
        while (read(ends[0], &byte, 1) == 1) /* until it has written, and has gone on */
            ;
        wait_for_end(child.pidfd, &exit_facts);
        assert_int_equal(spawn_hear_late(child.begin_fd, argv[0], NULL, NULL, &failure),
                         cases[i].code);
        if (cases[i].code < 0)
            assert_non_null(strstr(failure.text, "no program of that name in PATH"));
        (void)close(child.begin_fd);
        (void)close(ends[0]);
    }
}

/* However large we are: what is ours alone is no part of a child's peak. */
static void a_large_parent_makes_no_large_child(void **state) {
    enum { LARGE_BYTES = 256 << 20 };
    (void)state;
    char *block = unforked_grow(NULL, 0, LARGE_BYTES / 4);
    assert_non_null(block);
    memset(block, 1, LARGE_BYTES / 4);
    block = unforked_grow(block, LARGE_BYTES / 4, LARGE_BYTES);
    assert_non_null(block);
    assert_int_equal(block[LARGE_BYTES / 4 - 1], 1);
    assert_int_equal(block[LARGE_BYTES / 4], 0);
    memset(block, 1, LARGE_BYTES);
    const char *argv[] = {"true", NULL};
    const struct spawn_request request = {.argv = argv,
                                          .envp = (const char *const *)environ,
                                          .stdin_fd = -1,
                                          .stdout_fd = -1,
                                          .stderr_fd = -1,
                                          .report_fd = -1};
    struct spawned child;
    struct spawn_exit exit_facts;
    assert_int_equal(spawn_start(&request, &child, NULL), 0);
    wait_for_end(child.pidfd, &exit_facts);
    assert_true(exit_facts.usage.ru_maxrss * 1024L < LARGE_BYTES / 2);
    unforked_free(block, LARGE_BYTES);
}

static void signalled_through_the_pidfd(void **state) {
    (void)state;
    const char *argv[] = {"sleep", "1000", NULL};
    const struct spawn_request request = {.argv = argv,
                                          .envp = (const char *const *)environ,
                                          .stdin_fd = -1,
                                          .stdout_fd = -1,
                                          .stderr_fd = -1,
                                          .report_fd = -1};
    struct spawned child;
    assert_int_equal(spawn_start(&request, &child, NULL), 0);
    struct spawn_exit exit_facts;
    assert_int_equal(spawn_reap(child.pidfd, &exit_facts), -EAGAIN);
    assert_int_equal(spawn_signal(child.pidfd, SIGTERM), 0);
    wait_for_end(child.pidfd, &exit_facts);
    assert_int_equal(exit_facts.code, CLD_KILLED);
    assert_int_equal(exit_facts.status, SIGTERM);
}

/* In a process of its own: clone3 answers as in a container that hides it. */
static int refuse_clone3(int error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {ARRAY_LEN(code), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0
               ? -errno
               : 0;
}

static int without_clone3(int error) {
    if (refuse_clone3(error) < 0)
        return 100;
    const char *argv[] = {"sh", "-c", "exit 9", NULL};
    const struct spawn_request request = {.argv = argv,
                                          .envp = (const char *const *)environ,
                                          .stdin_fd = -1,
                                          .stdout_fd = -1,
                                          .stderr_fd = -1,
                                          .report_fd = -1};
    struct spawned child;
    if (spawn_start(&request, &child, NULL) < 0)
        return 101;
    struct spawn_exit exit_facts;
    wait_for_end(child.pidfd, &exit_facts);
    return exit_facts.status;
}

static void falls_back_to_fork(void **state) {
    (void)state;
    const int errors[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(without_clone3(errors[i]));
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 9);
    }
}

/* The ways into a group that do not need one: the folder is none, so CLONE_INTO_CGROUP is refused;
 * a file takes what the child writes of itself; and it runs even where that is refused too. */
static void falls_back_to_writing_itself(void **state) {
    (void)state;
    int file = memfd_create("cgroup.procs", MFD_CLOEXEC);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct {
        int cgroup_fd, procs_fd, error;
    } rows[] = {{folder, file, 0},       {-1, file, 0},        {-1, full, -ENOSPC},
                {folder, full, -ENOSPC}, {-1, folder, -EBADF}, {folder, -1, -EBADF},
                {-1, -1, -EBADF}};
    int entered = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *argv[] = {"sh", "-c", "exit 9", NULL};
        const struct spawn_request request = {.argv = argv,
                                              .envp = (const char *const *)environ,
                                              .stdin_fd = -1,
                                              .stdout_fd = -1,
                                              .stderr_fd = -1,
                                              .report_fd = -1,
                                              .has_cgroup = true,
                                              .cgroup_fd = rows[i].cgroup_fd,
                                              .cgroup_procs_fd = rows[i].procs_fd};
        struct spawned child;
        struct failure failure;
        struct spawn_exit end;
        assert_int_equal(spawn_start(&request, &child, &failure), 0);
        assert_int_equal(child.cgroup_error, rows[i].error);
        wait_for_end(child.pidfd, &end);
        assert_int_equal(end.status, 9);
        entered += rows[i].error == 0;
    }
    char text[8];
    assert_int_equal(pread(file, text, sizeof(text), 0), entered); /* "00" */
    (void)close(file);
    (void)close(full);
    (void)close(folder);
}

/* A folder of the v2 hierarchy takes the child as it is born; with clone3 refused it goes in by
 * itself. No controller is needed for that. */
static void is_born_in_its_group(void **state) {
    (void)state;
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char folder[64] = "";
    for (size_t i = 0; i < ARRAY_LEN(mounts) && !folder[0]; i++) {
        struct statfs system;
        (void)snprintf(folder, sizeof(folder), "%s/registrar-test-%d", mounts[i], (int)getpid());
        if (statfs(mounts[i], &system) < 0 || system.f_type != CGROUP2_SUPER_MAGIC ||
            mkdir(folder, 0755) < 0)
            folder[0] = '\0';
    }
    if (!folder[0])
        skip(); /* no root of v2 that we may write */
    char name[128], wanted[80];
    (void)snprintf(name, sizeof(name), "%s/cgroup.procs", folder);
    (void)snprintf(wanted, sizeof(wanted), "0::/registrar-test-%d\n", (int)getpid());
    for (int refuse = 0; refuse < 2; refuse++) {
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        const pid_t pid = fork();
        if (pid == 0) {
            const char *argv[] = {"grep", "^0::", "/proc/self/cgroup", NULL};
            const struct spawn_request request = {.argv = argv,
                                                  .envp = (const char *const *)environ,
                                                  .stdin_fd = -1,
                                                  .stdout_fd = ends[1],
                                                  .stderr_fd = -1,
                                                  .report_fd = -1,
                                                  .has_cgroup = true,
                                                  .cgroup_fd = open(folder, O_RDONLY | O_CLOEXEC),
                                                  .cgroup_procs_fd =
                                                      open(name, O_WRONLY | O_CLOEXEC)};
            struct spawned child;
            struct spawn_exit end;
            if ((refuse && refuse_clone3(ENOSYS) < 0) || spawn_start(&request, &child, NULL) < 0 ||
                child.cgroup_error != 0)
                _exit(1);
            wait_for_end(child.pidfd, &end);
            _exit(end.status);
        }
        (void)close(ends[1]);
        char text[80] = "";
        int status;
        assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
        assert_string_equal(text, wanted);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        (void)close(ends[0]);
    }
    assert_int_equal(rmdir(folder), 0);
}

/* A parent that is killed takes its child along. */
static void dies_with_its_parent(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        const char *argv[] = {"sh", "-c", "echo started; exec sleep 1000", NULL};
        const struct spawn_request request = {.argv = argv,
                                              .envp = (const char *const *)environ,
                                              .stdin_fd = -1,
                                              .stdout_fd = ends[1],
                                              .stderr_fd = -1,
                                              .report_fd = -1};
        struct spawned child;
        if (spawn_start(&request, &child, NULL) < 0)
            _exit(1);
        (void)pause();
        _exit(0);
    }
    (void)close(ends[1]);
    char text[16];
    assert_int_equal(read(ends[0], text, sizeof(text)), 8); /* "started\n" */
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(read(ends[0], text, sizeof(text)), 0); /* the last holder is gone */
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    (void)close(ends[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(inherits_only_what_is_named),
        cmocka_unit_test(own_session_folder_and_score),
        cmocka_unit_test(signals_are_as_new),
        cmocka_unit_test(refusals),
        cmocka_unit_test(who_does_not_begin_holds_nobody_up),
        cmocka_unit_test(a_large_parent_makes_no_large_child),
        cmocka_unit_test(signalled_through_the_pidfd),
        cmocka_unit_test(falls_back_to_fork),
        cmocka_unit_test(falls_back_to_writing_itself),
        cmocka_unit_test(is_born_in_its_group),
        cmocka_unit_test(dies_with_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
