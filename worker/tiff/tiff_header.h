/* All of a tiled BigTIFF but its tiles: directories, their values, and tables of the tiles' places.
 *
 * Images are chained in their order; an image's reduced levels stand in its SubIFDs (Adobe, TIFF
 * technical note 1; the pyramids of OME-TIFF), each half the size of the one before. Layout:
 * BigTIFF design, libtiff.org.
 */
#ifndef WORKER_TIFF_TIFF_HEADER_H
#define WORKER_TIFF_TIFF_HEADER_H

#include "worker/tiff/tiff_writer.h"

/* The tiles of one image at one level. */
struct tiff_grid {
    uint32_t width, height, columns, rows;
    uint64_t n_tiles, tile_bytes;
    uint64_t offsets_at, counts_at; /* where the tiles' places and lengths stand */
    uint64_t data_offset;           /* of the first tile, when none is compressed */
};

struct tiff_header {
    int fd;           /* borrowed; -1: nothing is written, it only is put together */
    const char *path; /* borrowed; for sentences */
    size_t n_images, n_levels;
    struct tiff_grid *grids;        /* owned; image by image, each with its levels */
    uint64_t data_offset, data_end; /* of all tiles, where none is compressed */
};

/* Fills what is not zero in `header`, whose fd and path are set. Free header->grids, after an error
 * too. */
MUST_USE int tiff_header_write(struct tiff_header *header, const struct tiff_writer_options *images,
                               struct failure *failure);

static inline struct tiff_grid *tiff_header_grid(const struct tiff_header *header, size_t image,
                                                 size_t level) {
    return &header->grids[image * (1 + header->n_levels) + level];
}

#endif
