/* In which order the tiles of a canvas are made.
 *
 * The grid is cut into strips of some columns; each is walked row by row, from top to bottom.
 * Narrow strips come back soon to the source blocks that the row before was made of, wide ones
 * cross fewer blocks twice at their seams. So: the widest strip, halving from the whole width, of
 * which two rows touch no more blocks of any source than are held (decoded in a cache, or as pages
 * by the kernel). The order depends on the images and the map alone, never on threads or memory.
 */
#ifndef WORKER_OUTPUT_TILE_WALK_H
#define WORKER_OUTPUT_TILE_WALK_H

#include <stddef.h>
#include <stdint.h>

struct tile_walk {
    uint32_t columns, rows; /* of the grid */
    uint32_t strip;         /* columns; the last strip may be narrower */
};

/* An image that tiles are made from. */
struct tile_walk_source {
    double right_x, right_y; /* its px per canvas px to the right ... */
    double down_x, down_y;   /* ... and down */
    double block_width, block_height;
    double width;    /* px */
    double n_blocks; /* held */
};

struct tile_walk tile_walk_choose(uint32_t columns, uint32_t rows, uint32_t tile_px,
                                  const struct tile_walk_source *sources, size_t n);
void tile_walk_locate(const struct tile_walk *walk, uint64_t position, uint32_t *ret_x,
                      uint32_t *ret_y);
static inline uint64_t tile_walk_length(const struct tile_walk *walk) {
    return (uint64_t)walk->columns * walk->rows;
}

#endif
