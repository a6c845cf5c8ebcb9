/* When the map of all pixels is taken. See joint.h. */
#include "worker/align/joint.h"

#include <math.h>

/* How much of what the start has in common the joint map must have, and how well it must be known,
 * as a share of how well the start is. */
static const double LESS = 0.97, CLEARLY_BETTER_KNOWN = 0.8;
static const double MORE = 1.01, AS_BADLY_KNOWN = 1.5;
static const double CLEARLY_MORE = 1.15; /* then that does not matter */
static const double CREDIBLE_PX = 2;     /* strangers know a map to 3 px at best */

bool joint_serves_better(const struct joint_map *joint, double spread_px) {
    double px = joint->bar.tissue_px, more = joint->more_common;
    if (joint->bar.tiles == 0)
        return false;
    return (more > CLEARLY_MORE && px < CREDIBLE_PX) ||
           (more > MORE && px < fmin(AS_BADLY_KNOWN * spread_px, CREDIBLE_PX)) ||
           (more > LESS && px < CLEARLY_BETTER_KNOWN * spread_px);
}
