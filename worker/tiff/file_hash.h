/* XXH3-128 of a whole file, taken in steps beside other reading of the same file: each step brings
 * into the page cache what is decoded next, so the disk is read once.
 */
#ifndef WORKER_TIFF_FILE_HASH_H
#define WORKER_TIFF_FILE_HASH_H

#include "worker/tiff/tiff_file.h"

enum { FILE_HASH_HEX_BYTES = 33 };

struct file_hash;

MUST_USE int file_hash_open(const struct tiff_file *file, struct file_hash **ret,
                            struct failure *failure); /* borrows file */
void file_hash_close(struct file_hash *hash);         /* NULL is fine */
/* Takes in the bytes up to `until` (or the file's end) that were not yet. */
MUST_USE int file_hash_advance(struct file_hash *hash, uint64_t until, struct failure *failure);
/* Takes in the rest. */
MUST_USE int file_hash_finish(struct file_hash *hash, char hex[FILE_HASH_HEX_BYTES],
                              struct failure *failure);

#endif
