/* See tile_parts.h. */
#include "worker/align/tile_parts.h"

#include <math.h>
#include <stddef.h>

enum {
    BLOCK_PX = 4,
    MOST_BLOCKS = 8, /* along a part's side: tiles have 128 px at most */
    N_VALUES = MOST_BLOCKS * MOST_BLOCKS,
};

static int blocks_along(int size) { return size / TILE_PARTS_SIDE / BLOCK_PX; }

/* The means of one part's blocks, row by row. */
static void take_blocks(const float *pixels, int size, int part, double ret[N_VALUES]) {
    int side = blocks_along(size), part_px = size / TILE_PARTS_SIDE;
    int left = part % TILE_PARTS_SIDE * part_px, top = part / TILE_PARTS_SIDE * part_px;
    for (int block = 0; block < side * side; block++) {
        int x0 = left + block % side * BLOCK_PX, y0 = top + block / side * BLOCK_PX;
        const float *corner = pixels + (ptrdiff_t)y0 * size + x0;
        ret[block] = 0;
        for (int y = 0; y < BLOCK_PX; y++)
            for (int x = 0; x < BLOCK_PX; x++)
                ret[block] += corner[(ptrdiff_t)y * size + x] / (double)(BLOCK_PX * BLOCK_PX);
    }
}

void tile_parts_structure(const float *pixels, int size, float ret[TILE_PARTS]) {
    int count = blocks_along(size) * blocks_along(size);
    for (int part = 0; part < TILE_PARTS; part++) {
        double values[N_VALUES] = {0}, sum = 0, squares = 0;
        take_blocks(pixels, size, part, values);
        for (int i = 0; i < count; i++) {
            sum += values[i] / count;
            squares += values[i] * values[i] / count;
        }
        ret[part] = (float)sqrt(fmax(squares - sum * sum, 0));
    }
}
