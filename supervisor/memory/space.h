/* How much can be written into a folder that may not exist yet. */
#ifndef SUPERVISOR_MEMORY_SPACE_H
#define SUPERVISOR_MEMORY_SPACE_H

#include "common/failure.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct space {
    uint64_t free_bytes;     /* for an ordinary user; quotas are not known */
    bool is_ram;             /* tmpfs or ramfs: what is written there takes memory */
    char existing[PATH_MAX]; /* the nearest folder that exists, which was asked */
};

/* folder is absolute. */
MUST_USE int space_read(const char *folder, struct space *ret, struct failure *failure);

#endif
