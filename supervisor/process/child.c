/* See child.h. The order at the end matters: while the leader is a zombie its number, and so its
 * group's, cannot be given anew; so the group is killed first, then the leader is reaped, then the
 * rest is looked for: in its control group, which tells whom to kill, and among our own children,
 * for what died must be reaped. fd 3 ends when its last holder is gone.
 */
#include "supervisor/process/child.h"

#include "common/clock.h"
#include "common/whole_write.h"
#include "supervisor/service/as_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

enum {
    CHILD_BUFFER_BYTES = 64 * 1024,
    CHILD_READS_PER_TURN = 4, /* one chatty child must not starve the others */
    CHILD_FIRST_PAUSE_MS = 2,
    CHILD_LAST_PAUSE_MS = 100,
    CHILD_EARLY_MS = 20, /* an exec takes less */
    CHILD_GIVE_UP_MS = 5000,
    CHILD_PATIENCE_MS = 1000,        /* for a user's process to begin, while all others wait, */
    CHILD_LITTLE_PATIENCE_MS = 20,   /* and after one that did not */
    CHILD_PATIENT_AGAIN_MS = 600000, /* so long */
    CHILD_UNKNOWN_STATUS = 255,
};

struct child {
    struct child_host *host;
    struct child_callbacks callbacks;
    void *context;
    struct report_stream *stream;
    struct spawned process;
    struct cgroup_leaf *leaf; /* owns; NULL: none, or removed */
    int report_fd;            /* -1: it said its last word, or was given up */
    bool exited;
    bool swept; /* nothing of it is left, or it was given up */
    bool over;
    bool told_breach;
    struct child_end end;
    char *program, *cwd, *user; /* of one that begins late; owned */
    struct failure not_begun;
    int64_t ended_ms, pause_ms;
    uv_poll_t exit_poll, report_poll;
    uv_timer_t sweep_timer;
    int open_handles;
};

/* Each child costs us three descriptors, so a thousand jobs need more than the usual 1,024. The
 * children keep the usual: a program that calls select must not see higher numbers. */
static struct rlimit raise_file_limit(void) {
    struct rlimit before = {RLIM_INFINITY, RLIM_INFINITY};
    if (getrlimit(RLIMIT_NOFILE, &before) == 0)
        /* where it fails, starting too many fails later with its own sentence */
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){before.rlim_max, before.rlim_max});
    return before;
}

int child_host_open(uv_loop_t *loop, struct child_host *ret, struct failure *failure) {
    CLEANUP_FREE char *buffer = malloc(CHILD_BUFFER_BYTES);
    if (!buffer)
        return failure_set_errno(failure, -ENOMEM, "cannot supervise processes");
    struct orphans *orphans;
    int r = orphans_open(&orphans, failure);
    if (r < 0)
        return r;
    *ret = (struct child_host){
        .loop = loop, .orphans = orphans, .buffer = STEAL_PTR(buffer), .files = raise_file_limit()};
    return 0;
}

void child_host_close(struct child_host *host) {
    orphans_close(host->orphans);
    free(host->buffer);
    *host = (struct child_host){0};
}

pid_t child_pid(const struct child *child) { return child->process.pid; }

uint64_t child_start_ticks(const struct child *child) { return child->process.start_ticks; }

bool child_ended(const struct child *child) { return child->exited; }

const struct failure *child_not_begun(const struct child *child) {
    return child->not_begun.code < 0 ? &child->not_begun : NULL;
}

const char *child_breach(const struct child *child) { return report_stream_breach(child->stream); }

/* ---- freeing ---- */

static void release(struct child *child) {
    report_stream_close(child->stream);
    cgroup_leaf_close(child->leaf);
    cleanup_close(&child->process.begin_fd);
    free(child->program);
    free(child->cwd);
    free(child->user);
    free(child);
}

static void on_closed(uv_handle_t *handle) {
    struct child *child = handle->data;
    if (--child->open_handles == 0)
        release(child);
}

/* The handle goes with its descriptor. Closed later, it would take the descriptor's number, which
 * is another child's by then, out of the loop. */
static void close_watched(uv_poll_t *poll, int *fd) {
    if (uv_handle_get_type((uv_handle_t *)poll) == UV_POLL && !uv_is_closing((uv_handle_t *)poll))
        uv_close((uv_handle_t *)poll, on_closed);
    if (*fd >= 0)
        (void)close(STEAL_FD(*fd));
}

/* ---- the end ---- */

static void stop_listening(struct child *child) {
    if (child->report_fd < 0)
        return;
    close_watched(&child->report_poll, &child->report_fd);
    (void)report_stream_end(child->stream);
}

static void finish(struct child *child) {
    if (child->over || !child->exited || !child->swept || child->report_fd >= 0)
        return;
    child->over = true;
    (void)uv_timer_stop(&child->sweep_timer);
    orphans_remove(child->host->orphans, child->process.pid);
    child->callbacks.over(child->context, &child->end);
}

/* Returns how many are still in its control group; without one, 0. */
static int clear_leaf(struct child *child) {
    if (!child->leaf || cgroup_leaf_remove(child->leaf) != -EBUSY) {
        cgroup_leaf_close(STEAL_PTR(child->leaf)); /* what else refused: it goes with the tree */
        return 0;
    }
    const int seen = cgroup_leaf_kill(child->leaf);
    return seen > 0 ? seen : 1; /* the last one is just going */
}

static void sweep(struct child *child);

static void on_sweep_timer(uv_timer_t *timer) { sweep(timer->data); }

static void sweep(struct child *child) {
    pid_t one = 0;
    int64_t since_ms = clock_monotonic_ms() - child->ended_ms;
    int found = child->swept ? 0 : clear_leaf(child);
    if (!child->swept)
        found += orphans_sweep(child->host->orphans, child->process.pid, since_ms < CHILD_EARLY_MS,
                               &one);
    child->swept = found == 0;
    if (child->swept)
        child_listen(child); /* all writers should be gone: hear the rest now */
    bool give_up = since_ms >= CHILD_GIVE_UP_MS;
    if (give_up && !child->swept) {
        if (one > 0)
            (void)snprintf(child->end.left_behind, sizeof(child->end.left_behind),
                           "%d process(es) that do not die, pid %d among them", found, (int)one);
        else
            (void)snprintf(child->end.left_behind, sizeof(child->end.left_behind),
                           "%d process(es) in its control group that do not die", found);
        child->swept = true;
    }
    if (give_up && child->report_fd >= 0) {
        if (!child->end.left_behind[0])
            (void)snprintf(child->end.left_behind, sizeof(child->end.left_behind),
                           "a process outside the task that holds its fd 3 open");
        stop_listening(child);
    }
    if (child->swept && child->report_fd < 0) {
        finish(child);
        return;
    }
    (void)uv_timer_start(&child->sweep_timer, on_sweep_timer, (uint64_t)child->pause_ms, 0);
    if (child->pause_ms < CHILD_LAST_PAUSE_MS)
        child->pause_ms *= 2;
}

static void on_ended(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    struct child *child = handle->data;
    struct pollfd ended = {.fd = child->process.pidfd, .events = POLLIN};
    if (poll(&ended, 1, 0) != 1)
        return; /* a spurious wake-up: what comes now is for the dead alone */
    (void)kill(-child->process.pid, SIGKILL); /* the zombie holds the group's number */
    if (spawn_reap(child->process.pidfd, &child->end.exit) < 0)
        /* somebody else reaped it: how it ended nobody can tell, so not well */
        child->end.exit = (struct spawn_exit){.code = CLD_EXITED, .status = CHILD_UNKNOWN_STATUS};
    if (child->leaf)
        cgroup_leaf_read(child->leaf, &child->end.cgroup);
    if (child->process.begin_fd >= 0 && child->program &&
        spawn_hear_late(child->process.begin_fd, child->program, child->cwd, child->user,
                        &child->not_begun) < 0)
        cleanup_close(&child->process.begin_fd);
    child->exited = true;
    child->ended_ms = clock_monotonic_ms();
    close_watched(&child->exit_poll, &child->process.pidfd);
    sweep(child);
}

/* ---- fd 3 ---- */

void child_listen(struct child *child) {
    for (int turn = 0; child->report_fd >= 0 && turn < CHILD_READS_PER_TURN; turn++) {
        ssize_t n = read(child->report_fd, child->host->buffer, CHILD_BUFFER_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            stop_listening(child);
        else
            (void)report_stream_feed(child->stream, child->host->buffer, (size_t)n);
        if (child_breach(child) && !child->told_breach) {
            child->told_breach = true;
            child->callbacks.breach(child->context);
        }
    }
}

static void on_report(uv_poll_t *handle, int status, int events) {
    (void)status; /* an error on the descriptor shows in the read */
    (void)events;
    struct child *child = handle->data;
    child_listen(child);
    finish(child);
}

bool child_has_group(const struct child *child) { return child->leaf != NULL; }

int child_look(const struct child *child, struct cgroup_leaf_usage *ret) {
    return child->leaf ? cgroup_leaf_look(child->leaf, ret) : -ENODATA;
}

/* ---- the beginning ---- */

/* A file in memory: no size can block us as a pipe's could. */
static int make_stdin(const char *text, struct failure *failure) {
    CLEANUP_CLOSE int fd = memfd_create("registrar-task", MFD_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot hand over a task");
    int r = whole_write(fd, text, strlen(text));
    if (r < 0)
        return failure_set_errno(failure, r, "cannot hand over a task");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return failure_set_errno(failure, -errno, "cannot hand over a task");
    return STEAL_FD(fd);
}

/* Made as the user: a shell that opens /dev/fd/3 opens the pipe anew, with his rights. */
static int make_report_pipe(struct child *child, const struct child_request *request,
                            int *ret_write_end, struct failure *failure) {
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    int ends[2];
    int r = as_user_enter(request->credentials, &as_user, failure);
    if (r < 0)
        return r;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return failure_set_errno(failure, -errno, "cannot start %s: no pipe", request->argv[0]);
    child->report_fd = ends[0];
    *ret_write_end = ends[1];
    return 0;
}

/* Of our own rights nobody can hold a process but we. */
static int patience_ms(const struct child_host *host, const struct child_request *request) {
    if (!request->credentials)
        return 0;
    const bool was_late =
        host->late_ms > 0 && clock_monotonic_ms() - host->late_ms < CHILD_PATIENT_AGAIN_MS;
    return was_late ? CHILD_LITTLE_PATIENCE_MS : CHILD_PATIENCE_MS;
}

/* Without memory for the names it is only told less well. */
static void note_late(struct child *child, const struct child_request *request) {
    child->host->late_ms = clock_monotonic_ms();
    child->program = strdup(request->argv[0]);
    child->cwd = request->cwd ? strdup(request->cwd) : NULL;
    child->user = strdup(request->credentials->name);
}

static int start_process(struct child *child, const struct child_request *request,
                         struct failure *failure) {
    CLEANUP_CLOSE int stdin_fd = -1;
    if (request->stdin_text) {
        stdin_fd = make_stdin(request->stdin_text, failure);
        if (stdin_fd < 0)
            return stdin_fd;
    }
    CLEANUP_CLOSE int write_end = -1;
    int r = make_report_pipe(child, request, &write_end, failure);
    if (r < 0)
        return r;
    if (fcntl(child->report_fd, F_SETFL, O_NONBLOCK) < 0) /* ours only, not the child's end */
        return failure_set_errno(failure, -errno, "cannot start %s", request->argv[0]);
    const struct spawn_request spawn = {
        .argv = request->argv,
        .envp = request->envp,
        .cwd = request->cwd,
        .credentials = request->credentials,
        .stdin_fd = stdin_fd,
        .stdout_fd = request->stdout_to_log ? request->log_fd : -1,
        .stderr_fd = request->log_fd,
        .report_fd = write_end,
        .oom_score_adj = request->oom_score_adj,
        .files = &child->host->files,
        .has_cgroup = child->leaf != NULL,
        .cgroup_fd = child->leaf ? cgroup_leaf_clone_fd(child->leaf) : -1,
        .cgroup_procs_fd = child->leaf ? cgroup_leaf_procs_fd(child->leaf) : -1,
        .patience_ms = patience_ms(child->host, request),
    };
    r = spawn_start(&spawn, &child->process, failure);
    if (r == 0 && child->process.begin_fd >= 0)
        note_late(child, request);
    return r;
}

static void drop_leaf(struct child *child) {
    if (child->leaf)
        (void)!cgroup_leaf_remove(child->leaf); /* else it goes with the tree */
    cgroup_leaf_close(STEAL_PTR(child->leaf));
}

/* A task that cannot have its group runs without: that is told, and is better than not to run. */
static int start_in_leaf(struct child *child, const struct child_request *request,
                         struct failure *failure) {
    struct failure refusal = {0};
    char *told = child->end.cgroup_error;
    if (child->host->tree && cgroup_leaf_open(child->host->tree, request->memory_limit_bytes,
                                              &child->leaf, &refusal) < 0)
        (void)snprintf(told, CHILD_CGROUP_ERROR_BYTES, "%.*s", CHILD_CGROUP_ERROR_BYTES - 1,
                       refusal.text);
    int r = start_process(child, request, failure);
    if (r == 0 && child->process.cgroup_error < 0)
        (void)snprintf(told, CHILD_CGROUP_ERROR_BYTES, "it could not enter its control group: %s",
                       strerror(-child->process.cgroup_error));
    if (r < 0 || child->process.cgroup_error < 0)
        drop_leaf(child);
    if (child->leaf)
        cgroup_leaf_entered(child->leaf);
    return r;
}

/* libuv's own set-up can fail only for lack of memory or descriptors; then the process just started
 * is ended again. */
static int start_watching(struct child *child, const char *token, struct failure *failure) {
    uv_loop_t *loop = child->host->loop;
    (void)uv_timer_init(loop, &child->sweep_timer); /* cannot fail */
    child->sweep_timer.data = child;
    child->open_handles = 1;
    int r = uv_poll_init(loop, &child->exit_poll, child->process.pidfd);
    if (r == 0) {
        child->exit_poll.data = child;
        child->open_handles++;
        r = uv_poll_init(loop, &child->report_poll, child->report_fd);
    }
    if (r == 0) {
        child->report_poll.data = child;
        child->open_handles++;
        r = uv_poll_start(&child->exit_poll, UV_READABLE, on_ended);
    }
    if (r == 0)
        r = uv_poll_start(&child->report_poll, UV_READABLE, on_report);
    if (r == 0)
        r = orphans_add(child->host->orphans, child->process.pid, child->process.start_ticks,
                        token);
    return r < 0 ? failure_set_errno(failure, r, "cannot watch a new process") : 0;
}

static void end_unwatched(struct child *child) {
    (void)kill(-child->process.pid, SIGKILL);
    while (spawn_reap(child->process.pidfd, &child->end.exit) == -EAGAIN)
        (void)usleep(1000); /* it has just been killed */
}

int child_start(struct child_host *host, const struct child_request *request,
                const struct child_callbacks *callbacks, void *context, struct child **ret,
                struct failure *failure) {
    struct child *child = calloc(1, sizeof(*child));
    if (!child)
        return failure_set_errno(failure, -ENOMEM, "cannot start %s", request->argv[0]);
    *child = (struct child){
        .host = host,
        .callbacks = *callbacks,
        .context = context,
        .stream = report_stream_open(callbacks->report, context),
        .process = {.pidfd = -1, .begin_fd = -1},
        .report_fd = -1,
        .pause_ms = CHILD_FIRST_PAUSE_MS,
    };
    int r = child->stream
                ? start_in_leaf(child, request, failure)
                : failure_set_errno(failure, -ENOMEM, "cannot start %s", request->argv[0]);
    if (r == 0) {
        r = start_watching(child, request->token, failure);
        if (r < 0)
            end_unwatched(child);
    }
    if (r < 0) {
        child_close(child);
        return r;
    }
    *ret = child;
    return 0;
}

/* ---- the caller's wishes ---- */

void child_terminate(struct child *child) {
    if (child->exited)
        return; /* its number may be somebody else's by now */
    (void)kill(-child->process.pid, SIGTERM);
    (void)kill(-child->process.pid, SIGCONT);
}

void child_kill(struct child *child) {
    if (child->exited)
        return;
    (void)kill(-child->process.pid, SIGKILL);
    if (child->leaf)
        (void)cgroup_leaf_kill(child->leaf); /* what is missed goes after the leader */
}

void child_close(struct child *child) {
    if (!child)
        return;
    if (child->process.pid > 0)
        orphans_remove(child->host->orphans, child->process.pid);
    close_watched(&child->exit_poll, &child->process.pidfd);
    close_watched(&child->report_poll, &child->report_fd);
    if (child->open_handles > 0) /* the timer is the first to open and the last to close */
        uv_close((uv_handle_t *)&child->sweep_timer, on_closed);
    else
        release(child);
}
