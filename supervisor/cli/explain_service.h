/* explain, asked of the service in place of a ledger's file. */
#ifndef SUPERVISOR_CLI_EXPLAIN_SERVICE_H
#define SUPERVISOR_CLI_EXPLAIN_SERVICE_H

#include "supervisor/client/connection.h"
#include "supervisor/explain/story.h"

struct explain_service {
    struct story story;
    json_t *task;  /* the service's answer: batch, out, path, verdict, reason; owned */
    char *command; /* what would do it again; NULL: nothing. Owned */
};

/* batch NULL: the newest of the caller's that has such a task. id is borrowed. */
MUST_USE int explain_service_read(struct connection *connection, const char *batch, const char *id,
                                  struct explain_service *ret, struct failure *failure);
void explain_service_free(struct explain_service *explain);
/* A member of the answer, or "". Borrowed. */
const char *explain_service_text(const struct explain_service *explain, const char *key);

#endif
