/* See verify_decoys.h. */
#include "worker/align/verify_decoys.h"

#include "worker/align/referee.h"

#include <math.h>

enum { REACH_PX = 16 }; /* of the referee's level */

/* Mean of the tiles' centres, px of the post image. */
static struct map_point middle_of(const struct tiles_grid *grid) {
    double x = 0, y = 0, n = (double)grid->count;
    for (size_t i = 0; i < grid->count; i++) {
        x += (grid->cells[i].x + grid->size / 2.0) / n;
        y += (grid->cells[i].y + grid->size / 2.0) / n;
    }
    return (struct map_point){ldexp(x, grid->level), ldexp(y, grid->level)};
}

static int try_decoy(const struct referee *referee, const struct map *decoy, bool mirror,
                     struct tiles_span progress, struct verify_decoy *ret,
                     struct failure *failure) {
    struct referee_verdict verdict = {0};
    int r = referee_try(referee, decoy, REACH_PX, mirror, progress, &verdict, failure);
    *ret = (struct verify_decoy){verdict.votes, verdict.tiles};
    return r;
}

int verify_decoys_try(const struct verify_scene *scene, const struct verify_sample *sample,
                      struct tiles_span progress, struct verify_decoys *ret,
                      struct failure *failure) {
    *ret = (struct verify_decoys){0};
    if (sample->grid.count == 0)
        return 0;
    const struct referee referee = {.crew = scene->crew,
                                    .texture = scene->texture,
                                    .pre = scene->pre,
                                    .post = scene->post,
                                    .seed = scene->context->params->seed,
                                    .level = sample->grid.level};
    struct map_point middle = middle_of(&sample->grid);
    struct map turn = {{-1, 0, 2 * middle.x, 0, -1, 2 * middle.y, 0, 0, 1}};
    struct map mirror = {{-1, 0, 2 * middle.x, 0, 1, 0, 0, 0, 1}};
    struct map turned = map_compose(&turn, &scene->transform->map);
    struct map mirrored = map_compose(&mirror, &scene->transform->map);
    double half = (progress.from + progress.to) / 2;
    int r = try_decoy(&referee, &turned, false, (struct tiles_span){progress.from, half},
                      &ret->turned, failure);
    if (r == 0)
        r = try_decoy(&referee, &mirrored, true, (struct tiles_span){half, progress.to},
                      &ret->mirrored, failure);
    return r;
}
