/* What the variants of a pair make once and use together.
 *
 *   SHARED/<stage>-<16 hex digits of its key>/stage.json    its checkpoint, when it is done
 *                                            /lock          held by whoever makes it
 *                                            /...           the files that belong to it
 *
 * A stage is claimed before it is made: others that need the same one wait until it is there, or
 * until its maker died, as the kernel takes back a dead process's locks. What is done is read
 * without a claim, as stage.json comes last.
 */
#ifndef WORKER_STAGE_SHARED_STAGE_H
#define WORKER_STAGE_SHARED_STAGE_H

#include "common/failure.h"

struct progress;

#define SHARED_STAGE_CHECKPOINT "stage.json"

/* The stage's folder. The caller owns it; NULL: out of memory. */
char *shared_stage_folder(const char *shared, const char *stage, const char *key);

/* Makes the folder, which need not exist, and waits until nobody else has it. -ECANCELED: stopped
 * meanwhile. *ret is a descriptor: closing it ends the claim. */
MUST_USE int shared_stage_claim(const char *folder, struct progress *progress, int *ret,
                                struct failure *failure);

/* As that, but does not wait. -EWOULDBLOCK: somebody has it. */
MUST_USE int shared_stage_try_claim(const char *folder, int *ret, struct failure *failure);

/* A second name for a file, in place of what has that name; both are on the same file system. */
MUST_USE int shared_stage_link(const char *path, const char *second, struct failure *failure);

#endif
