/* Uncompressed strips: any rectangle is read straight from its place in the file, without libtiff,
 * whatever the height of the strips.
 */
#ifndef WORKER_TIFF_TIFF_RAW_H
#define WORKER_TIFF_TIFF_RAW_H

#include "worker/tiff/orientation.h"
#include "worker/tiff/tiff_layout.h"

/* The stored rectangle, which must lie inside the image, as delivered pixels. handle is at the
 * layout's directory and tells where the strips are. */
MUST_USE int tiff_raw_read(struct tiff_handle *handle, const struct tiff_file *file,
                           const struct tiff_layout *layout, uint32_t x, uint32_t y, uint32_t width,
                           uint32_t height, void *pixels, size_t stride_bytes,
                           struct failure *failure);

/* Tells the kernel that the stored region will be read soon: it then reads all its rows at once.
 * Costs little when they are in the page cache. */
void tiff_raw_will_need(struct tiff_handle *handle, const struct tiff_file *file,
                        const struct tiff_layout *layout, const struct orientation_rect *region);

#endif
