/* What each part of a tile shows: the fixed image, the moving one on the same pixels, and what they
 * have in common.
 *
 * Everything is seen through means over small blocks, which average noise out.
 */
#ifndef WORKER_ALIGN_TILE_PARTS_H
#define WORKER_ALIGN_TILE_PARTS_H

enum { TILE_PARTS_SIDE = 4, TILE_PARTS = TILE_PARTS_SIDE * TILE_PARTS_SIDE };

/* Structure in two directions: corners, grains, nuclei. An outline has one direction in each part
 * that it crosses, and is not counted: two samples can share it. */
struct tile_detail {
    float fixed, moving; /* slope across the weaker direction; 0: none, or one direction only */
    float correlation;   /* of the two, after the part's own slope; -1 to 1 */
};

/* The deviation in each part, as ret. pixels: size x size. */
void tile_parts_structure(const float *pixels, int size, float ret[TILE_PARTS]);
/* Zero for tiles too small to tell directions. */
void tile_parts_detail(const float *fixed, const float *moving, int size,
                       struct tile_detail ret[TILE_PARTS]);

#endif
