/* How many cells of a lattice a convex figure touches on average over all its places: its area, its
 * extents across and down, and 1, all in units of a cell (Santalo, Integral Geometry, ch. 8). */
#include "worker/output/tile_walk.h"

#include <math.h>

enum { LEAST_STRIP = 4 };

/* By `across` x `down` canvas pixels. */
static double blocks_touched(const struct tile_walk_source *source, double across, double down) {
    double columns =
        (fabs(source->right_x) * across + fabs(source->down_x) * down) / source->block_width;
    double rows =
        (fabs(source->right_y) * across + fabs(source->down_y) * down) / source->block_height;
    double turned = fabs(source->right_x * source->down_y - source->right_y * source->down_x);
    double area = turned * across * down / (source->block_width * source->block_height);
    double in_all_columns = (rows + 1) * ceil(source->width / source->block_width);
    return fmin(area + columns + rows + 1, in_all_columns);
}

struct tile_walk tile_walk_choose(uint32_t columns, uint32_t rows, uint32_t tile_px,
                                  const struct tile_walk_source *sources, size_t n) {
    uint32_t strip = columns;
    for (size_t i = 0; i < n; i++)
        while (strip > LEAST_STRIP && blocks_touched(&sources[i], (double)strip * tile_px,
                                                     2.0 * tile_px) > sources[i].n_blocks)
            strip = (strip + 1) / 2;
    return (struct tile_walk){.columns = columns, .rows = rows, .strip = strip};
}

void tile_walk_locate(const struct tile_walk *walk, uint64_t position, uint32_t *ret_x,
                      uint32_t *ret_y) {
    uint64_t per_strip = (uint64_t)walk->strip * walk->rows;
    uint32_t first = (uint32_t)(position / per_strip) * walk->strip;
    uint64_t within = position % per_strip;
    uint32_t left = walk->columns - first, width = left < walk->strip ? left : walk->strip;
    *ret_x = first + (uint32_t)(within % width);
    *ret_y = (uint32_t)(within / width);
}
