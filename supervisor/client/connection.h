/* A client's connection to the service: blocking, one line at a time (registrar-protocol(5)).
 *
 * No call waits for ever: a service that says nothing for CONNECTION_PATIENCE_S is told of. Errors
 * are sentences for the user; connection_status tells the exit status that goes with the last one.
 */
#ifndef SUPERVISOR_CLIENT_CONNECTION_H
#define SUPERVISOR_CLIENT_CONNECTION_H

#include "common/failure.h"

#include <stdbool.h>

enum {
    CONNECTION_PROTOCOL_VERSION = 1, /* "v" of every request */
    CONNECTION_PATIENCE_S = 60,
};

struct connection;

/* given: --socket, or NULL (address.h says what else counts). */
MUST_USE int connection_open(const char *given, struct connection **ret, struct failure *failure);
void connection_close(struct connection *connection); /* NULL is fine */

/* One line, which waits in a buffer until connection_ask or _receive; a full one is sent. Takes
 * line; NULL: out of memory. */
MUST_USE int connection_send(struct connection *connection, json_t *line, struct failure *failure);
/* The next line of the answer. -ENODATA: the service has hung up; -EREMOTEIO: it refuses, and the
 * sentence is its own. Caller owns *ret. */
MUST_USE int connection_receive(struct connection *connection, json_t **ret,
                                struct failure *failure);
/* Both. request gets "v" and "do" in front. Takes request (an object; NULL: out of memory). */
MUST_USE int connection_ask(struct connection *connection, const char *what, json_t *request,
                            json_t **ret, struct failure *failure);

/* From now on a silent service is waited for: a watch. */
void connection_be_patient(struct connection *connection);
/* For poll(2); lines may stand in the buffer already: ask connection_has_line first. */
int connection_fd(const struct connection *connection);
bool connection_has_line(const struct connection *connection);
/* The exit status that goes with the failure of the last call. */
int connection_status(const struct connection *connection);

static inline void connection_cleanup(struct connection **slot) { connection_close(*slot); }
#define CLEANUP_CONNECTION CLEANUP(connection_cleanup)

#endif
