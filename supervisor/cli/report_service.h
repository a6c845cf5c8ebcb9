/* report, of a batch of the service: its ledger is asked of the service, as far as that shows it.
 */
#ifndef SUPERVISOR_CLI_REPORT_SERVICE_H
#define SUPERVISOR_CLI_REPORT_SERVICE_H

#include "supervisor/client/connection.h"
#include "supervisor/ledger/ledger_store.h"

struct report_service {
    struct connection *connection; /* owned */
    char *batch; /* the newest that the caller may see and that writes to out; owned */
};

/* socket: as given, or NULL. -ENOENT: there is no such batch. */
MUST_USE int report_service_find(const char *socket, const char *out, struct report_service *ret,
                                 struct failure *failure);
/* A page_read_cb; context is the struct report_service. */
int report_service_read(void *context, ledger_store_replay_cb replay, void *replay_context,
                        struct failure *failure);
void report_service_close(struct report_service *service); /* zeroed is fine */

#endif
