/* What the service manager is told (sd_notify(3)): that we are ready, in a sentence what goes on,
 * and that we live. Without a service manager all of it does nothing.
 *
 * WATCHDOG=1 is sent from the loop at half of the interval that was asked for, and only while work
 * gets done: a loop that turns around a ledger which no longer reaches the disk is as dead as one
 * that hangs.
 */
#ifndef SUPERVISOR_SERVICE_NOTIFY_H
#define SUPERVISOR_SERVICE_NOTIFY_H

#include "common/failure.h"

#include <stdbool.h>
#include <uv.h>

struct notify;

/* Whether anything that was waiting got done since the last call, or nothing waits. */
typedef bool (*notify_progress_cb)(void *context);

/* Borrows loop and context. progress NULL: the loop alone counts. */
MUST_USE int notify_open(uv_loop_t *loop, notify_progress_cb progress, void *context,
                         struct notify **ret, struct failure *failure);
/* Frees itself once libuv lets go. NULL is fine. */
void notify_close(struct notify *notify);

/* READY=1, and the watchdog begins: after replay, when clients are heard. After notify_reloading
 * it ends that. */
void notify_ready(struct notify *notify);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify);
/* STATUS=, at most one a second; the last one always arrives. */
__attribute__((format(printf, 2, 3))) void notify_status(struct notify *notify, const char *format,
                                                         ...);
/* While starting (replay) or stopping (workers end): we need at least so long from now. */
void notify_extend(struct notify *notify, int64_t ms);

#endif
