/* See referee.h. */
#include "worker/align/referee.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <float.h>
#include <math.h>

enum {
    LEVEL_SIDE_PX = 512,
    MOST_TILES = 60,
    ENOUGH_TILES = 40, /* so many agree by accident next to never */
    FINER_LEVELS = 2,  /* a hypothesis is good to some pixels of the level only */
};

/* A vote by accident: the share of the reach that agrees, and some more for overlapping tiles. */
static const double CHANCE = 0.03;
/* Of the evidence (the logarithm of accident) for the winner. */
static const double RUNNER_UP_SHARE = 0.6;
static const double AGREE_PX = 2.5; /* of the level */

/* The tiles overlap by half, so only half of them count as independent. */
double referee_accident(int votes, int tiles) {
    return fmax(fit_binomial_tail(tiles / 2, votes / 2, CHANCE), DBL_MIN);
}

bool referee_nearly_as_good(double rival, double winner) {
    return log(rival) < RUNNER_UP_SHARE * log(winner);
}

int referee_level(const struct survey *post) {
    uint32_t longer =
        post->layout.width > post->layout.height ? post->layout.width : post->layout.height;
    int level = 0;
    while (level < post->layout.last_level && (longer >> level) > LEVEL_SIDE_PX)
        level++;
    return level;
}

/* A reflected match becomes an ordinary one when the moving image is reflected too. */
static void reflect(struct fit_match *match) {
    match->u = -match->u;
    match->info_xy = -match->info_xy;
}

struct halves {
    struct fit_match *matches; /* even cells first */
    size_t n_even, n_odd;
};

static void halves_cleanup(struct halves *halves) { tracked_free(halves->matches); }

static int count_votes(const struct fit_match *fitted, size_t n_fitted,
                       const struct fit_match *voters, size_t n_voters,
                       const struct fit_options *options) {
    struct map map;
    if (fit_run(fitted, n_fitted, options, &map) < 0)
        return 0;
    int votes = 0;
    for (size_t i = 0; i < n_voters; i++)
        votes += fit_residual(&voters[i], &map) < options->inlier_px;
    return votes;
}

static void vote(const struct referee *referee, const struct halves *halves, bool mirror,
                 struct referee_verdict *verdict) {
    struct fit_options options = {.model = FIT_SIMILARITY,
                                  .inlier_px = ldexp(AGREE_PX, verdict->level),
                                  .seed = referee->seed};
    const struct fit_match *even = halves->matches, *odd = even + halves->n_even;
    verdict->votes = count_votes(even, halves->n_even, odd, halves->n_odd, &options) +
                     count_votes(odd, halves->n_odd, even, halves->n_even, &options);
    struct map map;
    if (fit_run(even, halves->n_even + halves->n_odd, &options, &map) < 0)
        return;
    if (mirror)
        for (int i = 0; i < 3; i++)
            map.h[i] = -map.h[i];
    verdict->map = map;
}

static int collect(const struct tiles_grid *grid, const struct tile_shift *shifts,
                   const struct transform *start, bool mirror, struct halves *ret,
                   struct failure *failure) {
    ret->matches = tracked_alloc(grid->count + 1, sizeof(*ret->matches), "matches");
    if (!ret->matches)
        return failure_set(failure, -ENOMEM, "no memory for %zu matches", grid->count);
    size_t n = 0;
    for (int parity = TILES_EVEN; parity <= TILES_ODD; parity++) {
        for (size_t i = 0; i < grid->count; i++) {
            if (!shifts[i].measured || grid->cells[i].parity != parity)
                continue;
            ret->matches[n] = tiles_match(grid, &grid->cells[i], &shifts[i], start);
            if (mirror)
                reflect(&ret->matches[n]);
            n++;
        }
        if (parity == TILES_EVEN)
            ret->n_even = n;
    }
    ret->n_odd = n - ret->n_even;
    return 0;
}

/* Tiles of the level, or of a finer one where the images share so little that there are too few. */
static int choose_tiles(const struct referee *referee, const struct transform *start,
                        struct tiles_grid *ret, struct failure *failure) {
    int finest = referee->level - FINER_LEVELS;
    struct tiles_choice choice = {
        .level = referee->level, .overlap = true, .most_tiles = MOST_TILES, .transform = start};
    for (;; choice.level--) {
        tiles_free(ret);
        int r = tiles_choose(referee->texture, referee->pre, referee->post, &choice, ret, failure);
        if (r < 0 || ret->count >= ENOUGH_TILES || choice.level == 0 || choice.level == finest)
            return r;
    }
}

int referee_try(const struct referee *referee, const struct map *map, int reach_px, bool mirror,
                struct tiles_span progress, struct referee_verdict *ret, struct failure *failure) {
    struct transform start = {.map = *map};
    CLEANUP(tiles_free) struct tiles_grid grid = {0};
    int r = choose_tiles(referee, &start, &grid, failure);
    if (r < 0)
        return r;
    CLEANUP_TRACKED struct tile_shift *shifts =
        tracked_alloc(grid.count + 1, sizeof(*shifts), "tiles");
    if (!shifts)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", grid.count);
    struct tile_request how = {.peak_only = true};
    how.reach_px = reach_px < grid.size / 3 ? reach_px : grid.size / 3;
    r = tiles_measure_grid(referee->crew, &grid, &start, &how, progress, shifts, failure);
    if (r < 0)
        return r;
    CLEANUP(halves_cleanup) struct halves halves = {0};
    r = collect(&grid, shifts, &start, mirror, &halves, failure);
    if (r < 0)
        return r;
    struct referee_verdict verdict = {.tiles = (int)grid.count, .level = grid.level, .map = *map};
    vote(referee, &halves, mirror, &verdict);
    *ret = verdict;
    return 0;
}
