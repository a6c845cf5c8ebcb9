/* See apply_worker.h. The request goes as a memory file on stdin, so that writing it cannot block;
 * what the worker writes to stderr is kept in another, and quoted only when it dies without a word.
 */
#include "supervisor/apply/apply_worker.h"

#include "common/clock.h"
#include "common/protocol.h"
#include "supervisor/apply/apply_line.h"
#include "supervisor/process/report_stream.h"
#include "supervisor/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

enum {
    OOM_SCORE_ADJ = 800, /* when memory runs out, the worker goes before anything of value */
    GRACE_MS = 5000,     /* from a request to stop to the order */
    LAST_WORDS_BYTES = 400,
};

struct running {
    const struct apply_worker_request *request;
    struct spawned child;
    int report_fd, signal_fd, log_fd;
    struct report_stream *stream;
    struct apply_line *line;
    json_t *result;                        /* owned */
    struct failure error;                  /* what the worker said; code 0: nothing */
    char blocked[PROTOCOL_CALL_BYTES + 1]; /* the system call that its sandbox stopped */
    int interrupts;
    int64_t kill_ms; /* when a worker that was asked to stop is killed; 0: never */
};

static void take_report(void *context, const struct report *report) {
    struct running *running = context;
    if (report->kind == REPORT_PROGRESS)
        apply_line_show(running->line, report->fraction, clock_monotonic_ms());
    else if (report->kind == REPORT_RESULT && !running->result)
        running->result = json_incref(report->record);
    else if (report->kind == REPORT_ERROR)
        (void)failure_set(&running->error, -EINVAL, "%s", report->reason);
    else if (report->kind == REPORT_BLOCKED)
        (void)snprintf(running->blocked, sizeof(running->blocked), "%s", report->call);
}

/* The signals that mean "stop", as a descriptor. */
static int open_signals(sigset_t *ret_before, struct failure *failure) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t held;
    struct sigaction action;
    (void)sigemptyset(&held);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        /* ignored from the start (nohup): it stays so */
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaddset(&held, numbers[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &held, ret_before);
    int fd = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd >= 0)
        return fd;
    int r = failure_set_errno(failure, -errno, "cannot listen to signals");
    (void)sigprocmask(SIG_SETMASK, ret_before, NULL);
    return r;
}

static int write_document(const json_t *document, struct failure *failure) {
    CLEANUP_CLOSE int fd = memfd_create("registrar-apply", MFD_CLOEXEC);
    if (fd < 0 || json_dumpfd(document, fd, JSON_COMPACT) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return failure_set(failure, -ENOMEM, "no memory to ask the worker");
    return STEAL_FD(fd);
}

static int start(struct running *running, struct failure *failure) {
    const struct apply_worker_request *request = running->request;
    CLEANUP_CLOSE int document_fd = write_document(request->document, failure);
    int pipe_fds[2];
    if (document_fd < 0)
        return document_fd;
    running->log_fd = memfd_create("registrar-apply-log", MFD_CLOEXEC);
    if (running->log_fd < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return failure_set_errno(failure, -errno, "cannot make a pipe to the worker");
    running->report_fd = pipe_fds[0];
    const char *const argv[] = {request->worker, "apply", NULL};
    const struct spawn_request spawn = {
        .argv = argv,
        .envp = (const char *const *)environ,
        .stdin_fd = document_fd,
        .stdout_fd = request->output_fd,
        .stderr_fd = running->log_fd,
        .report_fd = pipe_fds[1],
        .input_fd = request->input_fd,
        .oom_score_adj = OOM_SCORE_ADJ,
    };
    int r = spawn_start(&spawn, &running->child, failure);
    (void)close(pipe_fds[1]); /* the child has its own */
    if (r == 0)
        return 0;
    running->child.pidfd = -1;
    failure->code = -EPROTO; /* whatever the reason: it is none that can be started */
    return failure->code;
}

static void stop(struct running *running, int64_t now_ms) {
    struct signalfd_siginfo info;
    while (read(running->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        /* a closed terminal sends more than one SIGHUP: they are one request */
        running->interrupts += info.ssi_signo != SIGHUP || running->interrupts == 0;
        if (running->kill_ms == 0)
            running->kill_ms = now_ms + GRACE_MS;
        (void)spawn_signal(running->child.pidfd, running->interrupts > 1 ? SIGKILL : SIGTERM);
    }
}

/* False at the end of its reports. */
static bool hear(struct running *running) {
    char bytes[4096];
    ssize_t n = read(running->report_fd, bytes, sizeof(bytes));
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n > 0 && report_stream_feed(running->stream, bytes, (size_t)n) == 0)
        return true;
    return false;
}

/* Until it has ended. Its reports are read to their end: it may say its result and go at once. */
static void attend(struct running *running, struct spawn_exit *ret) {
    bool listens = true;
    while (listens || spawn_reap(running->child.pidfd, ret) == -EAGAIN) {
        struct pollfd polled[] = {
            {.fd = running->signal_fd, .events = POLLIN},
            {.fd = listens ? running->report_fd : running->child.pidfd, .events = POLLIN},
        };
        const int64_t now_ms = clock_monotonic_ms();
        int64_t wait_ms = apply_line_wait_ms(running->line, now_ms);
        if (running->kill_ms && (wait_ms < 0 || running->kill_ms - now_ms < wait_ms))
            wait_ms = running->kill_ms > now_ms ? running->kill_ms - now_ms : 0;
        if (running->kill_ms && running->kill_ms <= now_ms) {
            (void)spawn_signal(running->child.pidfd, SIGKILL); /* ESRCH: it went by itself */
            running->kill_ms = 0;
        }
        (void)poll(polled, ARRAY_LEN(polled), (int)wait_ms);
        if (polled[0].revents)
            stop(running, clock_monotonic_ms());
        if (listens && polled[1].revents)
            listens = hear(running);
        apply_line_tick(running->line, clock_monotonic_ms());
    }
}

/* --- how it ended --- */

/* The last line that it wrote; "" when it wrote nothing. */
static void read_last_words(int fd, char text[LAST_WORDS_BYTES]) {
    off_t end = lseek(fd, 0, SEEK_END),
          from = end > LAST_WORDS_BYTES - 1 ? end - LAST_WORDS_BYTES + 1 : 0;
    ssize_t n = end > 0 ? pread(fd, text, (size_t)(end - from), from) : 0;
    text[n > 0 ? n : 0] = '\0';
    while (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
    const char *last = strrchr(text, '\n');
    if (last)
        memmove(text, last + 1, strlen(last + 1) + 1);
}

static int explain_death(const struct running *running, const struct spawn_exit *end,
                         struct failure *failure) {
    char words[LAST_WORDS_BYTES];
    const char *name = sigabbrev_np(end->status);
    read_last_words(running->log_fd, words);
    if (running->blocked[0])
        return failure_set(failure, -EIO,
                           "the sandbox stopped the worker (system call %s); the file may be "
                           "hostile: do not open it elsewhere",
                           running->blocked);
    if (end->code != CLD_EXITED && end->status == SIGKILL)
        return failure_set(failure, -EIO,
                           "the worker was killed (SIGKILL), most likely for want of memory; lower "
                           "--worker-memory, or free some");
    if (end->code != CLD_EXITED)
        return failure_set(failure, -EIO, "the worker died (SIG%s)%s%s; the file may be damaged",
                           name ? name : "?", words[0] ? ": " : "", words);
    return failure_set(failure, -EPROTO,
                       "%s ended with exit status %d and said nothing%s%s; is it the "
                       "registrar-worker of this version?",
                       running->request->worker, end->status, words[0] ? ": " : "", words);
}

static int judge(struct running *running, const struct spawn_exit *end, json_t **ret,
                 struct failure *failure) {
    const char *breach = report_stream_breach(running->stream);
    if (end->code == CLD_EXITED && end->status == 0 && running->result && !breach) {
        *ret = STEAL_PTR(running->result);
        return 0;
    }
    if (running->interrupts > 0)
        return failure_set(failure, -ECANCELED, "interrupted; nothing was kept");
    if (breach)
        return failure_set(failure, -EPROTO,
                           "%s %.300s; is it the registrar-worker of this version?",
                           running->request->worker, breach);
    if (running->error.code == 0)
        return explain_death(running, end, failure);
    *failure = running->error;
    return failure->code;
}

int apply_worker_run(const struct apply_worker_request *request, json_t **ret,
                     struct failure *failure) {
    struct running running = {
        .request = request, .child = {.pidfd = -1}, .report_fd = -1, .log_fd = -1};
    struct spawn_exit end = {0};
    sigset_t before;
    running.signal_fd = open_signals(&before, failure);
    if (running.signal_fd < 0)
        return running.signal_fd;
    running.stream = report_stream_open(take_report, &running);
    running.line = apply_line_open(request->label, clock_monotonic_ms());
    int r = running.stream && running.line ? start(&running, failure)
                                           : failure_set(failure, -ENOMEM, "out of memory");
    if (r == 0) {
        attend(&running, &end);
        apply_line_clear(running.line);
        r = judge(&running, &end, ret, failure);
        (void)close(running.child.pidfd);
    }
    apply_line_close(running.line);
    report_stream_close(running.stream);
    json_decref(running.result);
    cleanup_close(&running.report_fd);
    cleanup_close(&running.log_fd);
    cleanup_close(&running.signal_fd);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}
