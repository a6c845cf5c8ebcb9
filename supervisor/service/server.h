/* The control socket: takes clients in, hears them in turn, and lets none disturb the others.
 *
 * One uv_poll for the listening socket and one per client; a timer only while somebody is waited
 * for, so that an idle service uses no CPU. Places are bounded, of one user too (the last ones stay
 * free for others), and some are kept for administrators. While all are taken, new clients wait in
 * the kernel's queue, and those that have not said what they want are given a second instead of a
 * minute.
 */
#ifndef SUPERVISOR_SERVICE_SERVER_H
#define SUPERVISOR_SERVICE_SERVER_H

#include "supervisor/service/peer.h"

#include <uv.h>

enum {
    SERVER_MAX_CLIENTS = 256,
    SERVER_MAX_CLIENTS_OF_USER = 208,
    SERVER_RESERVED = 16,     /* of all places, for administrators */
    SERVER_IDLE_MS = 60000,   /* without a request */
    SERVER_LINE_MS = 20000,   /* for the rest of a line, or the next line of a request */
    SERVER_READER_MS = 60000, /* without reading what is sent */
    SERVER_CROWDED_MS = 1000, /* in place of the first two while no place is free */
};

struct server;

struct server_settings {
    int listen_fd; /* listening, non-blocking (listen_socket.h); borrowed until it is freed */
    /* One request: a line without its newline. See peer.h for how to answer. */
    void (*request)(void *context, struct peer *peer, const char *bytes, size_t length);
    /* Whether he may have a reserved place; NULL: there are none. */
    bool (*is_privileged)(void *context, const struct caller *caller);
    void *context;
    size_t max_clients, max_clients_of_user, n_reserved; /* 0: as above */
    int idle_ms, line_ms, reader_ms;                     /* 0: as above */
};

MUST_USE int server_open(uv_loop_t *loop, const struct server_settings *settings,
                         struct server **ret, struct failure *failure);
size_t server_count(const struct server *server); /* clients */
/* Takes no new clients; those that are there are heard on. */
void server_stop(struct server *server);
/* Ends every connection. It is freed as the loop runs on. NULL is fine. */
void server_close(struct server *server);

#endif
