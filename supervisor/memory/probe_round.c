/* See probe_round.h. The list goes to the worker as a memory file on stdin, so that writing it can
 * never block against a worker that writes to us. */
#include "supervisor/memory/probe_round.h"

#include "common/clock.h"
#include "common/json_read.h"
#include "common/names.h"
#include "common/protocol.h"
#include "common/units.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

enum {
    OOM_SCORE_ADJ = 800, /* when memory runs out, the probe goes before anything of value */
    MAX_SAMPLES = 64,
    END_TIMEOUT_MS = 10000, /* for a worker that has said all and closed its pipe */
};

#define MAX_BUFFER_BYTES (1ULL << 48)

static const char *const mode_words[] = {
    [PROBE_ROUND_HEADERS] = "probe", [PROBE_ROUND_HASHES] = "hash"};

/* ---- what the worker says ---- */

static bool read_u64(const json_t *line, const char *key, uint64_t high, uint64_t *ret) {
    const json_t *value = json_object_get(line, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > high)
        return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_header(const json_t *line, struct probe_result *result) {
    struct footprint_image *image = &result->image;
    uint64_t samples = 0, bits = 0;
    /* the limits keep every product that the forecast makes of them below 2^64 */
    if (!read_u64(line, "width", INT32_MAX, &image->width) ||
        !read_u64(line, "height", INT32_MAX, &image->height) ||
        !read_u64(line, "samples", MAX_SAMPLES, &samples) || !read_u64(line, "bits", 64, &bits) ||
        (json_object_get(line, "block") &&
         !read_u64(line, "block", MAX_BUFFER_BYTES, &image->block_bytes)) ||
        (json_object_get(line, "stream") &&
         !read_u64(line, "stream", MAX_BUFFER_BYTES, &image->stream_bytes)) ||
        !read_u64(line, "size", INT64_MAX, &result->size))
        return false;
    image->samples = (uint32_t)samples;
    image->bits = (uint32_t)bits;
    image->scratch = json_is_true(json_object_get(line, "scratch"));
    return image->width > 0 && image->height > 0 && samples > 0 && bits > 0;
}

static bool read_hash(const json_t *line, struct probe_result *result) {
    const char *hash = json_string_value(json_object_get(line, "hash"));
    const json_t *mtime = json_object_get(line, "mtime_ns");
    if (!hash || strlen(hash) != sizeof(result->hash) - 1 || !json_is_integer(mtime) ||
        !read_u64(line, "size", INT64_MAX, &result->size))
        return false;
    (void)snprintf(result->hash, sizeof(result->hash), "%s", hash);
    result->mtime_ns = json_integer_value(mtime);
    return true;
}

static bool read_file_line(struct probe_round *round, const json_t *line) {
    struct probe_result *result = &round->results[round->n_done];
    const char *error = json_string_value(json_object_get(line, "error"));
    if (error) {
        free(result->error);
        result->error = strdup(error);
        return result->error != NULL;
    }
    return round->mode == PROBE_ROUND_HEADERS ? read_header(line, result) : read_hash(line, result);
}

static bool read_blocked(struct probe_round *round, const json_t *line) {
    const char *call = json_string_value(json_object_get(line, "call"));
    if (!call || strlen(call) > PROTOCOL_CALL_BYTES)
        return false;
    (void)snprintf(round->blocked, sizeof(round->blocked), "%s", call);
    return true;
}

static bool read_line(struct probe_round *round, const char *text, size_t length) {
    CLEANUP_JSON json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const char *event = json_string_value(json_object_get(line, "event"));
    uint64_t index = 0;
    if (event && strcmp(event, "blocked") == 0)
        return read_blocked(round, line);
    if (!event || round->n_done >= round->count ||
        !read_u64(line, "index", round->count - 1, &index) || index != round->n_done)
        return false;
    if (strcmp(event, "begin") == 0 && !round->begun) {
        round->begun = true;
        return true;
    }
    if (strcmp(event, "file") != 0 || !round->begun || !read_file_line(round, line))
        return false;
    round->begun = false;
    round->n_done++;
    return true;
}

/* A list that was cut short has all its answers; the worker knows nothing of the cut. */
static bool is_cut_off(const struct probe_round *round) {
    return round->n_done == round->count && round->count < round->n_asked;
}

/* Takes whole lines off the buffer's front; what is left moves there. */
static void read_lines(struct probe_round *round) {
    size_t start = 0;
    const char *end;
    while (!round->nonsense && !is_cut_off(round) &&
           (end = memchr(round->buffer + start, '\n', round->used - start))) {
        const size_t length = (size_t)(end - round->buffer) - start;
        round->nonsense = !read_line(round, round->buffer + start, length);
        start += length + 1;
    }
    memmove(round->buffer, round->buffer + start, round->used - start);
    round->used -= start;
    if (round->used == PROTOCOL_LINE_BYTES)
        round->nonsense = true;
}

bool probe_round_read(struct probe_round *round) {
    const ssize_t n =
        read(round->report_fd, round->buffer + round->used, PROTOCOL_LINE_BYTES - round->used);
    if (n < 0)
        return errno == EINTR; /* else as good as closed */
    round->used += (size_t)n;
    read_lines(round);
    return n > 0 && !round->nonsense && !is_cut_off(round);
}

/* ---- its process ---- */

/* True when fd became readable (or was closed) before the deadline. */
static bool wait_readable(int fd, int64_t deadline_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (;;) {
        const int64_t left = deadline_ms - clock_monotonic_ms();
        if (left <= 0)
            return false;
        const int r = poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (r > 0)
            return true;
        if (r < 0 && errno != EINTR)
            return false;
    }
}

/* False when not even SIGKILL ends it: it hangs in the kernel, on a drive that is gone. */
static bool end_worker(struct probe_round *round, struct spawn_exit *ret) {
    if (round->late || round->nonsense || is_cut_off(round) ||
        !wait_readable(round->child.pidfd, clock_monotonic_ms() + END_TIMEOUT_MS))
        (void)spawn_signal(round->child.pidfd, SIGKILL); /* ESRCH: it went by itself */
    return wait_readable(round->child.pidfd, clock_monotonic_ms() + END_TIMEOUT_MS) &&
           spawn_reap(round->child.pidfd, ret) == 0;
}

static bool is_given(const char *worker) {
    const char *given = getenv("REGISTRAR_WORKER");
    return given && strcmp(given, worker) == 0;
}

/* What cannot be executed at all is as little a worker as what cannot answer. */
static int blame_given(int code, struct failure *failure) {
    if (code != -ENOENT && code != -EACCES && code != -ENOEXEC)
        return code;
    const struct failure why = *failure;
    return failure_set(failure, -EPROTO, "REGISTRAR_WORKER: %.900s; unset it, or name a worker",
                       why.text);
}

/* The list as the worker reads it, on a descriptor. */
static int write_list(const struct probe_round *round, int *ret_fd, struct failure *failure) {
    CLEANUP_JSON json_t *list = json_pack("{s:i, s:[]}", "v", PROTOCOL_VERSION, "files");
    json_t *files = json_object_get(list, "files");
    for (size_t i = 0; i < round->count; i++)
        if (json_array_append_new(files, json_string(round->paths[i])) < 0)
            return failure_set(failure, -EINVAL, "the path %s is no UTF-8; rename it",
                               round->paths[i]);
    CLEANUP_CLOSE int fd = memfd_create("registrar-probe", MFD_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot hand a list of files to the worker");
    if (!list || json_dumpfd(list, fd, JSON_COMPACT) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return failure_set(failure, -ENOMEM, "cannot hand a list of files to the worker");
    *ret_fd = STEAL_FD(fd);
    return 0;
}

int probe_round_start(struct probe_round *round, struct failure *failure) {
    CLEANUP_CLOSE int list_fd = -1;
    int pipe_fds[2];
    CLEANUP_FREE char *buffer = malloc(PROTOCOL_LINE_BYTES);
    if (!buffer)
        return failure_set(failure, -ENOMEM, "out of memory");
    int r = write_list(round, &list_fd, failure);
    if (r < 0)
        return r;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return failure_set_errno(failure, -errno, "cannot make a pipe to the worker");
    const char *const argv[] = {round->worker, mode_words[round->mode], NULL};
    const struct spawn_request request = {
        .argv = argv,
        .envp = (const char *const *)environ,
        .stdin_fd = list_fd,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .report_fd = pipe_fds[1],
        .oom_score_adj = OOM_SCORE_ADJ,
    };
    r = spawn_start(&request, &round->child, failure);
    (void)close(pipe_fds[1]); /* the child has its own */
    if (r < 0) {
        (void)close(pipe_fds[0]);
        return is_given(round->worker) ? blame_given(r, failure) : r;
    }
    round->report_fd = pipe_fds[0];
    round->buffer = STEAL_PTR(buffer);
    round->used = 0;
    round->n_asked = round->count;
    return 0;
}

/* Why the file that the worker had begun cannot be used. Caller owns. */
static char *describe_end(const struct probe_round *round, const struct spawn_exit *end) {
    char limit[UNITS_TEXT_BYTES];
    const char *path = round->paths[round->n_done];
    if (round->late)
        return names_format("reading %s took longer than %s; the file may be damaged, or the drive "
                            "hangs",
                            path, units_format_duration(round->timeout_ms, limit));
    if (round->nonsense)
        return names_format("the worker made no sense when it read %s; the file may be damaged",
                            path);
    if (end->code == CLD_EXITED)
        return names_format("the worker gave up (exit status %d) when it read %s; the file may be "
                            "damaged",
                            end->status, path);
    if (end->status == SIGSYS && round->blocked[0])
        return names_format("the sandbox stopped the worker (system call %s) when it read %s; the "
                            "file may be hostile: do not open it elsewhere",
                            round->blocked, path);
    return names_format("the worker died (SIG%s) when it read %s; the file may be damaged",
                        sigabbrev_np(end->status) ? sigabbrev_np(end->status) : "?", path);
}

static int fail_unstarted(const struct probe_round *round, const struct spawn_exit *end,
                          struct failure *failure) {
    char how[64];
    const bool exited = end->code == CLD_EXITED && !round->late && !round->nonsense;
    if (exited)
        (void)snprintf(how, sizeof(how), "ended with exit status %d", end->status);
    else
        (void)snprintf(how, sizeof(how), "%s",
                       round->late       ? "said nothing"
                       : round->nonsense ? "made no sense"
                                         : "was killed");
    if (is_given(round->worker))
        return failure_set(failure, -EPROTO,
                           "REGISTRAR_WORKER names %s, which is no registrar-worker of this "
                           "version: as \"%s %s\" it %s before it looked at a file; unset "
                           "REGISTRAR_WORKER, or name the right program",
                           round->worker, round->worker, mode_words[round->mode], how);
    return failure_set(failure, -EPROTO,
                       "%s %s %s before it looked at a file; is it the registrar-worker of this "
                       "version?",
                       round->worker, mode_words[round->mode], how);
}

int probe_round_end(struct probe_round *round, struct failure *failure) {
    struct spawn_exit end = {0};
    const bool ended = end_worker(round, &end);
    (void)close(round->report_fd); /* only read from */
    (void)close(round->child.pidfd);
    free(STEAL_PTR(round->buffer));
    if (!ended)
        return failure_set(failure, -ETIMEDOUT,
                           "reading %s hangs and cannot be stopped; is its drive still there?",
                           round->paths[round->n_done < round->count ? round->n_done : 0]);
    if (round->n_done == round->count)
        return 0;
    if (round->n_done == 0 && !round->begun)
        return fail_unstarted(round, &end, failure);
    if (!round->begun)
        return 0; /* between two files: nobody to blame, a fresh worker goes on */
    struct probe_result *result = &round->results[round->n_done];
    free(result->error);
    result->error = describe_end(round, &end);
    round->n_done++;
    return result->error ? 0 : failure_set(failure, -ENOMEM, "out of memory");
}
