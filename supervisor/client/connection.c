/* See connection.h. A service that refuses in the midst of what we send hangs up when it has said
 * why: so a send that fails is followed by a look at what was said. */
#include "supervisor/client/connection.h"

#include "supervisor/cli/commands.h"
#include "supervisor/client/address.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

enum {
    OUT_BYTES = 256 << 10,
    FIRST_BYTES = 64 << 10,
    MAX_LINE_BYTES = 4 << 20, /* a record of the ledger is the longest there is */
};

struct connection {
    int fd;
    char *path;
    int status;
    char *in; /* unread bytes stand in [start, end) */
    size_t start, end, capacity;
    char *out;
    size_t n_out;
};

int connection_status(const struct connection *connection) {
    return connection ? connection->status : EXIT_USAGE;
}

int connection_fd(const struct connection *connection) { return connection->fd; }

void connection_close(struct connection *connection) {
    if (!connection)
        return;
    if (connection->fd >= 0)
        (void)close(connection->fd);
    free(connection->path);
    free(connection->in);
    free(connection->out);
    free(connection);
}

static int lost(struct connection *connection, int code, const char *what,
                struct failure *failure) {
    connection->status = EXIT_INTERNAL;
    return failure_set_errno(failure, code, "the service at %s %s", connection->path, what);
}

/* ---- connecting ---- */

static int explain_absence(const char *path, int code, struct failure *failure) {
    static const char remedy[] = "start it (systemctl start registrar, systemctl --user start "
                                 "registrar, or registrar daemon), or say where it is by --socket "
                                 "PATH or " ADDRESS_VARIABLE;
    switch (code) {
    case -ENOENT:
    case -ENOTDIR:
        return failure_set(failure, code, "no service is running: there is no socket %s; %s", path,
                           remedy);
    case -ECONNREFUSED:
        return failure_set(failure, code, "no service is running: nobody answers at %s; %s", path,
                           remedy);
    case -EACCES:
    case -EPERM:
        return failure_set(failure, code,
                           "you may not use the service at %s: its socket is for others alone; "
                           "ask who runs it",
                           path);
    case -EAGAIN:
        return failure_set(failure, code,
                           "the service at %s takes no call: it hangs, or far too many clients do; "
                           "see registrar-daemon(8)",
                           path);
    default:
        return failure_set_errno(failure, code, "cannot reach the service at %s", path);
    }
}

static int set_patience(int fd, int seconds) {
    const struct timeval time = {.tv_sec = seconds};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) < 0 ||
                   setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) < 0
               ? -errno
               : 0;
}

static int connect_to(const char *path, int *ret_fd, struct failure *failure) {
    struct sockaddr_un address;
    CLEANUP_CLOSE int folder = -1;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? failure_set_errno(failure, -errno, "cannot make a socket")
                   : address_make(path, &address, &folder, failure);
    if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
        return explain_absence(path, r, failure);
    if (r < 0)
        return r;
    if (set_patience(fd, CONNECTION_PATIENCE_S) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return explain_absence(path, -errno, failure);
    *ret_fd = STEAL_FD(fd);
    return 0;
}

int connection_open(const char *given, struct connection **ret, struct failure *failure) {
    CLEANUP_CONNECTION struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return failure_set(failure, -ENOMEM, "out of memory");
    connection->fd = -1;
    connection->status = EXIT_USAGE;
    connection->path = address_choose(given);
    connection->in = malloc(FIRST_BYTES);
    connection->out = malloc(OUT_BYTES);
    connection->capacity = FIRST_BYTES;
    if (!connection->path || !connection->in || !connection->out)
        return failure_set(failure, -ENOMEM, "out of memory");
    int r = connect_to(connection->path, &connection->fd, failure);
    if (r == 0)
        *ret = STEAL_PTR(connection);
    return r;
}

void connection_be_patient(struct connection *connection) {
    (void)set_patience(connection->fd, 0); /* at worst we ask again later */
}

/* ---- lines ---- */

static int send_all(struct connection *connection, const char *bytes, size_t length) {
    while (length > 0) {
        const ssize_t n = send(connection->fd, bytes, length, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

/* What it said before it hung up tells more than the broken pipe. */
static int explain_broken_send(struct connection *connection, int code, struct failure *failure) {
    CLEANUP_JSON json_t *line = NULL;
    if (code == -EPIPE || code == -ECONNRESET) {
        const int r = connection_receive(connection, &line, failure);
        if (r == -EREMOTEIO)
            return r;
    }
    return lost(connection, code, "has stopped listening", failure);
}

static int flush(struct connection *connection, struct failure *failure) {
    const size_t length = connection->n_out;
    connection->n_out = 0;
    const int r = send_all(connection, connection->out, length);
    return r < 0 ? explain_broken_send(connection, r, failure) : 0;
}

static int put(struct connection *connection, const char *bytes, size_t length,
               struct failure *failure) {
    if (connection->n_out + length > OUT_BYTES) {
        int r = flush(connection, failure);
        if (r < 0)
            return r;
    }
    if (length > OUT_BYTES) {
        const int r = send_all(connection, bytes, length);
        return r < 0 ? explain_broken_send(connection, r, failure) : 0;
    }
    memcpy(connection->out + connection->n_out, bytes, length);
    connection->n_out += length;
    return 0;
}

int connection_send(struct connection *connection, json_t *line, struct failure *failure) {
    CLEANUP_JSON json_t *owned = line;
    CLEANUP_FREE char *text =
        owned ? json_dumps(owned, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17))
              : NULL;
    if (!text) {
        connection->status = EXIT_INTERNAL;
        return failure_set(failure, -ENOMEM, "out of memory for a request to the service");
    }
    const size_t length = strlen(text);
    text[length] = '\n'; /* in place of the terminator */
    return put(connection, text, length + 1, failure);
}

static char *find_newline(const struct connection *connection) {
    return memchr(connection->in + connection->start, '\n', connection->end - connection->start);
}

bool connection_has_line(const struct connection *connection) {
    return find_newline(connection) != NULL;
}

static int read_more(struct connection *connection, struct failure *failure) {
    const size_t unread = connection->end - connection->start;
    memmove(connection->in, connection->in + connection->start, unread);
    connection->start = 0;
    connection->end = unread;
    if (unread == connection->capacity) {
        char *grown =
            unread < MAX_LINE_BYTES ? realloc(connection->in, 2 * connection->capacity) : NULL;
        if (!grown)
            return lost(connection, -EPROTO, "answers with a line that is too long", failure);
        connection->in = grown;
        connection->capacity *= 2;
    }
    ssize_t n;
    do
        n = recv(connection->fd, connection->in + unread, connection->capacity - unread, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) {
        connection->status = EXIT_INTERNAL;
        return failure_set(failure, -ENODATA,
                           "the service at %s has hung up: it was stopped, or it died; what it had "
                           "confirmed is safe",
                           connection->path);
    }
    if (n < 0 && errno == EAGAIN)
        return lost(connection, -ETIMEDOUT, "does not answer", failure);
    if (n < 0)
        return lost(connection, -errno, "cannot be read", failure);
    connection->end += (size_t)n;
    return 0;
}

/* -EREMOTEIO: it is a refusal. */
static int check_answer(struct connection *connection, const json_t *answer,
                        struct failure *failure) {
    const char *sentence = json_string_value(json_object_get(answer, "sentence"));
    const json_t *status = json_object_get(answer, "exit");
    if (!json_is_object(answer))
        return lost(connection, -EPROTO, "answers with a line that is no object", failure);
    if (!json_is_false(json_object_get(answer, "ok")))
        return 0;
    connection->status = json_is_integer(status) ? (int)json_integer_value(status) : EXIT_INTERNAL;
    return failure_set(failure, -EREMOTEIO, "%s", sentence ? sentence : "the service refuses");
}

int connection_receive(struct connection *connection, json_t **ret, struct failure *failure) {
    char *newline;
    int r = connection->n_out > 0 ? flush(connection, failure) : 0;
    while (r == 0 && !(newline = find_newline(connection)))
        r = read_more(connection, failure);
    if (r < 0)
        return r;
    const char *line = connection->in + connection->start;
    json_error_t error;
    CLEANUP_JSON json_t *answer = json_loadb(line, (size_t)(newline - line), 0, &error);
    connection->start = (size_t)(newline + 1 - connection->in);
    r = check_answer(connection, answer, failure);
    if (r == 0)
        *ret = STEAL_PTR(answer);
    return r;
}

int connection_ask(struct connection *connection, const char *what, json_t *request, json_t **ret,
                   struct failure *failure) {
    json_t *line = json_pack("{s:i, s:s}", "v", CONNECTION_PROTOCOL_VERSION, "do", what);
    if (line && (!request || json_object_update_missing(line, request) < 0)) {
        json_decref(line);
        line = NULL;
    }
    json_decref(request);
    int r = connection_send(connection, line, failure);
    return r < 0 ? r : connection_receive(connection, ret, failure);
}
