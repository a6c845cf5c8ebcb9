/* What each part of a tile shows: the fixed image, the moving one on the same pixels, and what they
 * have in common.
 *
 * Everything is seen through means over small blocks, which average noise out.
 */
#ifndef WORKER_ALIGN_TILE_PARTS_H
#define WORKER_ALIGN_TILE_PARTS_H

enum { TILE_PARTS_SIDE = 4, TILE_PARTS = TILE_PARTS_SIDE * TILE_PARTS_SIDE };

struct tile_seen {
    float deviation; /* after the part's own slope */
    float slope;     /* along the steeper direction */
    /* Along the other one, where it is of the same kind: corners, grains, nuclei. An outline has
     * one direction in each part that it crosses, and 0 here: two samples can share it. */
    float both_ways;
};

struct tile_detail {
    struct tile_seen fixed, moving;
    float correlation; /* of the two, after the part's own slope; -1 to 1 */
};

/* The deviation in each part, as ret. pixels: size x size. */
void tile_parts_structure(const float *pixels, int size, float ret[TILE_PARTS]);
/* Zero for tiles too small to tell directions. */
void tile_parts_detail(const float *fixed, const float *moving, int size,
                       struct tile_detail ret[TILE_PARTS]);

#endif
