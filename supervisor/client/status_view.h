/* What status shows: a table of batches, a batch with its tasks, or summary.json with what waits
 * and runs. Fed with the lines of the service's answer, one after the other. */
#ifndef SUPERVISOR_CLIENT_STATUS_VIEW_H
#define SUPERVISOR_CLIENT_STATUS_VIEW_H

#include "supervisor/client/connection.h"

#include <stdio.h>

struct status_view {
    /* the caller's */
    FILE *stream;
    size_t width;
    bool colour;
    bool as_json;
    const char *batch; /* the one that was asked for; NULL: all. Borrowed */
    /* the view's own */
    json_t *batches; /* owned */
    json_t *service; /* owned */
    struct table *table;
    size_t n_tasks;
};

/* Asks and shows. all: what ended long ago, and every task, too. */
MUST_USE int status_view_show(struct status_view *view, struct connection *connection, bool all,
                              struct failure *failure);
void status_view_free(struct status_view *view);

/* "12 of 40 tasks done, 2 failed, 1 cancelled" of a batch. Returns text. */
enum { STATUS_VIEW_BYTES = 160 };
const char *status_view_sum(const json_t *batch, char text[STATUS_VIEW_BYTES]);
/* How many of it ended other than ok. */
long long status_view_problems(const json_t *batch);

#endif
