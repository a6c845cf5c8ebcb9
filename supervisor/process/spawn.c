/* See spawn.h. Between clone and exec the child is a copy of a program that may have threads (the
 * ledger's), so it makes only async-signal-safe calls and allocates nothing: whatever needs memory
 * is prepared before. It says through a close-on-exec pipe how far it came; end of file there means
 * that exec worked. PR_SET_PDEATHSIG follows the parent *thread*: start from the main thread only.
 */
#include "supervisor/process/spawn.h"

#include "supervisor/process/become_user.h"
#include "supervisor/process/proc_read.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum {
    SPAWN_CLEAR_FD = 10, /* sources are moved at least here, clear of the targets 0 to 4 */
    SPAWN_OLD_KERNEL_FDS = 1024,
    SPAWN_FAILED_STATUS = 127,
};

static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

enum step { STEP_ORPHANED, STEP_CGROUP, STEP_DESCRIPTORS, STEP_RIGHTS, STEP_FOLDER, STEP_EXECUTE };

/* What the child says when it does not get to exec; or, STEP_CGROUP, before it does. */
struct complaint {
    int step;
    int error;
};

/* All that the child needs, ready before the clone. */
struct plan {
    const struct spawn_request *request;
    char **candidates; /* paths to try in order, NULL-terminated; owned, one block */
    int null_fd;
    int complaint_fd;
    pid_t parent;
    bool enters_cgroup; /* the child does, by itself */
    bool born_in_cgroup;
};

static const char *path_of(const char *const *envp) {
    for (size_t i = 0; envp[i]; i++)
        if (strncmp(envp[i], "PATH=", 5) == 0)
            return envp[i] + 5;
    return default_path;
}

/* The block holds the pointers, then the strings. An empty PATH element is the working folder. */
static char **make_candidates(const char *program, const char *path) {
    if (strchr(program, '/'))
        path = "";
    size_t n = 1;
    for (const char *at = path; *at; at++)
        n += *at == ':';
    size_t length = n * (strlen(program) + 2) + strlen(path) + 1;
    char **block = malloc((n + 1) * sizeof(char *) + length);
    if (!block)
        return NULL;
    char *text = (char *)(block + n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t folder = strcspn(path, ":");
        block[i] = text;
        text = mempcpy(text, path, folder);
        if (folder > 0)
            *text++ = '/';
        text = stpcpy(text, program) + 1;
        path += folder + (path[folder] == ':');
    }
    block[n] = NULL;
    return block;
}

/* ---- the child, from here to exec: async-signal-safe calls only ---- */

static void reset_signals(void) {
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &usual, NULL); /* KILL, STOP and libc's own two refuse: fine */
}

/* Failing is harmless: the child then is as likely a victim as its parent. */
static void raise_oom_score(int score) {
    char text[8];
    size_t at = sizeof(text);
    for (unsigned rest = (unsigned)score; at == sizeof(text) || rest; rest /= 10)
        text[--at] = (char)('0' + rest % 10);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, text + at, sizeof(text) - at);
    (void)close(fd);
}

static int place_descriptors(struct plan *plan) {
    const struct spawn_request *request = plan->request;
    int source[] = {request->stdin_fd, request->stdout_fd, request->stderr_fd, request->report_fd,
                    request->input_fd};
    int n = request->input_fd > 0 ? 5 : request->report_fd >= 0 ? 4 : 3;
    plan->complaint_fd = fcntl(plan->complaint_fd, F_DUPFD_CLOEXEC, SPAWN_CLEAR_FD);
    for (int i = 0; i < n; i++) {
        int fd = source[i] >= 0 ? source[i] : plan->null_fd;
        source[i] = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_CLEAR_FD);
        if (source[i] < 0)
            return -errno;
    }
    for (int i = 0; i < n; i++)
        if (dup2(source[i], i) < 0)
            return -errno;
    /* At once, not with exec: a user who stops his process before that would keep our locks. */
    if (syscall(SYS_close_range, (unsigned)n, (unsigned)plan->complaint_fd - 1, 0) == 0 &&
        syscall(SYS_close_range, (unsigned)plan->complaint_fd + 1, ~0U, 0) == 0)
        return 0;
    /* Before Linux 5.9. Ours are all close-on-exec; these are what our starter left open. */
    for (int fd = n; fd < SPAWN_OLD_KERNEL_FDS; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

/* Not in its group is no reason not to run: the parent is told, and decides. */
static void enter_cgroup(const struct plan *plan) {
    ssize_t n;
    do {
        n = write(plan->request->cgroup_procs_fd, "0", 1); /* the writer */
    } while (n < 0 && errno == EINTR);
    if (n == 1)
        return;
    struct complaint complaint = {STEP_CGROUP, n < 0 ? errno : EIO};
    (void)!write(plan->complaint_fd, &complaint, sizeof(complaint)); /* a pipe that is empty */
}

__attribute__((noreturn)) static void complain(const struct plan *plan, enum step step, int error) {
    struct complaint complaint = {step, error};
    (void)!write(plan->complaint_fd, &complaint, sizeof(complaint)); /* nobody left to tell */
    _exit(SPAWN_FAILED_STATUS);
}

__attribute__((noreturn)) static void become(struct plan *plan) {
    const struct spawn_request *request = plan->request;
    (void)setsid(); /* cannot fail: a new process leads no group */
    reset_signals();
    if (plan->enters_cgroup)
        enter_cgroup(plan);
    if (request->oom_score_adj > 0)
        raise_oom_score(request->oom_score_adj);
    int r = place_descriptors(plan);
    if (r < 0)
        complain(plan, STEP_DESCRIPTORS, -r);
    if (request->files)
        (void)setrlimit(RLIMIT_NOFILE, request->files); /* a lower soft limit is always allowed */
    r = request->credentials ? become_user(request->credentials) : 0;
    if (r < 0)
        complain(plan, STEP_RIGHTS, -r);
    /* a change of rights would clear it; a parent that ended before is seen by its number */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != plan->parent)
        complain(plan, STEP_ORPHANED, ESRCH);
    if (request->cwd && chdir(request->cwd) < 0)
        complain(plan, STEP_FOLDER, errno);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);

    int error = ENOENT;
    for (char **candidate = plan->candidates; *candidate; candidate++) {
        (void)execve(*candidate, (char *const *)request->argv, (char *const *)request->envp);
        if (errno != ENOENT && errno != ENOTDIR)
            error = errno; /* the most telling one: a file that is there but cannot be run */
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            break;
    }
    complain(plan, STEP_EXECUTE, error);
}

/* ---- the parent ---- */

static int open_pidfd(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

/* One try. cgroup_fd -1: born in our own group. */
static int clone_once(struct plan *plan, int cgroup_fd, int *ret_pidfd) {
    int pidfd = -1;
    size_t size = CLONE_ARGS_SIZE_VER0; /* known to every kernel that has clone3 */
    struct clone_args args = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (__u64)cgroup_fd;
        size = sizeof(args);
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, size);
    if (pid == 0)
        become(plan);
    if (pid < 0)
        return -errno;
    *ret_pidfd = pidfd;
    return pid;
}

/* Returns the pid, or a negative errno. */
static int clone_child(struct plan *plan, int *ret_pidfd) {
    const struct spawn_request *request = plan->request;
    pid_t pid = -ENOSYS;
    if (request->has_cgroup && request->cgroup_fd >= 0)
        pid = clone_once(plan, request->cgroup_fd, ret_pidfd);
    plan->born_in_cgroup = pid >= 0;
    if (pid >= 0)
        return pid;
    /* EOPNOTSUPP, EBUSY, EACCES, E2BIG, EINVAL: whatever it is, the group may have refused it */
    plan->enters_cgroup = request->has_cgroup && request->cgroup_procs_fd >= 0;
    pid = clone_once(plan, -1, ret_pidfd);
    if (pid >= 0)
        return pid;
    if (pid != -ENOSYS && pid != -EPERM && pid != -EINVAL && pid != -EOPNOTSUPP)
        return pid;

    int pidfd;
    pid = fork(); /* clone3 is hidden from us: an old kernel, or a container's filter */
    if (pid == 0)
        become(plan);
    if (pid < 0)
        return -errno;
    pidfd = open_pidfd(pid); /* no race: nobody but us can reap it */
    if (pidfd < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return pidfd;
    }
    *ret_pidfd = pidfd;
    return pid;
}

static int explain(const struct complaint *complaint, const char *program, const char *cwd,
                   const char *user, struct failure *failure) {
    int code = -complaint->error;
    switch ((enum step)complaint->step) {
    case STEP_FOLDER:
        return failure_set_errno(failure, code, "cannot start %s in the folder %s", program, cwd);
    case STEP_ORPHANED:
        return failure_set(failure, code, "cannot start %s: its parent is gone", program);
    case STEP_RIGHTS:
        return failure_set_errno(failure, code, "cannot start %s with the rights of %s", program,
                                 user);
    case STEP_DESCRIPTORS:
        return failure_set_errno(failure, code, "cannot start %s: no descriptors for it", program);
    case STEP_CGROUP: /* not the end; see hear */
    case STEP_EXECUTE:
        break;
    }
    if (code == -ENOENT && !strchr(program, '/'))
        return failure_set(failure, code,
                           "cannot start %s: no program of that name in PATH; give its path",
                           program);
    if (code == -ENOENT)
        return failure_set(failure, code,
                           "cannot start %s: it is not there, or the interpreter that its first "
                           "line names is not",
                           program);
    if (code == -ENOEXEC)
        return failure_set(failure, code,
                           "cannot start %s: neither a program for this machine nor a script with "
                           "a #! line",
                           program);
    if (code == -EACCES)
        return failure_set(failure, code, "cannot start %s: not executable; chmod +x it", program);
    return failure_set_errno(failure, code, "cannot start %s", program);
}

/* True: nothing was said within the time. */
static bool is_silent(int fd, int patience_ms) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int r;
    do /* each that interrupts starts the time anew: none does without end */
        r = patience_ms > 0 ? poll(&wait, 1, patience_ms) : 1;
    while (r < 0 && errno == EINTR);
    return r == 0;
}

/* End of file: exec worked. A complaint: it did not, and the child is reaped here; one about the
 * group alone is noted. 1: it is not heard from yet. */
static int hear(int fd, int pidfd, const struct spawn_request *request, int *ret_cgroup_error,
                struct failure *failure) {
    const char *user = request->credentials ? request->credentials->name : NULL;
    struct complaint complaint;
    ssize_t n;
    for (;;) {
        if (is_silent(fd, request->patience_ms))
            return 1;
        n = read(fd, &complaint, sizeof(complaint));
        if (n == sizeof(complaint) && complaint.step == STEP_CGROUP)
            *ret_cgroup_error = -complaint.error;
        else if (n >= 0 || errno != EINTR)
            break;
    }
    if (n == 0)
        return 0;
    siginfo_t info;
    while (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, NULL) < 0 && errno == EINTR)
        ; /* it is in _exit */
    if (n != sizeof(complaint))
        return failure_set(failure, -EIO, "cannot start %s: it died at once", request->argv[0]);
    return explain(&complaint, request->argv[0], request->cwd, user, failure);
}

int spawn_hear_late(int begin_fd, const char *program, const char *cwd, const char *user,
                    struct failure *failure) {
    struct complaint complaint = {STEP_CGROUP, 0};
    while (complaint.step == STEP_CGROUP) /* that one comes first, and is not the end */
        if (is_silent(begin_fd, 1) ||
            read(begin_fd, &complaint, sizeof(complaint)) != sizeof(complaint))
            return 0;
    return explain(&complaint, program, cwd, user, failure);
}

/* An ignored SIGCHLD, inherited from whoever started us, would let the kernel reap in our place. */
static void claim_children(void) {
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) == 0 &&
        (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT)))
        (void)signal(SIGCHLD, SIG_DFL);
}

int spawn_start(const struct spawn_request *request, struct spawned *ret, struct failure *failure) {
    const char *program = request->argv[0];
    CLEANUP_FREE char **candidates = make_candidates(program, path_of(request->envp));
    if (!candidates)
        return failure_set_errno(failure, -ENOMEM, "cannot start %s", program);
    CLEANUP_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return failure_set_errno(failure, -errno, "cannot start %s: no /dev/null", program);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return failure_set_errno(failure, -errno, "cannot start %s: no pipe", program);
    CLEANUP_CLOSE int heard_fd = ends[0];
    CLEANUP_CLOSE int complaint_fd = ends[1];
    struct plan plan = {.request = request,
                        .candidates = candidates,
                        .null_fd = null_fd,
                        .complaint_fd = complaint_fd,
                        .parent = getpid()};

    claim_children();
    /* No handler of ours may run in the child: libuv's would write into our own signal pipe. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    CLEANUP_CLOSE int pidfd = -1;
    int pid = clone_child(&plan, &pidfd);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid == -ENOSYS)
        return failure_set(failure, pid, "cannot start %s: this needs Linux 5.4 or later", program);
    if (pid < 0)
        return failure_set_errno(failure, pid, "cannot start %s: no new process", program);

    (void)close(STEAL_FD(complaint_fd)); /* or the end of file would never come */
    int cgroup_error = 0;
    if (request->has_cgroup && !plan.born_in_cgroup && !plan.enters_cgroup)
        cgroup_error = -EBADF; /* no way into it was given */
    int r = hear(heard_fd, pidfd, request, &cgroup_error, failure);
    if (r < 0)
        return r;
    struct proc_read_stat stat = {0};
    /* without /proc it stays 0: such a child is not known again after our death */
    (void)!proc_read_stat(PROC_READ_ROOT, pid, &stat);
    *ret = (struct spawned){.pid = pid,
                            .pidfd = STEAL_FD(pidfd),
                            .start_ticks = stat.start_ticks,
                            .cgroup_error = cgroup_error,
                            .begin_fd = r > 0 ? STEAL_FD(heard_fd) : -1};
    return 0;
}

int spawn_reap(int pidfd, struct spawn_exit *ret) {
    siginfo_t info = {0};
    struct rusage usage;
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, &usage) < 0)
        return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    *ret = (struct spawn_exit){.code = info.si_code, .status = info.si_status, .usage = usage};
    return 0;
}

int spawn_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}
