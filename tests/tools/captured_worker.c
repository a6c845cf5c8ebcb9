/* captured_worker: a worker that one of its images has taken over.
 *
 * In place of registrar-worker (REGISTRAR_WORKER): it reads its task and enters the sandbox as the
 * real one does, by the same code, and then tries what the last part of the task's id says. Should
 * it succeed it reports a result, which is what the tests must not see; should it merely be
 * refused, an error with the refusal. CAPTURED_WORKER_TARGET is the file that "read" and "write"
 * are after.
 */
#include "common/protocol.h"
#include "worker/sandbox/sandbox.h"
#include "worker/stage/align_task.h"
#include "worker/stage/report.h"
#include "worker/tiff/probe.h"
#include "worker/tiff/tiff_file.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *target(void) {
    const char *given = getenv("CAPTURED_WORKER_TARGET");
    return given ? given : "/etc/shadow";
}

static int refused(int error, struct failure *failure) {
    return failure_set_errno(failure, -error, "it was refused");
}

/* As the product opens an image. */
static int try_read(struct failure *failure) {
    struct tiff_file file;
    return tiff_file_open_any(target(), &file, failure);
}

static int try_write(struct failure *failure) {
    const int fd = open(target(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    return fd < 0 ? refused(errno, failure) : 0;
}

static int try_connect(struct failure *failure) {
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return refused(errno, failure);
    return 0;
}

static int try_fork(struct failure *failure) {
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 ? refused(errno, failure) : 0;
}

static int try_execute(struct failure *failure) {
    char *const argv[] = {(char[]){"true"}, NULL};
    (void)execv("/bin/true", argv);
    return refused(errno, failure);
}

static int try_kill(struct failure *failure) {
    return kill(getppid(), 0) < 0 ? refused(errno, failure) : 0;
}

static int try_link(struct failure *failure) {
    return symlink(target(), "log.txt") < 0 ? refused(errno, failure) : 0;
}

static int try_ring(struct failure *failure) {
    return syscall(SYS_io_uring_setup, 1, NULL) < 0 ? refused(errno, failure) : 0;
}

static int try_chmod(struct failure *failure) {
    return chmod(target(), 0777) < 0 ? refused(errno, failure) : 0;
}

static int try_stay(struct failure *failure) {
    return prctl(PR_SET_PDEATHSIG, 0) < 0 ? refused(errno, failure) : 0;
}

static void *do_nothing(void *nothing) { return nothing; }

/* Allowed: threads, a signal to itself, what the library reads of its own process. */
static int try_usual(struct failure *failure) {
    pthread_t thread;
    CLEANUP_CLOSE int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    const int error = fd < 0 ? errno : pthread_create(&thread, NULL, do_nothing, NULL);
    if (error)
        return refused(error, failure);
    (void)pthread_join(thread, NULL);
    return kill(getpid(), 0) < 0 ? refused(errno, failure) : 0;
}

static const struct {
    const char *name;
    int (*try)(struct failure *failure);
} attempts[] = {
    {"read", try_read},       {"write", try_write}, {"connect", try_connect}, {"fork", try_fork},
    {"execute", try_execute}, {"kill", try_kill},   {"link", try_link},       {"ring", try_ring},
    {"chmod", try_chmod},     {"stay", try_stay},   {"usual", try_usual},
};

static int work(struct report *report, const struct align_task *task) {
    struct failure failure = {0};
    const char *const inputs[] = {task->pre, task->post};
    const struct landlock_paths paths = {inputs, ARRAY_LEN(inputs), task->out, task->shared};
    const char *slash = strrchr(task->name, '/');
    if (sandbox_enter(&paths, report_descriptor(report), &failure) < 0)
        return PROTOCOL_EXIT_ERROR;
    int r = -EINVAL;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        if (strcmp(attempts[i].name, slash ? slash + 1 : task->name) == 0)
            r = attempts[i].try(&failure);
    if (r < 0) {
        (void)report_send(report, json_pack("{s:s,s:s,s:s}", "event", "error", "cause",
                                            "environment", "reason", failure.text));
        return PROTOCOL_EXIT_ERROR;
    }
    (void)report_send(
        report, json_pack("{s:s,s:s,s:s}", "event", "result", "status", "aligned", "reason", ""));
    return 0;
}

int main(int argc, char **argv) {
    struct report *report = report_open();
    struct align_task task;
    struct failure failure;
    int status = PROTOCOL_EXIT_USAGE;
    if (argc == 2 && strcmp(argv[1], "probe") == 0) {
        status = probe_main();
    } else if (report && align_task_read(stdin, &task, &failure) == 0) {
        status = work(report, &task);
        align_task_clear(&task);
    }
    report_close(report);
    return status;
}
