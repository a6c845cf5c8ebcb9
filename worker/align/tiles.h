/* Many tiles of the post image: which ones to measure, and measuring them on several threads.
 *
 * A grid of square cells covers the post image's level. Cells count where the map takes them inside
 * the pre image and where there is texture in two directions (the smaller eigenvalue of the
 * gradient's second moments, Shi & Tomasi 1994). Neighbours have opposite parity, as on a
 * checkerboard: even cells are for fitting, odd ones for judging.
 */
#ifndef WORKER_ALIGN_TILES_H
#define WORKER_ALIGN_TILES_H

#include "worker/align/thumbnail.h"
#include "worker/align/tile.h"
#include "worker/align/transform.h"

enum { TILES_TEXTURE_SIDE_PX = 1024, TILES_SECTORS = 3 };

enum tiles_parity { TILES_EVEN, TILES_ODD, TILES_BOTH };

struct tiles_cell {
    int x, y;   /* top left, px of the level */
    int parity; /* TILES_EVEN or TILES_ODD */
    int sector; /* of TILES_SECTORS x TILES_SECTORS over the chosen cells' bounding box */
    double texture;
};

struct tiles_grid {
    int level, size;          /* of a cell, px of the level */
    struct tiles_cell *cells; /* owned */
    size_t count;
};

struct tiles_choice {
    int level;
    int size; /* of a cell, px of the level; 0: the largest with least_cells usable ones */
    size_t least_cells;
    bool overlap;      /* cells of 64 px every 32 px in place of that: for small coarse levels */
    bool with_empty;   /* cells without texture, too */
    size_t most_tiles; /* of one parity: the most textured ones of each neighbourhood */
    const struct transform *transform;
};

/* texture: the post image's tone (thumbnail + feature_tone). Release with tiles_free. */
MUST_USE int tiles_choose(const struct thumbnail *texture, const struct survey *pre,
                          const struct survey *post, const struct tiles_choice *choice,
                          struct tiles_grid *ret, struct failure *failure);
void tiles_free(struct tiles_grid *grid);
/* Drops the cells of the other parity. */
void tiles_keep(struct tiles_grid *grid, enum tiles_parity parity);

/* Cuts every cell into four. -ENOMEM leaves the grid as it was. */
MUST_USE int tiles_quarter(struct tiles_grid *grid);

/* The benches of all threads. Borrows pair. */
struct tiles_crew;
MUST_USE int tiles_crew_open(const struct tile_pair *pair, struct tiles_crew **ret,
                             struct failure *failure);
void tiles_crew_close(struct tiles_crew *crew); /* NULL is fine */

/* One shift per request. progress_from .. progress_to: of the stage. */
struct tiles_span {
    double from, to;
};
MUST_USE int tiles_measure(struct tiles_crew *crew, const struct tile_request *requests,
                           size_t count, struct tiles_span progress, struct tile_shift *ret,
                           struct failure *failure);

/* The whole grid, cell by cell, against one transform: each cell is sampled through the transform's
 * local map there. how: reach_px and peak_only are taken. */
MUST_USE int tiles_measure_grid(struct tiles_crew *crew, const struct tiles_grid *grid,
                                const struct transform *transform, const struct tile_request *how,
                                struct tiles_span progress, struct tile_shift *ret,
                                struct failure *failure);

/* What the images show where the transform puts the grid's cells; one for each of them. */
MUST_USE int tiles_take_grain(struct tiles_crew *crew, const struct tiles_grid *grid,
                              const struct transform *transform, struct tiles_span progress,
                              struct tile_grains *ret, struct failure *failure);

/* The map that a cell is sampled through, when its contents are looked for (dx, dy) full-resolution
 * pixels away. */
struct map tiles_local_map(const struct tiles_grid *grid, const struct tiles_cell *cell,
                           const struct transform *transform, double dx, double dy);

/* A measured shift as a match in full-resolution pixels. */
struct fit_match tiles_match(const struct tiles_grid *grid, const struct tiles_cell *cell,
                             const struct tile_shift *shift, const struct transform *transform);

#endif
