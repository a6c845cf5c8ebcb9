/* Which hypothesis is right? Each is tried on tiles at a coarse level: a similarity is fitted to
 * the shifts of one half of a checkerboard and the other half votes whether it agrees, then the
 * halves change places. Single tiles are mostly wrong on differently stained tissue; the vote is
 * not.
 */
#ifndef WORKER_ALIGN_REFEREE_H
#define WORKER_ALIGN_REFEREE_H

#include "worker/align/search.h"
#include "worker/align/tiles.h"

struct referee_verdict {
    int votes, tiles;    /* tiles that agree, and that were asked, */
    int level;           /* at this level */
    struct map map;      /* fitted to all of them */
    double search_score; /* the hypothesis's, from the search, */
    unsigned found_by;   /* and what proposed it (search.h), */
    bool inverted;       /* for which contrast */
};

/* Probability of so many votes when nothing is there. Many of a few tiles can weigh more than some
 * of many: images may share a corner only. */
double referee_accident(int votes, int tiles);
/* Of such probabilities: whether the rival leaves doubts about the winner. */
bool referee_nearly_as_good(double rival, double winner);

struct referee {
    struct tiles_crew *crew;
    const struct thumbnail *texture;
    const struct survey *pre, *post;
    uint32_t seed;
    int level;
};

/* The level at which hypotheses are tried: the post image's longer side at most 512 px. */
int referee_level(const struct survey *post);

/* Where the map leaves few tiles of the referee's level, those of a finer one are asked.
 * reach_px: of the level. mirror: the map contains a reflection. Without enough tiles the verdict
 * has no votes and the map unchanged. */
MUST_USE int referee_try(const struct referee *referee, const struct map *map, int reach_px,
                         bool mirror, struct tiles_span progress, struct referee_verdict *ret,
                         struct failure *failure);

#endif
