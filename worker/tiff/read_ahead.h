/* Telling the kernel which pieces of uncompressed strips, or which tiles, will be read.
 *
 * A region's rows lie far apart in the file: read one by one from a cold disk they take an access
 * each, and whole rows are many times what is needed. So the pieces of all its rows are announced
 * at once: the region's own, or, where it is known what comes next (image_swath), so far as that
 * goes, each row when it comes up for the first time, and some rows ahead. Of tiles it is the same
 * with rows of tiles.
 */
#ifndef WORKER_TIFF_READ_AHEAD_H
#define WORKER_TIFF_READ_AHEAD_H

#include "worker/tiff/image.h"
#include "worker/tiff/orientation.h"
#include "worker/tiff/tiff_raw.h"

/* All zero: each region for itself. */
struct read_ahead {
    struct image_swath swath;
    bool has_swath;
    uint32_t from, to; /* lines that were announced: rows, or rows of tiles */
};

/* The stored region will be read now. */
void read_ahead_region(struct read_ahead *ahead, struct tiff_handle *handle,
                       const struct tiff_file *file, const struct tiff_layout *layout,
                       const struct orientation_rect *region);

#endif
