/* The reduced levels of an OME-TIFF, made from its finished full images, each level from the one
 * before: a pixel is the mean of the 2 x 2 px below it (of those that are there, at the right and
 * lower edge), rounded half to even, so that no level is brighter than another.
 */
#ifndef WORKER_OUTPUT_OME_LEVELS_H
#define WORKER_OUTPUT_OME_LEVELS_H

#include "worker/output/picture.h"

struct progress;

/* Borrows everything. */
struct ome_levels_job {
    struct tiff_writer *writer; /* level 0 of all pictures stands in it */
    const struct picture_set *set;
    uint32_t width, height; /* of the pictures */
    uint32_t n_levels;
    enum params_compression compression;
    int threads;
    double start; /* of the stage, where this step begins */
    struct progress *progress;
};

/* How many there are: until no side is above 512 px. */
uint32_t ome_levels_count(uint32_t width, uint32_t height);

/* The same bytes whatever the threads. */
MUST_USE int ome_levels_run(const struct ome_levels_job *job, struct failure *failure);

/* One tile of the level below, `width` x `height` px of it, to its quarter of the tile above; both
 * of this shape. right, down: which quarter. */
void ome_levels_reduce(const struct tile_codec_shape *shape, const void *below, uint32_t width,
                       uint32_t height, bool right, bool down, void *above);

#endif
