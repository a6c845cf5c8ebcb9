/* A shift planted in the map must be measured back.
 *
 * The map is moved by known amounts (fractions of a pixel and some pixels, along both axes, and a
 * slight turn about the middle), agreeing tiles are measured again, and what they then say is
 * compared with what was planted: slope 1 along each axis, or the tiles do not follow the image.
 *
 * Tiles that share an outline only, not their content, slip along it: single ones of them do not
 * give the shift back, though their slope is 1.
 *
 * It uncovers measurements that answer "where the map puts it" whatever the map: smooth light or
 * shading, where the tile's own window decides; stripes and edges along one axis; noise; a texture
 * whose period is within the shifts. It cannot uncover a pattern that both cameras put into the
 * pixels (dust, hot pixels): that one is moved with the pixels, slope 1. See verify_pattern.h.
 */
#ifndef WORKER_ALIGN_VERIFY_PLANTED_H
#define WORKER_ALIGN_VERIFY_PLANTED_H

#include "worker/align/verify_sample.h"

enum { VERIFY_PLANTED_LEAST_TILES = 8 };

struct verify_planted {
    int tiles;               /* asked; 0: too few agree, and the slopes are 0 */
    int following;           /* gave back what was planted, nearly every time */
    double slope_x, slope_y; /* measured against planted */
};

/* One planted component of a shift and what was measured of it, px. */
struct verify_planted_point {
    double planted, measured;
};
/* The line through the origin with the least sum of absolute residuals: the median of measured /
 * planted, weighted with |planted|, which up to half of wrong points cannot move. Reorders; 0
 * without points. */
double verify_planted_slope(struct verify_planted_point *points, size_t count);

MUST_USE int verify_planted_measure(const struct verify_scene *scene,
                                    const struct verify_sample *sample, struct tiles_span progress,
                                    struct verify_planted *ret, struct failure *failure);

#endif
