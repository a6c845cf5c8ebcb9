/* The fence that a worker puts around itself once it knows its task, before it opens an image.
 *
 * An image from anywhere goes through decoders that others wrote. Should one of them be taken over,
 * it can read this task's images, write this task's folder (and the one that variants of its pair
 * share), and nothing else: no other file, no network, no other process or program. What this
 * kernel lacks is told in the log and left out.
 */
#ifndef WORKER_SANDBOX_SANDBOX_H
#define WORKER_SANDBOX_SANDBOX_H

#include "worker/sandbox/landlock.h"

#include <stdbool.h>

/* From here on, and for every thread that is started from now: Landlock, the filter of system
 * calls, no new privileges, no core file. The folders to write in are made if they are missing;
 * that this fails is the only failure, and negative. Blocked calls are told on report_fd. With a
 * shared folder 1 is returned where linkat(2) is left to it, between its two folders: Landlock must
 * know of links for that. */
MUST_USE int sandbox_enter(const struct landlock_paths *paths, int report_fd,
                           struct failure *failure);

/* Of a file that could not be opened for reading (-EACCES): it was not for want of the user's
 * rights, so the fence is in the way. */
bool sandbox_refuses(const char *path);

#endif
