/* Whether what is written to a folder takes memory: tmpfs and ramfs have no disk behind them. */
#ifndef COMMON_TMPFS_H
#define COMMON_TMPFS_H

#include <stdbool.h>
#include <sys/vfs.h>

/* What to do about a full one. */
#define TMPFS_REMEDY "remove files there or make it larger (mount -o remount,size=...)"

bool tmpfs_is(const struct statfs *status);
/* False for a folder that cannot be asked. */
bool tmpfs_holds(const char *folder);
/* Mounted without a limit (size=0): memory alone is the limit, although statfs calls it full. */
bool tmpfs_is_unlimited(const struct statfs *status);

#endif
