/* Tells the supervisor what stands in memory while it still can be told: whoever is killed for it
 * says nothing any more (common/protocol.h, "memory"). */
#ifndef WORKER_STAGE_MEMORY_REPORT_H
#define WORKER_STAGE_MEMORY_REPORT_H

#include "worker/stage/report.h"

/* Reports from now on whenever the tracked buffers' high-water mark has risen clearly. Borrows
 * report. NULL: no more. */
void memory_report_watch(struct report *report);
/* Reports it as it is now, however little it rose. */
void memory_report_send(struct report *report);

#endif
