/* An image file that is open for reading: one descriptor for all who read it, so that a file that
 * is replaced meanwhile cannot be mixed with its successor.
 */
#ifndef WORKER_TIFF_TIFF_FILE_H
#define WORKER_TIFF_TIFF_FILE_H

#include "common/failure.h"

#include <stdint.h>

struct tiff_file {
    char *path; /* owned */
    int fd;     /* owned */
    uint64_t size;
    int64_t mtime_ns;
};

/* Refuses what is no regular file or begins with nothing like a TIFF header. */
MUST_USE int tiff_file_open(const char *path, struct tiff_file *ret, struct failure *failure);
/* The same for any regular file. */
MUST_USE int tiff_file_open_any(const char *path, struct tiff_file *ret, struct failure *failure);
void tiff_file_close(struct tiff_file *file); /* a zeroed or closed one is fine */

/* Exactly size bytes from offset; -EBADMSG past the end. Safe from several threads. */
MUST_USE int tiff_file_read(const struct tiff_file *file, uint64_t offset, void *bytes, size_t size,
                            struct failure *failure);

/* A hint: the bytes [from, end) will be read soon. */
void tiff_file_will_need(const struct tiff_file *file, uint64_t from, uint64_t end);

/* Exactly size bytes to offset of fd; path is for the sentence. Safe from several threads. */
MUST_USE int tiff_file_write(int fd, const char *path, uint64_t offset, const void *bytes,
                             size_t size, struct failure *failure);

/* -ESTALE when size or modification time are no longer those at opening. */
MUST_USE int tiff_file_check_unchanged(const struct tiff_file *file, struct failure *failure);

#endif
