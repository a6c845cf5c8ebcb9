/* See server.h. A client's place is a `seat`: its poll handle, and when it last moved. uv frees
 * nothing before its close callback, so seats and the server count what is still open. */
#include "supervisor/service/server.h"

#include "common/clock.h"
#include "supervisor/cli/commands.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    ACCEPTS_A_TURN = 32,
    NO_DESCRIPTOR_MS = 500, /* until accept is tried again when descriptors have run out */
};

struct seat {
    uv_poll_t poll;
    struct server *server;
    struct peer *peer;
    struct seat *next, **slot; /* *slot is this one */
    uint64_t progress;         /* as it was last seen */
    int64_t moved_ms;
    int events; /* that are polled for */
    bool closing;
};

struct server {
    uv_poll_t poll;
    uv_timer_t timer;
    struct server_settings settings;
    struct peer_pool pool;
    struct caller_names names;
    struct seat *seats;
    size_t count;
    int n_handles;           /* not closed yet */
    int64_t accept_again_ms; /* 0: as soon as there is a place */
    int64_t rings_ms;        /* the timer; INT64_MAX: it is not set */
    bool is_accepting, stopped, closing;
};

static void update_seat(struct seat *seat);
static void update_server(struct server *server);

size_t server_count(const struct server *server) { return server->count; }

/* ---- ends ---- */

static void free_when_closed(struct server *server) {
    if (--server->n_handles > 0)
        return;
    caller_names_free(&server->names);
    free(server);
}

static void on_server_handle_closed(uv_handle_t *handle) { free_when_closed(handle->data); }

static void on_seat_closed(uv_handle_t *handle) {
    struct seat *seat = handle->data;
    struct server *server = seat->server;
    peer_close(seat->peer); /* its descriptor must outlive the poll */
    free(seat);
    free_when_closed(server);
}

static void leave_seat(struct seat *seat) {
    if (seat->closing)
        return;
    seat->closing = true;
    peer_finish(seat->peer);
    *seat->slot = seat->next;
    if (seat->next)
        seat->next->slot = seat->slot;
    seat->server->count--;
    uv_close((uv_handle_t *)&seat->poll, on_seat_closed);
    if (!seat->server->closing)
        update_server(seat->server);
}

/* ---- time ---- */

static bool is_full(const struct server *server) {
    return server->count >= server->settings.max_clients;
}

/* Only reserved places are left. */
static bool is_crowded(const struct server *server) {
    return server->count + server->settings.n_reserved >= server->settings.max_clients;
}

/* INT64_MAX: for ever. */
static int64_t patience_ms(const struct server *server, enum peer_wait wait) {
    const struct server_settings *settings = &server->settings;
    switch (wait) {
    case PEER_WAIT_REQUEST:
        return is_crowded(server) ? SERVER_CROWDED_MS : settings->idle_ms;
    case PEER_WAIT_LINE:
        return is_crowded(server) ? SERVER_CROWDED_MS : settings->line_ms;
    case PEER_WAIT_READER:
        return settings->reader_ms;
    default:
        return INT64_MAX;
    }
}

static int64_t due_ms(const struct seat *seat) {
    if (peer_is_over(seat->peer))
        return 0;
    const int64_t patience = patience_ms(seat->server, peer_waits(seat->peer));
    return patience == INT64_MAX ? INT64_MAX : seat->moved_ms + patience;
}

static void on_timer(uv_timer_t *timer) {
    struct server *server = timer->data;
    const int64_t now = clock_monotonic_ms();
    server->rings_ms = INT64_MAX;
    for (struct seat *seat = server->seats, *next; seat; seat = next) {
        next = seat->next;
        if (due_ms(seat) <= now)
            leave_seat(seat);
    }
    update_server(server);
}

static void ring_at(struct server *server, int64_t due) {
    const int64_t now = clock_monotonic_ms();
    if (due == INT64_MAX)
        (void)uv_timer_stop(&server->timer); /* cannot fail */
    else                                     /* one that rings early only looks again */
        (void)uv_timer_start(&server->timer, on_timer, due > now ? (uint64_t)(due - now) : 0, 0);
    server->rings_ms = due;
}

static void set_timer(struct server *server) {
    int64_t due = server->accept_again_ms > 0 ? server->accept_again_ms : INT64_MAX;
    for (const struct seat *seat = server->seats; seat; seat = seat->next)
        due = due_ms(seat) < due ? due_ms(seat) : due;
    ring_at(server, due);
}

/* ---- clients ---- */

static void on_seat(uv_poll_t *poll, int status, int events) {
    struct seat *seat = poll->data;
    if (seat->closing)
        return;
    if (status < 0) { /* the client went away with an answer unread */
        leave_seat(seat);
        return;
    }
    if (events & UV_READABLE)
        peer_readable(seat->peer);
    if (events & UV_WRITABLE)
        peer_writable(seat->peer);
    if (events & UV_DISCONNECT)
        peer_hung_up(seat->peer);
    if (peer_is_over(seat->peer))
        leave_seat(seat);
    else
        update_seat(seat);
}

/* Polls for what the peer wants now. One that is over is ended from the timer, never from here: its
 * own handler may be what called us. */
static void update_seat(struct seat *seat) {
    struct peer *peer = seat->peer;
    if (seat->closing)
        return;
    if (seat->progress != peer_progress(peer)) {
        seat->progress = peer_progress(peer);
        seat->moved_ms = clock_monotonic_ms();
    }
    if (due_ms(seat) < seat->server->rings_ms)
        ring_at(seat->server, due_ms(seat));
    const int events = (peer_wants_read(peer) ? UV_READABLE : 0) |
                       (peer_wants_write(peer) ? UV_WRITABLE : 0) |
                       (peer_has_hung_up(peer) ? 0 : UV_DISCONNECT);
    if (events == seat->events)
        return;
    seat->events = events;
    /* neither fails on a descriptor that epoll has taken before */
    if (events)
        (void)uv_poll_start(&seat->poll, events, on_seat);
    else
        (void)uv_poll_stop(&seat->poll);
}

static void on_wake(void *context, struct peer *peer) {
    struct seat *seat = peer_owner(peer);
    (void)context;
    if (seat)
        update_seat(seat);
}

static size_t count_of_user(const struct server *server, uid_t uid) {
    size_t n = 0;
    for (const struct seat *seat = server->seats; seat; seat = seat->next)
        n += peer_caller(seat->peer)->uid == uid;
    return n;
}

/* Why this caller gets no place; NULL: he does. */
static const char *refusal_of(const struct server *server, const struct caller *caller) {
    const struct server_settings *settings = &server->settings;
    if (settings->is_privileged && settings->is_privileged(settings->context, caller))
        return NULL;
    if (caller->uid != 0 && count_of_user(server, caller->uid) >= settings->max_clients_of_user)
        return "you have as many connections open as one user may; close some of them";
    if (is_crowded(server))
        return "the service has as many clients as it takes; try again in a minute";
    return NULL;
}

static void sit_down(struct server *server, struct seat *seat) {
    seat->server = server;
    seat->poll.data = seat;
    seat->moved_ms = clock_monotonic_ms();
    seat->next = server->seats;
    seat->slot = &server->seats;
    if (seat->next)
        seat->next->slot = &seat->next;
    server->seats = seat;
    server->count++;
    server->n_handles++;
    peer_set_owner(seat->peer, seat);
}

static void close_peer(struct peer **peer) { peer_close(*peer); }

/* Takes fd. Whom we cannot name, or have no memory for, is hung up on. */
static void seat_client(struct server *server, int fd) {
    CLEANUP_CLOSE int owned = fd;
    CLEANUP(caller_free) struct caller caller = {0};
    CLEANUP(close_peer) struct peer *peer = NULL;
    CLEANUP_FREE struct seat *seat = calloc(1, sizeof(*seat));
    struct failure failure;
    if (!seat || caller_read(fd, &server->names, &caller, &failure) < 0)
        return;
    const char *refusal = refusal_of(server, &caller);
    if (peer_open(fd, &caller, &server->pool, &peer, &failure) < 0)
        return;
    (void)STEAL_FD(owned);
    if (uv_poll_init(server->poll.loop, &seat->poll, fd) < 0)
        return;
    struct seat *taken = STEAL_PTR(seat);
    taken->peer = STEAL_PTR(peer);
    sit_down(server, taken);
    if (refusal)
        peer_dismiss(taken->peer, EXIT_INTERNAL, refusal);
    update_seat(taken);
}

static void on_listening(uv_poll_t *poll, int status, int events) {
    struct server *server = poll->data;
    (void)status, (void)events; /* accept says what there is */
    for (int i = 0; i < ACCEPTS_A_TURN && !is_full(server); i++) {
        const int fd =
            accept4(server->settings.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            seat_client(server, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            server->accept_again_ms = clock_monotonic_ms() + NO_DESCRIPTOR_MS;
        if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    update_server(server);
}

/* Listens while there are places, and wakes up for whoever is waited for. */
static void update_server(struct server *server) {
    if (server->closing)
        return;
    if (server->accept_again_ms > 0 && server->accept_again_ms <= clock_monotonic_ms())
        server->accept_again_ms = 0;
    const bool accepts = !server->stopped && !is_full(server) && server->accept_again_ms == 0;
    if (accepts != server->is_accepting) {
        server->is_accepting = accepts;
        const int r = accepts ? uv_poll_start(&server->poll, UV_READABLE, on_listening)
                              : uv_poll_stop(&server->poll);
        if (r < 0)
            server->is_accepting = false;
    }
    set_timer(server);
}

/* ---- the whole ---- */

static void fill_settings(struct server *server, const struct server_settings *given) {
    struct server_settings *settings = &server->settings;
    *settings = *given;
    settings->max_clients = given->max_clients ? given->max_clients : SERVER_MAX_CLIENTS;
    settings->max_clients_of_user =
        given->max_clients_of_user ? given->max_clients_of_user : SERVER_MAX_CLIENTS_OF_USER;
    if (!given->is_privileged)
        settings->n_reserved = 0;
    else if (given->n_reserved == 0)
        settings->n_reserved = SERVER_RESERVED;
    settings->idle_ms = given->idle_ms ? given->idle_ms : SERVER_IDLE_MS;
    settings->line_ms = given->line_ms ? given->line_ms : SERVER_LINE_MS;
    settings->reader_ms = given->reader_ms ? given->reader_ms : SERVER_READER_MS;
    server->pool = (struct peer_pool){
        .request = given->request,
        .context = given->context,
        .wake = on_wake,
        .wake_context = server,
    };
}

int server_open(uv_loop_t *loop, const struct server_settings *settings, struct server **ret,
                struct failure *failure) {
    CLEANUP_FREE struct server *server = calloc(1, sizeof(*server));
    if (!server)
        return failure_set(failure, -ENOMEM, "out of memory for the control socket");
    fill_settings(server, settings);
    int r = uv_poll_init(loop, &server->poll, settings->listen_fd);
    if (r < 0)
        return failure_set(failure, r, "the control socket cannot be polled: %s", uv_strerror(r));
    (void)uv_timer_init(loop, &server->timer); /* cannot fail */
    server->poll.data = server->timer.data = server;
    server->n_handles = 2;
    server->rings_ms = INT64_MAX;
    update_server(server);
    *ret = STEAL_PTR(server);
    return 0;
}

void server_stop(struct server *server) {
    server->stopped = true;
    update_server(server);
}

void server_close(struct server *server) {
    if (!server || server->closing)
        return;
    server->closing = true;
    while (server->seats)
        leave_seat(server->seats);
    uv_close((uv_handle_t *)&server->poll, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->timer, on_server_handle_closed);
}
