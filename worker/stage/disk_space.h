/* What to tell when a disk is full: which file system it is, and how much is missing. */
#ifndef WORKER_STAGE_DISK_SPACE_H
#define WORKER_STAGE_DISK_SPACE_H

#include "common/failure.h"

#include <stdint.h>

/* Rewrites a failure of code -ENOSPC or -EDQUOT into a sentence that names the file system of
 * folder, what is free there and what of needed_bytes is missing; leaves every other alone. */
void disk_space_explain(const char *folder, uint64_t needed_bytes, struct failure *failure);

#endif
