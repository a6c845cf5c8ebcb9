/* See verify_whole.h. */
#include "worker/align/verify_whole.h"

#include "worker/memory/tracked.h"

#include <errno.h>

enum { MOST_TILES = 160 }; /* of each half, as refine and verify */

void verify_whole_free(struct verify_whole *whole) {
    tracked_free(whole->matches);
    *whole = (struct verify_whole){0};
}

int verify_whole_fit(const struct verify_scene *scene, int tile_px, enum fit_model model,
                     struct tiles_span progress, struct verify_whole *ret,
                     struct failure *failure) {
    const struct tiles_choice choice = {
        .size = tile_px, .most_tiles = MOST_TILES, .transform = scene->transform};
    CLEANUP(tiles_free) struct tiles_grid grid = {0};
    int r = tiles_choose(scene->texture, scene->pre, scene->post, &choice, &grid, failure);
    if (r < 0)
        return r;
    ret->map = (struct polish_map){scene->transform->map, model, scene->look};
    ret->matches = tracked_alloc(grid.count + 1, sizeof(*ret->matches), "matches");
    if (!ret->matches)
        return failure_set(failure, -ENOMEM, "no memory for %zu matches", grid.count);
    const struct polish_request request = {.crew = scene->crew,
                                           .grid = &grid,
                                           .params = scene->context->params,
                                           .width = scene->post->layout.width,
                                           .height = scene->post->layout.height,
                                           .progress = progress};
    const struct polish_map start = ret->map;
    return polish_again(&request, &start, &ret->map, ret->matches, &ret->count, failure);
}
