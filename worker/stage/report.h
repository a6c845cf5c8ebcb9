/* The JSON lines that a worker reports (common/protocol.h). Safe from several threads. */
#ifndef WORKER_STAGE_REPORT_H
#define WORKER_STAGE_REPORT_H

#include "common/failure.h"

struct report;

/* Reports to PROTOCOL_REPORT_FD, or to stdout when that descriptor is not open. Must be called
 * before anything else opens a file. NULL: out of memory. */
struct report *report_open(void);
void report_close(struct report *report); /* NULL is fine */

/* Where the lines go. */
int report_descriptor(const struct report *report);

/* Takes line and sends it. -EPIPE and the like when nobody reads any more; a line too long for the
 * protocol is refused with -EMSGSIZE; a NULL line means out of memory: -ENOMEM. */
int report_send(struct report *report, json_t *line);

/* One sentence to the log and to the supervisor; cause: "input" or "environment". */
void report_error(struct report *report, const char *cause, const struct failure *failure);

#endif
