/* See refine.h. */
#include "worker/align/refine.h"

#include "worker/align/feature.h"
#include "worker/align/joint.h"
#include "worker/align/ladder.h"
#include "worker/align/polish.h"
#include "worker/align/referee.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    TRIED_AGAIN = 4,     /* hypotheses that the referee tries a second time */
    FIRST_REACH_PX = 16, /* of the referee's level */
    SECOND_REACH_PX = 8,
    LEAST_CELLS = 160, /* per level: half of them are for judging */
    MOST_TILES = 160,  /* fitted per level, */
    GRID_TILES = 400,  /* and once more for a grid; smaller ones where there are fewer */
    LEAST_TILE_PX = 48,
    UNREFINED_TILE_PX = 64,
    MIDDLE_SIDE_PX = 2048, /* the middle level: so that its shifts fit the full one's reach */
};
/* So many votes may be an accident; and what a place must have in common more than any other. */
static const double BY_ACCIDENT = 1e-4, CLEARLY_MORE_COMMON = 2;
/* At wrong places all pixels know the map to several px at best. */
static const double UNREFINED_SPREAD_PX = 1;
static const uint64_t CACHE_BYTES = 12 << 20; /* of each thread's reader of each image */

struct refinery {
    const struct align_context *context;
    struct survey pre, post;
    struct search_result search;
    struct thumbnail texture;
    struct tiles_crew *crew;
    json_t *levels; /* what each level found, for people */
};

static void refinery_cleanup(struct refinery *refinery) {
    thumbnail_free(&refinery->texture);
    tiles_crew_close(refinery->crew);
    json_decref(refinery->levels);
}

static bool plausible(const struct refinery *refinery, const struct map *map) {
    struct transform transform = {.map = *map};
    return refine_is_plausible(&transform, refinery->context->params, refinery->post.layout.width,
                               refinery->post.layout.height);
}

/* Matches of the measured cells of one parity (or both). */
static size_t gather_matches(const struct tiles_grid *grid, const struct tile_shift *shifts,
                             const struct transform *transform, enum tiles_parity parity,
                             struct fit_match *ret) {
    size_t n = 0;
    for (size_t i = 0; i < grid->count; i++)
        if (shifts[i].measured && (parity == TILES_BOTH || grid->cells[i].parity == (int)parity))
            ret[n++] = tiles_match(grid, &grid->cells[i], &shifts[i], transform);
    return n;
}

/* Which tiles a level is refined on. */
struct level_plan {
    int level;
    bool overlap;
    enum tiles_parity parity;
    struct tiles_span progress;
    size_t most_tiles; /* of one parity */
    int tile_px;       /* 0: as large as leaves enough of them */
};

static int note_level(struct refinery *refinery, const struct level_plan *plan,
                      const struct tiles_grid *grid, const struct ladder_fit *fit,
                      struct failure *failure) {
    json_t *entry = json_pack(
        "{s:i,s:i,s:I,s:I,s:f,s:f,s:f,s:s,s:b}", "level", plan->level, "tile_px", grid->size,
        "tiles", (json_int_t)fit->tiles, "inliers", (json_int_t)fit->inliers, "median_px",
        fit->median_px, "map_cost", fit->map_cost, "grid_cost", fit->grid_cost, "model",
        refine_model_name(&fit->transform, fit->model), "credible", fit->credible);
    if (json_array_append_new(refinery->levels, entry) < 0)
        return failure_set(failure, -ENOMEM, "no memory for the refinement's result");
    return 0;
}

/* One level: choose tiles, measure, fit. The result's map is replaced by the better one, if it is
 * credible; *ret_credible tells. */
static int refine_level(struct refinery *refinery, const struct level_plan *plan,
                        struct refine_result *result, bool *ret_credible, struct failure *failure) {
    struct tiles_choice choice = {.level = plan->level,
                                  .size = plan->tile_px,
                                  .least_cells = LEAST_CELLS,
                                  .overlap = plan->overlap,
                                  .most_tiles = plan->most_tiles,
                                  .transform = &result->transform};
    CLEANUP(tiles_free) struct tiles_grid grid = {0};
    int r =
        tiles_choose(&refinery->texture, &refinery->pre, &refinery->post, &choice, &grid, failure);
    if (r < 0)
        return r;
    if (plan->parity != TILES_BOTH) /* those for judging are not even looked at */
        tiles_keep(&grid, plan->parity);
    if (plan->tile_px && grid.count < GRID_TILES / 2 && grid.size / 2 >= LEAST_TILE_PX &&
        tiles_quarter(&grid) < 0)
        return failure_set(failure, -ENOMEM, "no memory for %zu cells", 4 * grid.count);
    CLEANUP_TRACKED struct tile_shift *shifts =
        tracked_alloc(grid.count + 1, sizeof(*shifts), "tiles");
    CLEANUP_TRACKED struct fit_match *matches =
        tracked_alloc(grid.count + 1, sizeof(*matches), "matches");
    if (!shifts || !matches)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", grid.count);
    struct tile_request how = {.reach_px = grid.size / 4};
    r = tiles_measure_grid(refinery->crew, &grid, &result->transform, &how, plan->progress, shifts,
                           failure);
    if (r < 0)
        return r;
    size_t count = gather_matches(&grid, shifts, &result->transform, plan->parity, matches);
    struct ladder_request request = {.params = refinery->context->params,
                                     .width = refinery->post.layout.width,
                                     .height = refinery->post.layout.height,
                                     .level = plan->level,
                                     .reach_px = how.reach_px,
                                     .start = &result->transform};
    struct ladder_fit fit;
    r = ladder_climb(matches, count, &request, &fit, failure);
    if (r < 0)
        return r;
    if (plan->level == 0 && !plan->overlap && !plan->tile_px)
        result->tile_px = grid.size;
    if (fit.credible) {
        result->transform = fit.transform;
        result->model = fit.model;
    }
    *ret_credible = fit.credible;
    return note_level(refinery, plan, &grid, &fit, failure);
}

/* Positive: b is the better one. */
static int compare_verdicts(const struct referee_verdict *a, const struct referee_verdict *b) {
    double p = referee_accident(a->votes, a->tiles), q = referee_accident(b->votes, b->tiles);
    return p != q ? (p > q) - (p < q) : b->votes - a->votes;
}

/* Stable, so that ties keep the search's order; at most 16. */
static void sort_verdicts(struct referee_verdict *verdicts, int count) {
    for (int i = 1; i < count; i++) {
        struct referee_verdict moving = verdicts[i];
        int j = i;
        for (; j > 0 && compare_verdicts(&verdicts[j - 1], &moving) > 0; j--)
            verdicts[j] = verdicts[j - 1];
        verdicts[j] = moving;
    }
}

/* Mean distance between two maps over the corners of the post image, px. */
static double map_distance(const struct refinery *refinery, const struct map *a,
                           const struct map *b) {
    double sum = 0;
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? refinery->post.layout.width : 0;
        double y = corner & 2 ? refinery->post.layout.height : 0;
        struct map_point p = map_apply(a, x, y), q = map_apply(b, x, y);
        sum += hypot(p.x - q.x, p.y - q.y) / 4;
    }
    return sum;
}

/* One hypothesis, or one that was tried before. An implausible map keeps its start, without votes.
 */
static int try_map(struct refinery *refinery, const struct referee *referee, int reach_px,
                   struct tiles_span span, struct referee_verdict *verdict,
                   struct failure *failure) {
    struct referee_verdict tried;
    refinery->pre.inverted = verdict->inverted;
    int r = referee_try(referee, &verdict->map, reach_px, false, span, &tried, failure);
    if (r < 0)
        return r;
    if (plausible(refinery, &tried.map)) {
        verdict->votes = tried.votes;
        verdict->tiles = tried.tiles;
        verdict->level = tried.level;
        verdict->map = tried.map;
    }
    return 0;
}

/* Tries every hypothesis, and the best ones again from their fitted maps. Best first. */
static int try_hypotheses(struct refinery *refinery, const struct referee *referee,
                          struct referee_verdict *ret, struct failure *failure) {
    int count = refinery->search.count;
    for (int i = 0; i < count; i++) {
        const struct search_hypothesis *hypothesis = &refinery->search.hypotheses[i];
        struct tiles_span span = {0.3 * i / count, 0.3 * (i + 1) / count};
        ret[i] = (struct referee_verdict){.map = hypothesis->map,
                                          .search_score = hypothesis->score,
                                          .found_by = hypothesis->found_by,
                                          .inverted = hypothesis->inverted};
        int r = try_map(refinery, referee, FIRST_REACH_PX, span, &ret[i], failure);
        if (r < 0)
            return r;
    }
    sort_verdicts(ret, count);
    for (int i = 0; i < count && i < TRIED_AGAIN; i++) {
        struct tiles_span span = {0.3 + 0.02 * i, 0.32 + 0.02 * i};
        int r = try_map(refinery, referee, SECOND_REACH_PX, span, &ret[i], failure);
        if (r < 0)
            return r;
    }
    sort_verdicts(ret, count);
    return 0;
}

static bool same_place(const struct refinery *refinery, const struct referee *referee,
                       const struct referee_verdict *a, const struct referee_verdict *b) {
    return a->inverted == b->inverted &&
           map_distance(refinery, &a->map, &b->map) <= ldexp(SECOND_REACH_PX, referee->level);
}

/* What the winner has to beat: hypotheses that were not led to the same place. */
static void note_rivals(const struct refinery *refinery, const struct referee *referee,
                        const struct referee_verdict *verdicts, struct refine_result *result) {
    for (int i = 0; i < refinery->search.count; i++) {
        const struct referee_verdict *verdict = &verdicts[i];
        if (same_place(refinery, referee, &verdicts[0], verdict)) {
            result->search_score = fmax(result->search_score, verdict->search_score);
            result->found_by |= verdict->found_by;
            continue;
        }
        double accident = referee_accident(verdict->votes, verdict->tiles);
        if (accident < referee_accident(result->runner_up_votes, result->runner_up_tiles)) {
            result->runner_up_votes = verdict->votes;
            result->runner_up_tiles = verdict->tiles;
        }
        result->search_runner_up = fmax(result->search_runner_up, verdict->search_score);
    }
}

/* Whether so few tiles agree with the best place that it may be an accident, or that another one is
 * nearly as good. */
static bool in_doubt(const struct refinery *refinery, const struct referee *referee,
                     const struct referee_verdict *verdicts) {
    double accident = referee_accident(verdicts[0].votes, verdicts[0].tiles);
    for (int i = 1; i < refinery->search.count; i++)
        if (!same_place(refinery, referee, &verdicts[0], &verdicts[i]) &&
            referee_nearly_as_good(referee_accident(verdicts[i].votes, verdicts[i].tiles),
                                   accident))
            return true;
    return accident >= BY_ACCIDENT;
}

/* Where tiles leave doubts, all pixels are asked. A place that has clearly more in common than all
 * others wins. */
static int ask_pixels(struct refinery *refinery, const struct referee *referee,
                      struct referee_verdict *verdicts, struct refine_result *result,
                      struct failure *failure) {
    size_t count = (size_t)refinery->search.count, best = 0;
    if (!in_doubt(refinery, referee, verdicts))
        return 0;
    struct joint_rival rivals[SEARCH_MAX_HYPOTHESES];
    const struct joint_request request = {.context = refinery->context,
                                          .pre = &refinery->pre,
                                          .post = &refinery->post,
                                          .texture = &refinery->texture};
    for (size_t i = 0; i < count; i++)
        rivals[i] = (struct joint_rival){verdicts[i].map, verdicts[i].inverted, 0};
    refinery->pre.inverted = false;
    int r = joint_compare(&request, rivals, count, failure);
    for (size_t i = 1; i < count; i++)
        best = rivals[i].common > rivals[best].common ? i : best;
    double next = 0;
    for (size_t i = 0; i < count; i++)
        if (!same_place(refinery, referee, &verdicts[i], &verdicts[best]))
            next = fmax(next, rivals[i].common);
    if (r < 0 || rivals[best].common < CLEARLY_MORE_COMMON * next)
        return r;
    result->common = rivals[best].common;
    result->runner_up_common = next;
    struct referee_verdict winner = verdicts[best];
    memmove(verdicts + 1, verdicts, best * sizeof(*verdicts));
    verdicts[0] = winner;
    return 0;
}

/* *ret_level: where the winner was judged. */
static int choose_winner(struct refinery *refinery, struct refine_result *result, int *ret_level,
                         struct failure *failure) {
    const struct referee referee = {.crew = refinery->crew,
                                    .texture = &refinery->texture,
                                    .pre = &refinery->pre,
                                    .post = &refinery->post,
                                    .seed = refinery->context->params->seed,
                                    .level = referee_level(&refinery->post)};
    struct referee_verdict verdicts[SEARCH_MAX_HYPOTHESES] = {{0}}, mirrored = {0};
    int r = try_hypotheses(refinery, &referee, verdicts, failure);
    if (r < 0)
        return r;
    r = ask_pixels(refinery, &referee, verdicts, result, failure);
    if (r < 0)
        return r;
    result->transform = (struct transform){.map = verdicts[0].map};
    result->inverted = verdicts[0].inverted;
    result->votes = verdicts[0].votes;
    result->tiles = verdicts[0].tiles;
    *ret_level = verdicts[0].level;
    note_rivals(refinery, &referee, verdicts, result);
    struct tiles_span span = {0.38, 0.4};
    refinery->pre.inverted = false;
    r = referee_try(&referee, &refinery->search.mirrored.map, FIRST_REACH_PX, true, span, &mirrored,
                    failure);
    if (r < 0)
        return r;
    refinery->pre.inverted = result->inverted;
    result->mirrored_votes = mirrored.votes;
    result->mirrored_tiles = mirrored.tiles;
    return 0;
}

/* All pixels of the even cells at once, where tiles do not know the map well. */
static int join_winner(struct refinery *refinery, double spread_px, struct refine_result *result,
                       struct failure *failure) {
    if (spread_px <= joint_needless_px)
        return 0;
    const struct joint_request request = {.context = refinery->context,
                                          .pre = &refinery->pre,
                                          .post = &refinery->post,
                                          .texture = &refinery->texture,
                                          .tile_px = result->tile_px,
                                          .parity = TILES_EVEN};
    struct joint_map joint;
    int r = joint_fit(&request, &result->transform.map, &joint, failure);
    if (r < 0 || !joint_serves_better(&joint, spread_px) || !plausible(refinery, &joint.map))
        return r;
    result->transform.map = joint.map;
    result->model = joint.model;
    result->fine = true;
    return 0;
}

/* Where a reduced level's tiles did not agree on a map already: from the referee's. */
static int join_unrefined(struct refinery *refinery, struct refine_result *result,
                          struct failure *failure) {
    result->tile_px = UNREFINED_TILE_PX;
    int r = join_winner(refinery, UNREFINED_SPREAD_PX, result, failure);
    if (!result->fine)
        result->tile_px = 0;
    return r;
}

/* The same cells as the last level's, and more of them. Where single cells say little, the map of
 * the level before can be the better one. */
static int polish_winner(struct refinery *refinery, const struct polish_map *coarser,
                         struct refine_result *result, struct failure *failure) {
    struct tiles_choice choice = {
        .size = result->tile_px, .most_tiles = MOST_TILES, .transform = &result->transform};
    CLEANUP(tiles_free) struct tiles_grid grid = {0};
    int r =
        tiles_choose(&refinery->texture, &refinery->pre, &refinery->post, &choice, &grid, failure);
    if (r < 0)
        return r;
    tiles_keep(&grid, TILES_EVEN);
    const struct polish_request request = {.crew = refinery->crew,
                                           .grid = &grid,
                                           .params = refinery->context->params,
                                           .width = refinery->post.layout.width,
                                           .height = refinery->post.layout.height,
                                           .progress = {0.85, 1}};
    struct polish_map polished = {result->transform.map, result->model, result->look, HUGE_VAL};
    const struct polish_map starts[] = {polished, *coarser};
    r = polish_run(&request, starts, ARRAY_LEN(starts), &polished, failure);
    result->transform.map = polished.map;
    result->model = polished.model;
    result->look = polished.look;
    return r == 0 ? join_winner(refinery, polished.spread_px, result, failure) : r;
}

/* The referee's level, one in the middle when there is room for one, the full resolution. */
static int refine_winner(struct refinery *refinery, struct refine_result *result, int top,
                         struct failure *failure) {
    int middle = 0;
    uint32_t longer = refinery->post.layout.width > refinery->post.layout.height
                          ? refinery->post.layout.width
                          : refinery->post.layout.height;
    while ((longer >> middle) > MIDDLE_SIDE_PX)
        middle++;
    middle = middle == 1 ? 2 : middle; /* level 1 costs as much to read as level 0 */
    const struct level_plan plans[] = {{top, true, TILES_BOTH, {0.4, 0.45}, MOST_TILES, 0},
                                       {middle, false, TILES_BOTH, {0.45, 0.6}, MOST_TILES, 0},
                                       {0, false, TILES_EVEN, {0.6, 0.8}, MOST_TILES, 0}};
    bool credible = true;
    struct polish_map coarser = {0};
    for (size_t i = 0; i < ARRAY_LEN(plans) && credible; i++) {
        if (i == 1 && (middle == 0 || middle >= top))
            continue;
        coarser = (struct polish_map){result->transform.map, result->model, result->look, HUGE_VAL};
        int r = refine_level(refinery, &plans[i], result, &credible, failure);
        if (r < 0)
            return r;
    }
    if (transform_has_grid(&result->transform) && credible) {
        /* a field has more to be told, and through it tiles are seen undistorted */
        const struct level_plan again = {0,           false,      TILES_EVEN,
                                         {0.8, 0.85}, GRID_TILES, result->tile_px};
        int r = refine_level(refinery, &again, result, &credible, failure);
        if (r < 0)
            return r;
    }
    if (transform_has_grid(&result->transform))
        return 0;
    if (result->tile_px == 0)
        return join_unrefined(refinery, result, failure);
    return polish_winner(refinery, &coarser, result, failure);
}

static int describe(struct refinery *refinery, const struct refine_result *result,
                    json_t **ret_refine, struct failure *failure) {
    *ret_refine = json_pack(
        "{s:s,s:s,s:i,s:b,s:{s:i,s:i,s:f,s:f},s:{s:i,s:i,s:f,s:f},s:{s:i,s:i},s:O,s:i,s:{s:b,s:f},"
        "s:o}",
        "model", refine_model_name(&result->transform, result->model), "reason", result->reason,
        "tile_px", result->tile_px, "joint", result->fine, "referee", "votes", result->votes,
        "tiles", result->tiles, "search_score", result->search_score, "common", result->common,
        "runner_up", "votes", result->runner_up_votes, "tiles", result->runner_up_tiles,
        "search_score", result->search_runner_up, "common", result->runner_up_common, "mirrored",
        "votes", result->mirrored_votes, "tiles", result->mirrored_tiles, "levels",
        refinery->levels, "contrast", result->inverted ? -1 : 1, "look", "bent", result->look.bent,
        "smooth_px", result->look.smooth_px, "found_by", evidence_write(result->found_by));
    if (!*ret_refine)
        return failure_set(failure, -ENOMEM, "no memory for the refinement's result");
    return transform_write(&result->transform, *ret_refine, failure);
}

static int open_refinery(struct refinery *refinery, struct tile_pair *pair,
                         struct failure *failure) {
    *pair = (struct tile_pair){.context = refinery->context,
                               .pre = &refinery->pre,
                               .post = &refinery->post,
                               .with_images = true,
                               .cache_bytes = CACHE_BYTES};
    refinery->levels = json_array();
    double pitch =
        thumbnail_pitch(&refinery->post.layout, &refinery->post.layout, TILES_TEXTURE_SIDE_PX);
    int r = thumbnail_load(refinery->context, "post", &refinery->post, pitch, &refinery->texture,
                           failure);
    if (r < 0)
        return r;
    feature_tone(&refinery->post, refinery->texture.pixels,
                 (size_t)refinery->texture.width * (size_t)refinery->texture.height);
    return tiles_crew_open(pair, &refinery->crew, failure);
}

int align_refine(const struct align_context *context, const json_t *pre_survey,
                 const json_t *post_survey, const json_t *search, json_t **ret_refine,
                 struct failure *failure) {
    CLEANUP(refinery_cleanup) struct refinery refinery = {.context = context};
    struct refine_result result = {.transform = {.map = map_identity}};
    struct tile_pair pair;
    int level = 0;
    int r = survey_read(pre_survey, "the pre survey", &refinery.pre, failure);
    if (r == 0)
        r = survey_read(post_survey, "the post survey", &refinery.post, failure);
    if (r == 0)
        r = search_read(search, &refinery.search, failure);
    if (r == 0)
        r = open_refinery(&refinery, &pair, failure);
    if (r < 0)
        return r;
    if (refinery.search.count == 0) {
        (void)snprintf(result.reason, sizeof(result.reason), "%s", refinery.search.reason);
        return describe(&refinery, &result, ret_refine, failure);
    }
    r = choose_winner(&refinery, &result, &level, failure);
    if (r == 0)
        r = refine_winner(&refinery, &result, level, failure);
    return r == 0 ? describe(&refinery, &result, ret_refine, failure) : r;
}
