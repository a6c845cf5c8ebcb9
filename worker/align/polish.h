/* The last step to the map: tiles at full resolution are not searched for any more, but moved from
 * where the map puts them (tile.h, stay), and the map is fitted anew with each tile's own
 * covariance. Tiles with an edge or a faint structure count for what they know, and the model is
 * chosen by what left-out tiles say in units of their own deviation.
 */
#ifndef WORKER_ALIGN_POLISH_H
#define WORKER_ALIGN_POLISH_H

#include "common/params.h"
#include "worker/align/tiles.h"

struct polish_request {
    struct tiles_crew *crew;
    const struct tiles_grid *grid; /* of full resolution; cells that may be fitted to */
    const struct params *params;
    double width, height; /* of the post image */
    struct tiles_span progress;
};

struct polish_map {
    struct map map;
    enum fit_model model;
    struct tile_look look; /* that served best; polish_run does not ask a start for it */
    double spread_px;      /* how well it is known where the cells are; HUGE_VAL: not at all */
};

/* starts: several maps, one of which should be right to a pixel or two; the surest one after a
 * first round is taken. ret is left alone where there is nothing to fit. */
MUST_USE int polish_run(const struct polish_request *request, const struct polish_map *starts,
                        size_t count, struct polish_map *ret, struct failure *failure);

/* From a map that was polished: the last rounds in its look, and where that leaves the map less
 * than well known, in the one that serves these tiles best. The model goes up only when that gains
 * much. ret_matches, room for one of each of the grid's cells, is what it was fitted to in the end;
 * *ret_count 0: nothing to fit. */
MUST_USE int polish_again(const struct polish_request *request, const struct polish_map *start,
                          struct polish_map *ret, struct fit_match *ret_matches, size_t *ret_count,
                          struct failure *failure);

#endif
