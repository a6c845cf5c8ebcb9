/* A task's log on stdout, read with the user's own rights; and what is added to it, until the task
 * has ended. */
#ifndef SUPERVISOR_CLIENT_LOG_FOLLOW_H
#define SUPERVISOR_CLIENT_LOG_FOLLOW_H

#include "supervisor/client/connection.h"

struct log_follow {
    const char *path, *batch, *task; /* borrowed */
    int out;                         /* the descriptor it goes to */
};

/* What is there now. -ENOENT: there is no log. */
MUST_USE int log_follow_print(const struct log_follow *log, struct failure *failure);
/* The same, and what comes, until the task has ended; connection: a fresh one, for the watch. */
MUST_USE int log_follow_on(const struct log_follow *log, struct connection *connection,
                           struct failure *failure);

#endif
