/* One write() per line where the pipe takes it whole; see report.h. */
#include "worker/stage/report.h"

#include "common/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

struct report {
    pthread_mutex_t lock;
    int fd; /* borrowed: lives as long as the process */
};

struct report *report_open(void) {
    struct report *report = calloc(1, sizeof(*report));
    if (!report)
        return NULL;
    bool offered = fcntl(PROTOCOL_REPORT_FD, F_GETFD) >= 0;
    report->fd = offered ? PROTOCOL_REPORT_FD : STDOUT_FILENO;
    (void)pthread_mutex_init(&report->lock, NULL); /* default attributes never fail */
    return report;
}

void report_close(struct report *report) {
    if (!report)
        return;
    (void)pthread_mutex_destroy(&report->lock);
    free(report);
}

int report_descriptor(const struct report *report) { return report->fd; }

static int write_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EAGAIN) { /* whoever gave us the pipe made it non-blocking */
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            (void)poll(&wait, 1, -1); /* on an error the next write tells */
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

int report_send(struct report *report, json_t *line) {
    CLEANUP_JSON json_t *owned = line;
    CLEANUP_FREE char *text = owned ? json_dumps(owned, JSON_COMPACT) : NULL;
    if (!text)
        return -ENOMEM;
    size_t length = strlen(text);
    if (length + 1 > PROTOCOL_LINE_BYTES)
        return -EMSGSIZE;
    text[length] = '\n'; /* in place of the terminator: written by length */
    (void)pthread_mutex_lock(&report->lock);
    int r = write_all(report->fd, text, length + 1);
    (void)pthread_mutex_unlock(&report->lock);
    return r;
}

/* JSON is UTF-8: a sentence that is not (a path with other bytes in it, or one cut in the middle of
 * a character) loses its other characters. */
void report_error(struct report *report, const char *cause, const struct failure *failure) {
    (void)fprintf(stderr, "registrar-worker: %s\n", failure->text);
    json_t *reason = json_string(failure->text);
    if (!reason) {
        struct failure plain = *failure;
        for (char *at = plain.text; *at; at++)
            if ((unsigned char)*at >= 0x80)
                *at = '?';
        reason = json_string(plain.text);
    }
    /* a supervisor that went away sees the exit status */
    (void)report_send(
        report, json_pack("{s:s,s:s,s:o}", "event", "error", "cause", cause, "reason", reason));
}
