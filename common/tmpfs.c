/* See tmpfs.h. */
#include "common/tmpfs.h"

#include <linux/magic.h>

bool tmpfs_is(const struct statfs *status) {
    return status->f_type == TMPFS_MAGIC || status->f_type == RAMFS_MAGIC;
}

bool tmpfs_holds(const char *folder) {
    struct statfs status;
    return statfs(folder, &status) == 0 && tmpfs_is(&status);
}

bool tmpfs_is_unlimited(const struct statfs *status) {
    return tmpfs_is(status) && status->f_blocks == 0;
}
