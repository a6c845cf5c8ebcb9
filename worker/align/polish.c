/* See polish.h. */
#include "worker/align/polish.h"

#include "worker/align/error_bar.h"
#include "worker/align/refine.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    CROSS_FOLDS = 5,
    LEAST_A_PARAMETER = 4,
    SPREAD_ROUNDS = 40,
    FIRST_REACH_PX = 4,
    REACH_PX = 3,
    LAST_REACH_PX = 2,
    LAST_ROUNDS = 3,              /* in the best look */
    ROUNDS = 4 + 2 * LAST_ROUNDS, /* at most */
};

static const double TRUNCATE = 3; /* times the median: larger misfits count as this */
/* Deviations of the mean gain: a higher model must gain more than chance; and much more than the
 * one that was chosen before. */
static const double CLEAR_GAIN = 0.5, CLEAR_GAIN_AGAIN = 2;
/* Tiles that hardly correlate show different things. */
static const double LEAST_CORRELATION = 0.08;

/* A map that is known so well needs no other look. */
static const double WELL_KNOWN_PX = 0.4;
/* A map that is known so well needs no better look. */
static const double KNOWN_ENOUGH_PX = 0.02;

/* A round that moves no corner by more is the last one. */
static const double STANDS_STILL_PX = 0.1;

struct polisher {
    const struct polish_request *request;
    struct tile_shift *shifts;
    struct fit_match *matches, *relative;
    struct map_point *places;
    double *lower, *higher, *scratch; /* misfits of left-out matches */
    struct polish_map at;             /* the best so far */
    size_t count;                     /* of the matches that it was fitted to */
    enum fit_model least_model;
    double clear_gain; /* that a model above it must have */
    int rounds;        /* done */
};

static size_t gather_matches(const struct polisher *polisher, const struct map *map) {
    struct transform transform = {.map = *map};
    size_t n = 0;
    const struct tiles_grid *grid = polisher->request->grid;
    for (size_t i = 0; i < grid->count; i++)
        if (polisher->shifts[i].measured &&
            fabs(polisher->shifts[i].correlation) > LEAST_CORRELATION)
            polisher->matches[n++] =
                tiles_match(grid, &grid->cells[i], &polisher->shifts[i], &transform);
    return n;
}

/* Squared and truncated, as the fit sees them. */
static double cost_of(double misfit, double cut) { return fmin(misfit * misfit, cut * cut); }

/* Whether left-out tiles lie nearer to the higher model, by more than chance. */
static bool gains(const double *lower, const double *higher, size_t count, double cut,
                  double clear) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        double gain = cost_of(lower[i], cut) - cost_of(higher[i], cut);
        sum += gain;
        squares += gain * gain;
    }
    return sum > clear * sqrt(squares);
}

static enum fit_model choose_model(const struct polisher *polisher, size_t count,
                                   const struct map *start) {
    switch (polisher->request->params->model) {
    case PARAMS_MODEL_SIMILARITY:
        return FIT_SIMILARITY;
    case PARAMS_MODEL_AFFINE:
    case PARAMS_MODEL_GRID:
        return FIT_AFFINE;
    case PARAMS_MODEL_HOMOGRAPHY:
        return FIT_HOMOGRAPHY;
    case PARAMS_MODEL_AUTO:
    case PARAMS_MODEL_COUNT:
        break;
    }
    enum fit_model best = polisher->least_model;
    double *lower = polisher->lower, *higher = polisher->higher;
    fit_cross_misfits(polisher->matches, count, best, start, CROSS_FOLDS, lower);
    for (enum fit_model model = best + 1; model < FIT_MODEL_COUNT; model++) {
        if (count < LEAST_A_PARAMETER * fit_least_matches(model))
            break;
        fit_cross_misfits(polisher->matches, count, model, start, CROSS_FOLDS, higher);
        memcpy(polisher->scratch, higher, count * sizeof(*higher));
        double cut = TRUNCATE * fit_quantile(polisher->scratch, count, 0.5);
        if (!gains(lower, higher, count, cut, polisher->clear_gain))
            continue;
        best = model;
        memcpy(lower, higher, count * sizeof(*higher));
    }
    return best;
}

/* How well the map is known where the cells are, px. */
static int find_spread(struct polisher *polisher, size_t count, double *ret_px,
                       struct failure *failure) {
    const struct polish_request *request = polisher->request;
    const struct map *map = &polisher->at.map;
    double right = request->width - 1, bottom = request->height - 1;
    const struct map_point corners[ERROR_BAR_CORNERS] = {
        {0, 0}, {right, 0}, {right, bottom}, {0, bottom}};
    struct error_bar bar;
    size_t n = 0;
    for (; n < ERROR_BAR_CORNERS; n++)
        polisher->places[n] = map_apply(map, corners[n].x, corners[n].y);
    const struct tiles_grid *grid = request->grid;
    for (size_t i = 0; i < grid->count; i++) {
        double half = (grid->size - 1) / 2.0;
        polisher->places[n++] = map_apply(map, grid->cells[i].x + half, grid->cells[i].y + half);
    }
    for (size_t i = 0; i < count; i++) {
        struct map_point at = map_apply(map, polisher->matches[i].x, polisher->matches[i].y);
        polisher->relative[i] = polisher->matches[i];
        polisher->relative[i].x = at.x;
        polisher->relative[i].y = at.y;
    }
    const struct error_bar_sample sample = {.matches = polisher->relative,
                                            .count = count,
                                            .places = polisher->places,
                                            .n_places = n,
                                            .model = polisher->at.model,
                                            .rounds = SPREAD_ROUNDS,
                                            .seed = request->params->seed};
    int r = error_bar_find(&sample, &bar, failure);
    *ret_px = r == 0 && bar.tiles > 0 ? bar.tissue_px : HUGE_VAL;
    return r;
}

/* One round: measures, chooses the model, fits. *ret_spread_px: HUGE_VAL when there was nothing to
 * fit. */
static int polish_once(struct polisher *polisher, const struct tile_look *look, int reach_px,
                       double *ret_spread_px, struct failure *failure) {
    const struct polish_request *request = polisher->request;
    struct transform transform = {.map = polisher->at.map};
    struct tile_request how = {.reach_px = reach_px, .stay = true, .look = *look};
    double step = (request->progress.to - request->progress.from) / ROUNDS;
    double from = request->progress.from + polisher->rounds++ * step;
    int r = tiles_measure_grid(request->crew, request->grid, &transform, &how,
                               (struct tiles_span){from, from + step}, polisher->shifts, failure);
    if (r < 0)
        return r;
    if (ret_spread_px)
        *ret_spread_px = HUGE_VAL;
    size_t count = gather_matches(polisher, &polisher->at.map);
    if (count < LEAST_A_PARAMETER * fit_least_matches(FIT_SIMILARITY))
        return 0;
    for (enum fit_model chosen = choose_model(polisher, count, &polisher->at.map);; chosen--) {
        if (fit_polish(polisher->matches, count, chosen, &polisher->at.map, &transform.map) == 0 &&
            refine_is_plausible(&transform, request->params, request->width, request->height)) {
            polisher->at = (struct polish_map){transform.map, chosen, *look, HUGE_VAL};
            polisher->count = count;
            return ret_spread_px ? find_spread(polisher, count, ret_spread_px, failure) : 0;
        }
        if (chosen == FIT_SIMILARITY)
            return 0;
    }
}

/* Tries the look; it replaces the best one when it serves better. */
static int try_look(struct polisher *polisher, const struct tile_look *look, int reach_px,
                    struct tile_look *best, double *best_px, struct failure *failure) {
    double spread_px = HUGE_VAL;
    if (*best_px <= KNOWN_ENOUGH_PX)
        return 0;
    int r = polish_once(polisher, look, reach_px, &spread_px, failure);
    if (r == 0 && spread_px < *best_px) {
        *best = *look;
        *best_px = spread_px;
    }
    return r;
}

/* The start that is the surest after one round. */
static int choose_start(struct polisher *polisher, const struct polish_map *starts, size_t count,
                        struct tile_look *look, double *spread_px, struct failure *failure) {
    const struct tile_look first = *look;
    struct polish_map best = starts[0];
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        double before = *spread_px;
        polisher->at = starts[i];
        r = try_look(polisher, &first, FIRST_REACH_PX, look, spread_px, failure);
        if (*spread_px < before)
            best = polisher->at;
    }
    polisher->at = best;
    return r;
}

/* Line or parabola first, then less blur or more. */
static int find_look(struct polisher *polisher, const struct polish_map *starts, size_t count,
                     struct tile_look *ret, struct failure *failure) {
    static const double blurs[] = {0.8, 3.2};
    double spread_px = HUGE_VAL;
    struct tile_look best = {.smooth_px = 1.6};
    int r = choose_start(polisher, starts, count, &best, &spread_px, failure);
    struct tile_look look = {.smooth_px = best.smooth_px, .bent = true};
    if (r == 0)
        r = try_look(polisher, &look, REACH_PX, &best, &spread_px, failure);
    look = best;
    for (size_t i = 0; i < ARRAY_LEN(blurs) && r == 0; i++) {
        look.smooth_px = blurs[i];
        r = try_look(polisher, &look, REACH_PX, &best, &spread_px, failure);
    }
    *ret = best;
    return r;
}

/* At the corners of the post image, px. */
static double farthest_apart(const struct polish_request *request, const struct map *a,
                             const struct map *b) {
    double farthest = 0;
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? request->width - 1 : 0, y = corner & 2 ? request->height - 1 : 0;
        struct map_point p = map_apply(a, x, y), q = map_apply(b, x, y);
        farthest = fmax(farthest, hypot(p.x - q.x, p.y - q.y));
    }
    return farthest;
}

static void polisher_cleanup(struct polisher *polisher) {
    tracked_free(polisher->shifts);
    tracked_free(polisher->matches);
    tracked_free(polisher->relative);
    tracked_free(polisher->places);
    tracked_free(polisher->lower);
}

static int open_polisher(const struct polish_request *request, struct polisher *ret,
                         struct failure *failure) {
    size_t count = request->grid->count;
    *ret = (struct polisher){
        .request = request,
        .clear_gain = CLEAR_GAIN,
        .shifts = tracked_alloc(count + 1, sizeof(*ret->shifts), "tiles"),
        .matches = tracked_alloc(count + 1, sizeof(*ret->matches), "matches"),
        .relative = tracked_alloc(count + 1, sizeof(*ret->relative), "matches"),
        .places = tracked_alloc(count + ERROR_BAR_CORNERS, sizeof(*ret->places), "matches"),
        .lower = tracked_alloc(3 * count + 1, sizeof(*ret->lower), "residuals"),
    };
    if (!ret->shifts || !ret->matches || !ret->relative || !ret->places || !ret->lower)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", count);
    ret->higher = ret->lower + count;
    ret->scratch = ret->higher + count;
    return 0;
}

/* Until the map stands still; it is left in polisher->at. */
static int run_last_rounds(struct polisher *polisher, const struct tile_look *look,
                           struct failure *failure) {
    const struct polish_request *request = polisher->request;
    double moved_px = HUGE_VAL;
    int r = 0;
    for (int i = 0; i < LAST_ROUNDS && r == 0 && moved_px > STANDS_STILL_PX; i++) {
        struct map before = polisher->at.map;
        polisher->count = 0;
        r = polish_once(polisher, look, LAST_REACH_PX, NULL, failure);
        moved_px = farthest_apart(request, &before, &polisher->at.map);
    }
    return r;
}

int polish_run(const struct polish_request *request, const struct polish_map *starts, size_t count,
               struct polish_map *ret, struct failure *failure) {
    CLEANUP(polisher_cleanup) struct polisher polisher = {0};
    struct tile_look look = {0};
    int r = open_polisher(request, &polisher, failure);
    if (r == 0)
        r = find_look(&polisher, starts, count, &look, failure);
    if (r == 0)
        r = run_last_rounds(&polisher, &look, failure);
    polisher.at.spread_px = HUGE_VAL;
    if (r == 0 && polisher.count > 0)
        r = find_spread(&polisher, polisher.count, &polisher.at.spread_px, failure);
    if (r == 0)
        *ret = polisher.at;
    return r;
}

int polish_again(const struct polish_request *request, const struct polish_map *start,
                 struct polish_map *ret, struct fit_match *ret_matches, size_t *ret_count,
                 struct failure *failure) {
    CLEANUP(polisher_cleanup) struct polisher polisher = {0};
    int r = open_polisher(request, &polisher, failure);
    polisher.at = *start;
    polisher.least_model = start->model;
    polisher.clear_gain = CLEAR_GAIN_AGAIN;
    if (r == 0)
        r = run_last_rounds(&polisher, &start->look, failure);
    double spread_px = 0;
    if (r == 0 && polisher.count > 0)
        r = find_spread(&polisher, polisher.count, &spread_px, failure);
    if (r == 0 && spread_px > WELL_KNOWN_PX) {
        const struct polish_map before = polisher.at;
        struct tile_look look = {0};
        r = find_look(&polisher, &before, 1, &look, failure);
        if (r == 0)
            r = run_last_rounds(&polisher, &look, failure);
    }
    if (r < 0)
        return r;
    *ret = polisher.at;
    *ret_count = polisher.count;
    memcpy(ret_matches, polisher.matches, polisher.count * sizeof(*ret_matches));
    return 0;
}
