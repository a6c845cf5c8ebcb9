/* The ledger of the service, record by record, as far as the user may see it; for those who would
 * else read a ledger's file. */
#ifndef SUPERVISOR_CLIENT_LEDGER_FEED_H
#define SUPERVISOR_CLIENT_LEDGER_FEED_H

#include "supervisor/client/connection.h"
#include "supervisor/ledger/ledger_store.h"

/* Of that batch and task (NULL: of all). *ret_answer (may be NULL) is the first line of the answer,
 * owned by the caller. */
MUST_USE int ledger_feed_read(struct connection *connection, const char *batch, const char *task,
                              ledger_store_replay_cb replay, void *context, json_t **ret_answer,
                              struct failure *failure);

#endif
