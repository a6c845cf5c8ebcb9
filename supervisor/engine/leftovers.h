/* What a killed supervisor left behind: attempts without an end in the ledger, processes without a
 * parent on the machine, control groups without a supervisor. Before anything starts, the first get
 * their verdict (lost), the second their SIGKILL, the third are removed. */
#ifndef SUPERVISOR_ENGINE_LEFTOVERS_H
#define SUPERVISOR_ENGINE_LEFTOVERS_H

#include "supervisor/ledger/ledger_store.h"

/* open: attempt_start records without an end. group: of a run that did not come to its end, NULL:
 * there is none. last_record_ms: wall clock of the ledger's last record: until then the supervisor
 * surely lived. Appends to the ledger; the next sync makes it durable. ret_ended: processes that
 * were killed. */
MUST_USE int leftovers_settle(struct ledger_store *store, const json_t *open, const char *group,
                              int64_t last_record_ms, int *ret_ended, struct failure *failure);

/* A record's "time" in ms since 1970; 0 when it cannot be read. */
int64_t leftovers_record_ms(const json_t *record);

#endif
