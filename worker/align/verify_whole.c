/* See verify_whole.h. */
#include "worker/align/verify_whole.h"

#include "worker/align/joint.h"
#include "worker/align/refine.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

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
    ret->map = (struct polish_map){scene->transform->map, model, scene->look, HUGE_VAL};
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

/* How far two maps are apart where they are farthest, among the tiles that agree: where others are,
 * both reach beyond what the images have in common. */
static double farthest_apart(const struct verify_sample *sample, const struct map *a,
                             const struct map *b) {
    double farthest = 0;
    for (size_t i = 0; i < sample->grid.count; i++) {
        if (sample->answers[i] != VERIFY_AGREES)
            continue;
        struct map_point p = map_apply(a, sample->matches[i].x, sample->matches[i].y);
        struct map_point q = map_apply(b, sample->matches[i].x, sample->matches[i].y);
        farthest = fmax(farthest, hypot(p.x - q.x, p.y - q.y));
    }
    return farthest;
}

int verify_whole_join(const struct verify_scene *scene, const struct verify_sample *held_out,
                      struct verify_whole *whole, struct error_bar *bar, struct failure *failure) {
    if (bar->tiles > 0 && bar->tissue_px <= joint_needless_px)
        return 0;
    const struct joint_request request = {.context = scene->context,
                                          .pre = scene->pre,
                                          .post = scene->post,
                                          .texture = scene->texture,
                                          .tile_px = held_out->grid.size,
                                          .parity = TILES_BOTH};
    struct joint_map joint;
    int r = joint_fit(&request, &scene->transform->map, &joint, failure);
    const struct transform transform = {.map = joint.map};
    if (r < 0 || !joint_serves_better(&joint, bar->tiles > 0 ? bar->tissue_px : HUGE_VAL) ||
        !refine_is_plausible(&transform, scene->context->params, scene->post->layout.width,
                             scene->post->layout.height))
        return r;
    *bar = joint.bar;
    bar->offset_px = farthest_apart(held_out, &joint.map, &scene->transform->map);
    whole->map.map = joint.map;
    whole->map.model = joint.model;
    whole->joined = true;
    return 0;
}
