/* Output that never waits; see sink.h.
 *
 * O_NONBLOCK belongs to the open file description, which the shell and other programs share:
 * setting it on stderr would break them. So terminals and pipes are opened once more through /proc,
 * which makes a description of our own. Where that is not possible (a socket, another user's
 * terminal), poll is asked before each small write. */
#include "supervisor/report/sink.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SINK_PENDING_LIMIT = 256 * 1024,
    SINK_ASKED_BYTES = 512 /* a writable pipe takes PIPE_BUF; terminals promise less */
};

void sink_open(struct sink *sink, int fd) {
    *sink = (struct sink){.fd = fd};
    struct stat status;
    if (fstat(fd, &status) != 0) {
        sink->gone = true;
        return;
    }
    if (S_ISREG(status.st_mode)) /* never waits, and a second description has its own offset */
        return;
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    sink->blocking = own < 0;
    sink->owned = own >= 0;
    if (own >= 0)
        sink->fd = own;
}

static bool is_writable(int fd, int wait_ms) {
    struct pollfd asked = {.fd = fd, .events = POLLOUT};
    return poll(&asked, 1, wait_ms) == 1;
}

/* Writes what goes out now; returns how much that was. */
static size_t write_some(struct sink *sink, const char *bytes, size_t length) {
    size_t done = 0;
    while (done < length && !sink->gone) {
        size_t piece = length - done;
        if (sink->blocking) {
            if (!is_writable(sink->fd, 0))
                break;
            piece = piece < SINK_ASKED_BYTES ? piece : SINK_ASKED_BYTES;
        }
        ssize_t n = write(sink->fd, bytes + done, piece);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            break;
        else if (n < 0 && errno != EINTR)
            sink->gone = true; /* EPIPE, EIO: hung up; ENOSPC: a log on a full disk */
    }
    return done;
}

static bool keep(struct sink *sink, const char *bytes, size_t length) {
    if (sink->n_pending + length > sink->capacity) {
        size_t capacity = 2 * (sink->n_pending + length);
        char *pending = realloc(sink->pending, capacity);
        if (!pending)
            return false;
        sink->pending = pending;
        sink->capacity = capacity;
    }
    memcpy(sink->pending + sink->n_pending, bytes, length);
    sink->n_pending += length;
    return true;
}

bool sink_flush(struct sink *sink) {
    if (sink->n_pending > 0) {
        size_t done = write_some(sink, sink->pending, sink->n_pending);
        sink->n_pending -= done;
        memmove(sink->pending, sink->pending + done, sink->n_pending);
    }
    if (sink->gone)
        sink->n_pending = 0;
    return sink->n_pending == 0;
}

void sink_put(struct sink *sink, const char *bytes, size_t length) {
    size_t done = 0;
    if (sink_flush(sink))
        done = write_some(sink, bytes, length);
    if (sink->gone || done == length)
        return;
    /* a message that has begun must end, or an escape sequence would stay open */
    if (done == 0 && sink->n_pending + length > SINK_PENDING_LIMIT)
        sink->dropped++;
    else if (!keep(sink, bytes + done, length - done))
        sink->dropped++;
}

void sink_close(struct sink *sink, int wait_ms) {
    int64_t until_ms = clock_monotonic_ms() + wait_ms;
    while (!sink_flush(sink)) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        if (left_ms <= 0 || !is_writable(sink->fd, (int)left_ms))
            break;
    }
    free(sink->pending);
    if (sink->owned)
        (void)close(sink->fd); /* errors were seen by write */
    *sink = (struct sink){.fd = -1, .gone = true};
}
