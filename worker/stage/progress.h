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

/* A step of the stage begins, which takes it from fraction `start` to `end`: progress_set speaks of
 * the step from now on. Not while other threads call it. NULL is allowed. */
void progress_span(struct progress *progress, double start, double end);
/* The stage waits for another process that makes the same: told about once a second. Returns as
 * progress_set does. */
MUST_USE int progress_wait(struct progress *progress);

/* For the pipeline, which owns the progress. */
struct report;

/* From here on SIGTERM and SIGINT stay pending in this thread and in those it starts; progress_set
 * finds them there. */
void progress_hold_signals(void);

/* Reports to report (borrowed; NULL: to nobody). NULL: out of memory. */
struct progress *progress_open(struct report *report);
void progress_close(struct progress *progress); /* NULL is fine */

/* The stage (a string literal) that progress_set speaks of from now on; it takes the task from
 * fraction `start` to `end`. What is reported of the task never falls. */
void progress_begin(struct progress *progress, const char *stage, double start, double end);

#endif
