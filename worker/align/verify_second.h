/* Do the tiles that contradict the map agree with one another on another one? A part of the tissue
 * that tore off and moved does, a map that is wrong leaves nearly all tiles so, and tiles that were
 * merely not recognised do not. */
#ifndef WORKER_ALIGN_VERIFY_SECOND_H
#define WORKER_ALIGN_VERIFY_SECOND_H

#include "worker/align/verify_sample.h"

struct verify_second {
    int contradicting;  /* tiles */
    int agreeing;       /* of them, on the other map; 0 when that can be an accident */
    bool still;         /* the other map leaves them in place: they may show the camera's pattern */
    double distance_px; /* median, from where the map puts them; px of the pre image */
    int sector;         /* TILES_SECTORS x TILES_SECTORS: where most of them are */
};

MUST_USE int verify_second_find(const struct verify_sample *sample, uint32_t seed,
                                struct verify_second *ret, struct failure *failure);
/* "in the upper left", ... */
const char *verify_second_where(int sector);

#endif
