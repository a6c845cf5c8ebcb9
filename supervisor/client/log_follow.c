/* See log_follow.h. inotify tells of new bytes and the service of the task's end; network folders
 * tell nothing, so a second is the longest that is waited. */
#include "supervisor/client/log_follow.h"

#include "common/whole_write.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>

enum { READ_BYTES = 64 << 10, LOOK_MS = 1000 };

/* Everything from where the last call left off. */
static int copy(const struct log_follow *log, int fd, struct failure *failure) {
    char bytes[READ_BYTES];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failure_set_errno(failure, -errno, "cannot read %s", log->path);
        const int r = whole_write(log->out, bytes, (size_t)n);
        if (r < 0)
            return failure_set_errno(failure, r, "cannot write the log to stdout");
    }
    return 0;
}

static int open_log(const struct log_follow *log) {
    const int fd = open(log->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

int log_follow_print(const struct log_follow *log, struct failure *failure) {
    const int opened = open_log(log);
    if (opened == -ENOENT)
        return failure_set(failure, -ENOENT,
                           "%s of %s has no log yet: it was not started (-f waits for it)",
                           log->task, log->batch);
    if (opened < 0)
        return failure_set_errno(failure, opened, "cannot read %s", log->path);
    CLEANUP_CLOSE int fd = opened;
    return copy(log, fd, failure);
}

/* Whether this line tells that nothing more comes. */
static bool is_the_end(const struct log_follow *log, const json_t *line) {
    const char *event = json_string_value(json_object_get(line, "event"));
    const char *task = json_string_value(json_object_get(line, "task"));
    if (json_is_true(json_object_get(line, "end")))
        return true;
    return event && task && strcmp(event, "end") == 0 && strcmp(task, log->task) == 0;
}

/* 1: the task has ended. */
static int hear(const struct log_follow *log, struct connection *connection,
                struct failure *failure) {
    do {
        CLEANUP_JSON json_t *line = NULL;
        const int r = connection_receive(connection, &line, failure);
        if (r < 0)
            return r;
        if (is_the_end(log, line))
            return 1;
    } while (connection_has_line(connection));
    return 0;
}

/* Waits for either; 1: the task has ended. */
static int wait_for_more(const struct log_follow *log, struct connection *connection, int inotify,
                         struct failure *failure) {
    struct pollfd fds[] = {{.fd = connection_fd(connection), .events = POLLIN},
                           {.fd = inotify, .events = POLLIN}};
    char events[4096];
    if (connection_has_line(connection))
        return hear(log, connection, failure);
    if (poll(fds, ARRAY_LEN(fds), LOOK_MS) < 0 && errno != EINTR)
        return failure_set_errno(failure, -errno, "cannot wait for the log");
    if (fds[1].revents & POLLIN)
        (void)!read(inotify, events, sizeof(events)); /* what happened shows in the file */
    return fds[0].revents ? hear(log, connection, failure) : 0;
}

int log_follow_on(const struct log_follow *log, struct connection *connection,
                  struct failure *failure) {
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_CLOSE int fd = -1;
    CLEANUP_CLOSE int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int r = connection_ask(connection, "watch", json_pack("{s:s}", "batch", log->batch), &answer,
                           failure);
    connection_be_patient(connection);
    for (int ended = 0; r == 0;) {
        const int opened = fd < 0 ? open_log(log) : -EEXIST;
        if (opened >= 0) {
            fd = opened;
            (void)inotify_add_watch(inotify, log->path, IN_MODIFY); /* else we look */
        }
        if (fd >= 0)
            r = copy(log, fd, failure);
        if (r < 0 || ended)
            break;
        r = wait_for_more(log, connection, inotify, failure);
        ended = r > 0; /* once more: its last words */
        r = r < 0 ? r : 0;
    }
    return r;
}
