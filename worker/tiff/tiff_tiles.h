/* Tiles, decoded one at a time to delivered pixels. */
#ifndef WORKER_TIFF_TIFF_TILES_H
#define WORKER_TIFF_TIFF_TILES_H

#include "worker/tiff/orientation.h"
#include "worker/tiff/tiff_layout.h"

/* Bytes of scratch memory that tiff_tiles_read wants for this layout; may be 0. */
size_t tiff_tiles_spare_bytes(const struct tiff_layout *layout);

/* Decodes tile (column, row) into pixels: tiff_layout_block_bytes, rows of block_width, also at the
 * edges, where what lies outside the image is whatever the file holds. */
MUST_USE int tiff_tiles_read(struct tiff_handle *handle, const struct tiff_layout *layout,
                             uint32_t column, uint32_t row, void *pixels, void *spare,
                             struct failure *failure);

/* Tells the kernel that the tiles of the stored region will be read soon. */
void tiff_tiles_will_need(struct tiff_handle *handle, const struct tiff_file *file,
                          const struct tiff_layout *layout, const struct orientation_rect *region);

#endif
