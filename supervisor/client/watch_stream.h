/* What happens in the service, as it happens: a line per event, for people or as JSON. */
#ifndef SUPERVISOR_CLIENT_WATCH_STREAM_H
#define SUPERVISOR_CLIENT_WATCH_STREAM_H

#include "supervisor/client/connection.h"

#include <stdio.h>

struct watch_stream {
    FILE *stream;      /* NULL: nothing is printed */
    const char *batch; /* until its end; NULL: everything, for ever. Borrowed */
    bool as_json;
    json_t *last; /* the batch as it was when it ended; NULL: not told. Owned */
};

/* 0: the batch has ended. -ENODATA: the service has hung up. */
MUST_USE int watch_stream_follow(struct watch_stream *watch, struct connection *connection,
                                 struct failure *failure);
/* The same over restarts of the service, for as long as the machine takes to come up again. given:
 * --socket or NULL. *ret_status is the exit status that goes with a failure. */
MUST_USE int watch_stream_follow_on(struct watch_stream *watch, const char *given, int *ret_status,
                                    struct failure *failure);

#endif
