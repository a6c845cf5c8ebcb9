/* A copy of an image that any region can be read from: plain tiles, uncompressed, in the stored
 * orientation, with delivered samples (image.h) in native order.
 *
 * The file belongs to one image in one state (size, mtime, layout) and to one boot of the machine:
 * it is not synced, for it can be made again, and a copy that a power cut may have torn is not
 * trusted. It has its final name only when it is complete.
 */
#ifndef WORKER_TIFF_SCRATCH_H
#define WORKER_TIFF_SCRATCH_H

#include "worker/tiff/tiff_layout.h"

/* A band of 64 rows is one row of tiles, written from end to end. */
enum { SCRATCH_TILE_WIDTH = 256, SCRATCH_TILE_HEIGHT = 64 };

struct scratch;

/* Begins the copy of this image under a temporary name. Borrows nothing. -ENOSPC and friends are
 * passed on. */
MUST_USE int scratch_create(const char *path, const struct tiff_file *source,
                            const struct tiff_layout *layout, struct scratch **ret,
                            struct failure *failure);
/* Writes a rectangle; every pixel of the image must be written once. */
MUST_USE int scratch_put(struct scratch *scratch, uint32_t x, uint32_t y, uint32_t width,
                         uint32_t height, const void *pixels, size_t stride_bytes,
                         struct failure *failure);
/* Gives the finished copy its name; it stays open for reading. */
MUST_USE int scratch_publish(struct scratch *scratch, struct failure *failure);

/* Opens a finished copy. -ESTALE when it is not of this image in this state. */
MUST_USE int scratch_open(const char *path, const struct tiff_file *source,
                          const struct tiff_layout *layout, struct scratch **ret,
                          struct failure *failure);
/* Removes an unfinished copy; NULL is fine. */
void scratch_close(struct scratch *scratch);

size_t scratch_tile_bytes(const struct scratch *scratch);
/* A whole tile; what lies outside the image is zero or undefined. Safe from several threads. */
MUST_USE int scratch_read_tile(const struct scratch *scratch, uint32_t column, uint32_t row,
                               void *pixels, struct failure *failure);

#endif
