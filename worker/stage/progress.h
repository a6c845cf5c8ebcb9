/* How a stage tells where it stands, and how it learns that it should stop.
 *
 * Every loop that can take longer than a second calls progress_set; it is cheap (reports go out at
 * most ten times a second). A return of -ECANCELED means that SIGTERM came: leave what is whole on
 * disk, pass the code up, report nothing. Safe from several threads.
 */
#ifndef WORKER_STAGE_PROGRESS_H
#define WORKER_STAGE_PROGRESS_H

#include "common/failure.h"

/* fraction of the current stage, 0 to 1. NULL progress is allowed (tests): never stops. */
struct progress;
MUST_USE int progress_set(struct progress *progress, double fraction);

#endif
