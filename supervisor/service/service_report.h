/* A batch's report.html, written beside the loop with its user's rights (supervisor/page). */
#ifndef SUPERVISOR_SERVICE_SERVICE_REPORT_H
#define SUPERVISOR_SERVICE_SERVICE_REPORT_H

#include "common/failure.h"
#include "supervisor/service/credentials.h"
#include "supervisor/service/queue.h"

#include <uv.h>

/* A larger batch gets its page only when somebody asks for it (registrar report): it takes memory
 * for each task, and time. */
enum { SERVICE_REPORT_MOST_TASKS = 20000 };

struct service_report;

/* failure->code 0: it is there. */
typedef void (*service_report_done_cb)(void *context, const struct failure *failure);

/* Copies what it needs; the ledger is opened at once. done is called by the loop, later. NULL: it
 * could not be begun, and the failure says why. */
struct service_report *service_report_begin(uv_loop_t *loop, const struct queue_batch *batch,
                                            const char *ledger,
                                            const struct credentials *credentials,
                                            service_report_done_cb done, void *context,
                                            struct failure *failure);
/* Nobody waits for it any more: done is not called. It frees itself at its end. NULL is fine. */
void service_report_drop(struct service_report *report);

#endif
