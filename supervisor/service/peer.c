/* See peer.h. Nothing is sent from within a handler's call: lines gather, the server is woken, and
 * the socket takes them when it is ready; so a handler can never be called from itself. */
#include "supervisor/service/peer.h"

#include "common/names.h"
#include "supervisor/cli/commands.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FIRST_BYTES = 4096,
    READ_BYTES = 64 << 10,    /* at least so much room for one read */
    MODEST_BYTES = 128 << 10, /* a buffer that every peer may have */
    REQUESTS_A_TURN = 16,     /* of one peer, before others have theirs */
};

/* Unread bytes stand in bytes[start, end). */
struct buffer {
    char *bytes;
    size_t start, end, capacity;
};

struct peer {
    int fd; /* owned */
    struct caller caller;
    struct peer_pool *pool;
    void *owner;
    struct buffer in, out;
    size_t scanned; /* of in: no newline before it */
    const struct peer_activity *activity;
    void *activity_context;
    uint64_t progress;
    bool has_more; /* lines that wait for our next turn */
    bool hung_up;  /* the client sends nothing any more, but what is not read yet */
    bool at_end;   /* all of it was read */
    bool closing;  /* after what is pending */
    bool gone;
};

static size_t filled(const struct buffer *buffer) { return buffer->end - buffer->start; }

/* Room for `extra` bytes behind the end. */
static bool make_room(struct buffer *buffer, size_t extra) {
    if (buffer->start > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, filled(buffer));
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    if (buffer->capacity - buffer->end >= extra)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_BYTES;
    while (capacity - buffer->end < extra)
        capacity *= 2;
    char *bytes = realloc(buffer->bytes, capacity);
    if (!bytes)
        return false;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

static void clear(struct buffer *buffer) {
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

int peer_open(int fd, struct caller *caller, struct peer_pool *pool, struct peer **ret,
              struct failure *failure) {
    struct peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        return failure_set(failure, -ENOMEM, "out of memory for another client");
    peer->fd = fd;
    peer->caller = *caller;
    peer->pool = pool;
    *caller = (struct caller){0};
    *ret = peer;
    return 0;
}

void peer_close(struct peer *peer) {
    if (!peer)
        return;
    peer_finish(peer);
    peer->pool->bytes -= peer->in.capacity;
    clear(&peer->in);
    clear(&peer->out);
    caller_free(&peer->caller);
    (void)close(peer->fd);
    free(peer);
}

/* ---- answering ---- */

const struct caller *peer_caller(const struct peer *peer) { return &peer->caller; }
size_t peer_pending(const struct peer *peer) { return filled(&peer->out); }
void peer_set_owner(struct peer *peer, void *owner) { peer->owner = owner; }
void *peer_owner(const struct peer *peer) { return peer->owner; }
int peer_fd(const struct peer *peer) { return peer->fd; }

static void wake(struct peer *peer) { peer->pool->wake(peer->pool->wake_context, peer); }

void peer_send_bytes(struct peer *peer, const char *bytes, size_t length) {
    if (peer->gone || peer->closing)
        return;
    /* an answer that began small may end large; a reader that let one pile up gets no second */
    if (filled(&peer->out) >= PEER_PENDING_BYTES || !make_room(&peer->out, length)) {
        peer->gone = true;
    } else {
        memcpy(peer->out.bytes + peer->out.end, bytes, length);
        peer->out.end += length;
    }
    wake(peer);
}

void peer_send(struct peer *peer, json_t *line) {
    CLEANUP_JSON json_t *owned = line;
    CLEANUP_FREE char *text =
        owned ? json_dumps(owned, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12))
              : NULL;
    if (!text) {
        peer->gone = true;
        wake(peer);
        return;
    }
    const size_t length = strlen(text);
    text[length] = '\n'; /* in place of the terminator */
    peer_send_bytes(peer, text, length + 1);
}

void peer_refuse(struct peer *peer, int status, const char *sentence) {
    CLEANUP_FREE char *clean = names_is_clean(sentence) ? strdup(sentence) : names_escape(sentence);
    peer_send(peer, json_pack("{s:b, s:i, s:s}", "ok", 0, "exit", status, "sentence",
                              clean ? clean : "out of memory"));
}

void peer_dismiss(struct peer *peer, int status, const char *sentence) {
    peer_refuse(peer, status, sentence);
    peer->closing = true;
}

void peer_begin(struct peer *peer, const struct peer_activity *activity, void *context) {
    peer_finish(peer);
    peer->activity = activity;
    peer->activity_context = context;
    peer->progress++;
    wake(peer);
}

void peer_go_on(struct peer *peer, const struct peer_activity *activity) {
    peer->activity = activity;
    peer->progress++;
    wake(peer);
}

void peer_finish(struct peer *peer) {
    const struct peer_activity *activity = peer->activity;
    if (!activity)
        return;
    peer->activity = NULL;
    peer->progress++;
    activity->end(STEAL_PTR(peer->activity_context));
    wake(peer);
}

/* ---- lines ---- */

static bool is_listening(const struct peer *peer) {
    return !peer->gone && !peer->closing && (!peer->activity || peer->activity->line) &&
           filled(&peer->out) < PEER_LOW_BYTES;
}

static void hand_over(struct peer *peer, const char *bytes, size_t length) {
    peer->progress++;
    if (peer->activity)
        peer->activity->line(peer->activity_context, peer, bytes, length);
    else if (length > 0) /* an empty line asks for nothing */
        peer->pool->request(peer->pool->context, peer, bytes, length);
}

static void refuse_length(struct peer *peer) {
    char sentence[160];
    (void)snprintf(sentence, sizeof(sentence),
                   "a line of the request has more than %d bytes, which is the most that the "
                   "service reads",
                   PEER_LINE_BYTES);
    peer_dismiss(peer, EXIT_USAGE, sentence);
}

/* Hands over the whole lines that stand there, as far as it is the client's turn. */
static void take_lines(struct peer *peer) {
    struct buffer *in = &peer->in;
    int n_requests = 0;
    peer->has_more = false;
    while (filled(in) > 0 && is_listening(peer)) {
        const size_t from = in->start + peer->scanned;
        const char *newline = memchr(in->bytes + from, '\n', in->end - from);
        if (!newline) {
            peer->scanned = filled(in);
            break;
        }
        n_requests += !peer->activity;
        if (n_requests > REQUESTS_A_TURN) {
            peer->has_more = true;
            return;
        }
        const char *line = in->bytes + in->start;
        const size_t length = (size_t)(newline - line);
        in->start += length + 1;
        peer->scanned = 0;
        if (length >= PEER_LINE_BYTES) {
            refuse_length(peer);
            return;
        }
        hand_over(peer, line, length);
    }
    peer->has_more = filled(in) > peer->scanned && !peer->gone && !peer->closing;
}

/* Room for one read, within the bounds; else the client is told and dismissed. */
static bool make_read_room(struct peer *peer) {
    const size_t before = peer->in.capacity;
    if (filled(&peer->in) >= PEER_LINE_BYTES) {
        refuse_length(peer);
        return false;
    }
    if (peer->pool->bytes > PEER_POOL_BYTES && filled(&peer->in) > MODEST_BYTES / 2) {
        peer_dismiss(peer, EXIT_INTERNAL,
                     "too many clients send long lines at once; try again in a minute");
        return false;
    }
    const size_t least = filled(&peer->in) == 0 && before == 0 ? FIRST_BYTES : READ_BYTES;
    if (!make_room(&peer->in, least))
        peer->gone = true;
    peer->pool->bytes += peer->in.capacity - before;
    return !peer->gone;
}

/* A long line's room is not kept for the next, short one. */
static void give_back_room(struct peer *peer) {
    if (filled(&peer->in) > 0 || peer->in.capacity <= MODEST_BYTES)
        return;
    peer->pool->bytes -= peer->in.capacity;
    clear(&peer->in);
    peer->scanned = 0;
}

void peer_hung_up(struct peer *peer) {
    peer->hung_up = true;
    if (peer->activity && peer->activity->is_watch)
        peer->gone = true;
}

bool peer_has_hung_up(const struct peer *peer) { return peer->hung_up; }

void peer_readable(struct peer *peer) {
    if (!peer_wants_read(peer) || !make_read_room(peer))
        return;
    struct buffer *in = &peer->in;
    const ssize_t n = recv(peer->fd, in->bytes + in->end, in->capacity - in->end, MSG_DONTWAIT);
    if (n > 0) {
        in->end += (size_t)n;
        take_lines(peer);
        give_back_room(peer);
    } else if (n == 0) {
        peer->at_end = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        peer->gone = true;
    }
}

void peer_writable(struct peer *peer) {
    struct buffer *out = &peer->out;
    while (filled(out) > 0 && !peer->gone) {
        const ssize_t n =
            send(peer->fd, out->bytes + out->start, filled(out), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            peer->gone = true;
            break;
        }
        out->start += (size_t)n;
        peer->progress++;
    }
    if (filled(out) == 0)
        clear(out);
    if (peer->activity && peer->activity->produce && !peer->gone && filled(out) < PEER_LOW_BYTES)
        peer->activity->produce(peer->activity_context, peer);
    if (peer->has_more)
        take_lines(peer);
}

bool peer_wants_read(const struct peer *peer) {
    return is_listening(peer) && !peer->has_more && !peer->at_end;
}

bool peer_wants_write(const struct peer *peer) {
    const bool produces = peer->activity && peer->activity->produce;
    return filled(&peer->out) > 0 || produces || (peer->has_more && is_listening(peer));
}

bool peer_is_over(const struct peer *peer) {
    if (peer->gone)
        return true;
    const bool is_silent = filled(&peer->out) == 0;
    if (peer->closing)
        return is_silent;
    /* a client that sends no more may still read the rest of its answer */
    const bool is_fed = peer->activity && !peer->activity->line;
    return peer->at_end && is_silent && !peer->has_more && !is_fed;
}

enum peer_wait peer_waits(const struct peer *peer) {
    if (filled(&peer->out) > 0)
        return PEER_WAIT_READER;
    if (peer->has_more)
        return PEER_WAIT_NOTHING;
    if (peer->activity)
        return peer->activity->line ? PEER_WAIT_LINE : PEER_WAIT_NOTHING;
    return filled(&peer->in) > 0 ? PEER_WAIT_LINE : PEER_WAIT_REQUEST;
}

uint64_t peer_progress(const struct peer *peer) {
    return peer->progress * PEER_WAIT_COUNT + (uint64_t)peer_waits(peer);
}
