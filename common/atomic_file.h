/* Files that appear whole or not at all.
 *
 * A file is written under a temporary name beside its final one (O_EXCL), synced, closed with a
 * check, renamed, and the folder synced (architecture: durability). Losing power at any instant
 * leaves the old file or the new one.
 */
#ifndef COMMON_ATOMIC_FILE_H
#define COMMON_ATOMIC_FILE_H

#include "common/failure.h"

#include <stddef.h>

/* The temporary name of path: "<path>.tmp". One writer per path is assumed, so a leftover is stale
 * and is removed by whoever begins anew. Owned by the caller; NULL when out of memory. */
char *atomic_file_temporary_name(const char *path);

/* Writes the bytes as path, whole or not at all. -ENOSPC and friends are passed on. */
MUST_USE int atomic_file_write(const char *path, const void *bytes, size_t length,
                               struct failure *failure);

/* Writes the value as indented JSON with a final newline. Reals have as few digits as read back as
 * the same number. Borrows value. */
MUST_USE int atomic_file_write_json(const char *path, const json_t *value, struct failure *failure);

/* Gives a finished, closed temporary file its final name: fsync of the file, rename, fsync of the
 * folder. For writers (libtiff) that need the path rather than the bytes. */
MUST_USE int atomic_file_publish(const char *temporary, const char *path, struct failure *failure);

/* fsync of the folder that holds path. */
MUST_USE int atomic_file_sync_folder(const char *path, struct failure *failure);

/* Creates path and its missing parents (mode 0777 less umask). An existing folder is fine. */
MUST_USE int atomic_file_make_folders(const char *path, struct failure *failure);

#endif
