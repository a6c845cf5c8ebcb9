/* How well two small feature images (feature.h) agree when one is turned, magnified and shifted.
 *
 * Both are half-whitened (each Fourier coefficient divided by the root of its magnitude: between
 * plain and phase-only correlation, Horner & Gianino 1984). A sweep tries all shifts at one
 * rotation and magnification at once, by Fourier transform; a climb improves a pose that is nearly
 * right. Scores of both are normalised correlations, at most 1.
 */
#ifndef WORKER_ALIGN_CORRELATOR_H
#define WORKER_ALIGN_CORRELATOR_H

#include "worker/align/feature.h"
#include "worker/align/thumbnail.h"

enum { CORRELATOR_MAX_SIDE = 192, CORRELATOR_PEAKS = 2 };

struct correlator;

/* Takes the images' thumbnails of at most CORRELATOR_MAX_SIDE px; makes features of them, in place.
 * *ret_blank: NULL, or the name of the image that nothing stands out in; then *ret is left alone.
 */
struct correlator_images {
    struct thumbnail fixed, moving; /* signals */
    const struct survey *post, *pre;
    struct feature_scales scales;
    int threads;
};
MUST_USE int correlator_open(struct correlator_images *images, struct correlator **ret,
                             const char **ret_blank, struct failure *failure);
void correlator_close(struct correlator *correlator); /* NULL is fine */

/* Where the moving image could lie: turned about its centre, then shifted by whole pixels of the
 * thumbnails. */
struct correlator_pose {
    double angle_rad, scale;
    int x, y;
    bool mirrored; /* which no turning of a slide can produce */
    bool inverted; /* what is bright in one image is dark in the other */
    double score;
};

/* Of one rotation and magnification. */
struct correlator_sweep {
    struct correlator_pose peaks[CORRELATOR_PEAKS], mirrored, inverted;
};

/* thread: below images.threads; each has scratch memory of its own. *ret_turned (may be NULL): the
 * same with the moving image turned by another 180 degrees, at half the price. */
MUST_USE int correlator_sweep(struct correlator *correlator, int thread, double angle_rad,
                              double scale, struct correlator_sweep *ret,
                              struct correlator_sweep *ret_turned, struct failure *failure);

/* How a climb steps; no pose beyond the limits is tried. */
struct correlator_steps {
    double angle_rad, scale_ratio; /* of the first round; half as much in each further one */
    double angle_limit_rad;        /* to either side */
    double scale_min, scale_max;
    int rounds; /* 0: the shift alone, and the score */
};
void correlator_climb(struct correlator *correlator, int thread,
                      const struct correlator_steps *steps, struct correlator_pose *pose);

/* A pose as a map of full-resolution pixels, and the pose nearest to such a map. */
struct map correlator_map(const struct correlator *correlator, const struct correlator_pose *pose);
struct correlator_pose correlator_pose(const struct correlator *correlator, const struct map *map);

#endif
