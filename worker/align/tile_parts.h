/* Whether an image shows anything in each part of a tile, seen through means over small blocks,
 * which average noise out. */
#ifndef WORKER_ALIGN_TILE_PARTS_H
#define WORKER_ALIGN_TILE_PARTS_H

enum { TILE_PARTS_SIDE = 4, TILE_PARTS = TILE_PARTS_SIDE * TILE_PARTS_SIDE };

/* The deviation in each part, as ret. pixels: size x size. */
void tile_parts_structure(const float *pixels, int size, float ret[TILE_PARTS]);

#endif
