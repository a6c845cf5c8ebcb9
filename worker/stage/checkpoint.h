/* A finished stage's result on disk, so that a resumed task does not do it again.
 *
 *   {"version":1, "stage":"search", "key":"32 hex", "object":{...},
 *    "files":[{"name":"checkpoints/pre.levels","size":n,"mtime_ns":n}, ...],
 *    "measured":{"wall_s":s,"peak_bytes":n}, "crc":"8 hex"}
 *
 * key is a hash of all that the result depends on; crc is the CRC-32 of the compact text of the
 * members before it. A checkpoint that is damaged or has another key is as good as none.
 */
#ifndef WORKER_STAGE_CHECKPOINT_H
#define WORKER_STAGE_CHECKPOINT_H

#include "common/failure.h"

#include <stdbool.h>

enum { CHECKPOINT_KEY_BYTES = 33 };

struct checkpoint {
    json_t *object;   /* the stage's result */
    json_t *files;    /* array; what belongs to it on disk */
    json_t *measured; /* object; wall_s, peak_bytes, shared, ... */
};

void checkpoint_clear(struct checkpoint *checkpoint); /* gives its references back; {0} is fine */

/* XXH3-128 of the value's canonical text, as hex. Returns key; "" when out of memory. */
const char *checkpoint_key(const json_t *value, char key[CHECKPOINT_KEY_BYTES]);

/* Borrows everything; the file appears whole or not at all. */
MUST_USE int checkpoint_save(const char *path, const char *stage, const char *key,
                             const struct checkpoint *checkpoint, struct failure *failure);

/* -ENOENT: there is none; -ESTALE: of other inputs, parameters or another version; -EBADMSG:
 * damaged. The caller owns *ret's references. */
MUST_USE int checkpoint_load(const char *path, const char *stage, const char *key,
                             struct checkpoint *ret, struct failure *failure);

/* Appends {"name","size","mtime_ns"} of folder/name to files. */
MUST_USE int checkpoint_add_file(json_t *files, const char *folder, const char *name,
                                 struct failure *failure);
/* Whether all files (or, with a name, that one of them) are still there as they were. */
bool checkpoint_files_intact(const json_t *files, const char *folder, const char *name);

#endif
