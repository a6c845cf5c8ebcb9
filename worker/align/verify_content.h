/* Is the texture inside the outlines the same, however faint it is?
 *
 * Where noise hides the tissue, single tiles find little but outlines, and what was replaced behind
 * shared outlines looks the same to them. But where the map puts the tiles, their texture far from
 * every outline coincides or does not. It is not searched for, so chance has one try only, and many
 * parts make up for the noise in each.
 */
#ifndef WORKER_ALIGN_VERIFY_CONTENT_H
#define WORKER_ALIGN_VERIFY_CONTENT_H

#include "worker/align/verify_sample.h"

struct verify_content {
    int parts, inside; /* of the tiles; those far from every outline, which the rest is about */
    /* The fine texture where both images show more than the noise that is everywhere. */
    int fine_parts;
    double fine_correlation; /* mean over them */
    /* The coarse one, which is clear where the fine one drowns, but of which outlines show more:
     * a few parts that have a share in one are nearly the same, so the parts are counted that
     * correlate at all. By chance half of them do. */
    int coarse_parts;
    double coarse_deviations;                      /* how far from half that is */
    bool coincides[TILES_SECTORS * TILES_SECTORS]; /* the coarse one, in each sector */
};

/* Where transform puts the tiles of the sample, whatever they answered. */
MUST_USE int verify_content_measure(const struct verify_scene *scene,
                                    const struct verify_sample *sample,
                                    const struct transform *transform, struct verify_content *ret,
                                    struct failure *failure);
/* The same from grains that were taken, one for each of the grid's cells. */
MUST_USE int verify_content_judge(const struct tiles_grid *grid, const struct tile_grains *grains,
                                  struct verify_content *ret, struct failure *failure);

#endif
