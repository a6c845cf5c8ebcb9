/* Hashing a file in steps; see file_hash.h. */
#include "worker/tiff/file_hash.h"

#include <errno.h>
#include <xxhash.h>

enum { PIECE_BYTES = 256 * 1024 }; /* stays in the second-level cache between pread and hash */

struct file_hash {
    const struct tiff_file *file;
    XXH3_state_t *state; /* owned */
    uint64_t offset;
    char piece[PIECE_BYTES];
};

int file_hash_open(const struct tiff_file *file, struct file_hash **ret, struct failure *failure) {
    struct file_hash *hash = calloc(1, sizeof(*hash));
    if (hash)
        hash->state = XXH3_createState();
    if (!hash || !hash->state || XXH3_128bits_reset(hash->state) != XXH_OK) {
        file_hash_close(hash);
        return failure_set(failure, -ENOMEM, "%s: no memory to hash it", file->path);
    }
    hash->file = file;
    *ret = hash;
    return 0;
}

void file_hash_close(struct file_hash *hash) {
    if (!hash)
        return;
    (void)XXH3_freeState(hash->state); /* always XXH_OK */
    free(hash);
}

int file_hash_advance(struct file_hash *hash, uint64_t until, struct failure *failure) {
    if (until > hash->file->size)
        until = hash->file->size;
    while (hash->offset < until) {
        uint64_t left = until - hash->offset;
        size_t size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        int r = tiff_file_read(hash->file, hash->offset, hash->piece, size, failure);
        if (r < 0)
            return r;
        if (XXH3_128bits_update(hash->state, hash->piece, size) != XXH_OK)
            return failure_set(failure, -EINVAL, "%s cannot be hashed", hash->file->path);
        hash->offset += size;
    }
    return 0;
}

int file_hash_finish(struct file_hash *hash, char hex[FILE_HASH_HEX_BYTES],
                     struct failure *failure) {
    int r = file_hash_advance(hash, hash->file->size, failure);
    if (r < 0)
        return r;
    XXH128_hash_t digest = XXH3_128bits_digest(hash->state);
    (void)snprintf(hex, FILE_HASH_HEX_BYTES, "%016llx%016llx", (unsigned long long)digest.high64,
                   (unsigned long long)digest.low64);
    return 0;
}
