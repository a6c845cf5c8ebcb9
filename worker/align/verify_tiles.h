/* The held-out tiles one by one, for those who want to see them: where the fit, which never saw
 * them, was right and where not.
 *
 * In JSON, the member "test_tiles" of verify's result: {"size":px, "tiles":[[x, y, dx, dy, px,
 * answer], ...]}: the tile's centre in the post image; where its counterpart appears when pre is
 * laid by the judged map, as seen from there, px of post; the residual, px of pre (of an edge: the
 * way across it); answer as enum verify_answer.
 */
#ifndef WORKER_ALIGN_VERIFY_TILES_H
#define WORKER_ALIGN_VERIFY_TILES_H

#include "worker/align/verify_sample.h"

#define VERIFY_TILES_MEMBER "test_tiles"
enum { VERIFY_TILES_MOST = 1024 };

/* Tiles that could not be measured are left out. Caller owns it; NULL when out of memory. */
json_t *verify_tiles_write(const struct verify_sample *sample, const struct transform *judged);

struct verify_tile {
    double x, y, dx, dy, residual_px;
    enum verify_answer answer;
};

struct verify_tiles {
    double size_px;
    size_t count;
    struct verify_tile tiles[VERIFY_TILES_MOST];
};

/* verify: its result. What is not there, or no tile, is left out. */
void verify_tiles_read(const json_t *verify, struct verify_tiles *ret);

#endif
