/* One client's connection: lines in, lines out, and a bound on everything.
 *
 * A peer is in turn: it reads a line, hands it over as a request, and reads the next one when the
 * answer is on its way. A request that takes longer than one call (tasks that follow, a long
 * answer, a watch) becomes the peer's activity; until peer_finish no other request of that peer is
 * heard. The peer knows no loop: the server (server.h) tells it when its socket can be read or
 * written, so that tests can drive it with a socketpair.
 *
 * Rude clients: a line above PEER_LINE_BYTES is answered with a refusal and ends the connection; so
 * is a line while the pool of all peers' buffers is used up; a reader that lets PEER_PENDING_BYTES
 * gather is dropped without a word. Who takes too long is the server's to see (peer_waits).
 */
#ifndef SUPERVISOR_SERVICE_PEER_H
#define SUPERVISOR_SERVICE_PEER_H

#include "common/failure.h"
#include "supervisor/service/caller.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PEER_LINE_BYTES = 1 << 20,    /* the longest line, with its newline */
    PEER_PENDING_BYTES = 1 << 20, /* of answers that the client does not read */
    PEER_LOW_BYTES = 64 << 10,    /* below it a long answer is continued */
    PEER_POOL_BYTES = 64 << 20,   /* of lines not yet complete, of all peers together */
};

struct peer;

/* What goes on between a request and its last answer. Every member but end may be NULL. */
struct peer_activity {
    /* A further line of the client; NULL: the client is not read meanwhile. */
    void (*line)(void *context, struct peer *peer, const char *bytes, size_t length);
    /* There is room for more of the answer: send some and return. */
    void (*produce)(void *context, struct peer *peer);
    /* The activity is over, or the client has gone: frees the context. */
    void (*end)(void *context);
    bool is_watch; /* it goes on until the client hangs up */
};

/* Shared by all peers of a server. */
struct peer_pool {
    void (*request)(void *context, struct peer *peer, const char *bytes, size_t length);
    /* The peer has something to send, or wants to be read again. */
    void (*wake)(void *context, struct peer *peer);
    void *context, *wake_context;
    size_t bytes; /* of lines not yet complete */
};

/* Takes fd (non-blocking) and the caller's contents, on success. Borrows pool. */
MUST_USE int peer_open(int fd, struct caller *caller, struct peer_pool *pool, struct peer **ret,
                       struct failure *failure);
void peer_close(struct peer *peer); /* NULL is fine */

/* ---- for those who answer ---- */

const struct caller *peer_caller(const struct peer *peer);
/* One line. What cannot be sent ends the connection: there is nobody to tell. Takes line; NULL
 * (out of memory) ends the connection too. */
void peer_send(struct peer *peer, json_t *line);
/* Bytes that hold whole lines, newlines included. */
void peer_send_bytes(struct peer *peer, const char *bytes, size_t length);
/* {"ok":false,"exit":status,"sentence":"..."}: what the client prints, and its exit status. */
void peer_refuse(struct peer *peer, int status, const char *sentence);
/* The same, and the connection ends when the client has read it. */
void peer_dismiss(struct peer *peer, int status, const char *sentence);
/* borrows activity; takes context: activity->end gets it, sooner or later. */
void peer_begin(struct peer *peer, const struct peer_activity *activity, void *context);
/* Another activity takes over, with the same context. */
void peer_go_on(struct peer *peer, const struct peer_activity *activity);
void peer_finish(struct peer *peer); /* ends the activity; the next line is a request */
size_t peer_pending(const struct peer *peer);
/* For whoever owns the peer; NULL until set. */
void peer_set_owner(struct peer *peer, void *owner);
void *peer_owner(const struct peer *peer);

/* ---- for the server ---- */

int peer_fd(const struct peer *peer);
/* The client has closed its side, or the whole connection. */
void peer_hung_up(struct peer *peer);
bool peer_has_hung_up(const struct peer *peer);
/* Reads once, and hands over what lines there are. */
void peer_readable(struct peer *peer);
/* Sends what goes out now; continues a long answer and lines that were read already. */
void peer_writable(struct peer *peer);
bool peer_wants_read(const struct peer *peer);
bool peer_wants_write(const struct peer *peer);
bool peer_is_over(const struct peer *peer); /* to be closed now */

/* What the server waits for, and so how long it will. */
enum peer_wait {
    PEER_WAIT_REQUEST, /* nothing begun */
    PEER_WAIT_LINE,    /* half a line, or further lines of an activity */
    PEER_WAIT_READER,  /* the client reads what is sent */
    PEER_WAIT_NOTHING, /* it is our turn, or a watch */
    PEER_WAIT_COUNT
};
enum peer_wait peer_waits(const struct peer *peer);
/* Grows with each byte sent, each whole line read, and each change of what is waited for: when it
 * stands still, nothing moves. */
uint64_t peer_progress(const struct peer *peer);

#endif
