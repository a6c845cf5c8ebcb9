/* registrar-worker apply: another image, or points, through a map that was found before. */
#ifndef WORKER_APPLY_APPLY_H
#define WORKER_APPLY_APPLY_H

#include "common/failure.h"

struct report;

/* Reads its task from stdin and reports its result. Returns the exit status; see common/protocol.h.
 */
int apply_main(struct report *report);

#endif
