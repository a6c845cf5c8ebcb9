/* See ladder.h. */
#include "worker/align/ladder.h"

#include "worker/align/bspline_fit.h"
#include "worker/align/refine.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    CROSS_FOLDS = 5,
    FREE_TILES = 4, /* a fit brings about so many into agreement by itself */
    NEIGHBOURS = 8, /* that a match must not contradict */
    LEAST_GRID_MATCHES = 24,
    LEAST_CELLS = 3,
    PATIENCE = 3, /* so many softer fields in a row without a gain: no more are tried */
};

static const double PI = 3.14159265358979323846;
static const double CHANCE_LIMIT = 1e-6;  /* a fit less likely by accident is believed */
static const double INLIER_PX = 5;        /* of the level: farther off counts as wrong */
static const double CLEARLY_FALLS = 0.93; /* residuals of left-out tiles, for a higher model */
static const double CLEARLY_PX = 0.004;
/* The same for a grid, which can follow errors: 600 undeformed pairs reached 0.71. */
static const double GRID_CLEARLY_FALLS = 0.7;
static const double GRID_CLEARLY_PX = 0.01;
static const double TRUNCATE = 3;          /* times the median: larger residuals count as this */
static const double CONTRADICTS = 3;       /* times the neighbours' own usual difference */
static const double LEAST_SPREAD_PX = 0.7; /* of the level: what neighbours may always differ */
static const double SURROUNDED = 0.3;      /* of the mean distance */
static const double MATCHES_PER_CELL = 1;
/* Tried from stiff to soft, px^2 per match and unit of energy; and how clearly a softer one must be
 * better. */
static const double PENALTIES[] = {1, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7};
static const double SOFTER_FALLS = 0.98;

/* px of the level: farther off counts as wrong. Well below the reach, or all would be right. */
static double inlier_px(const struct ladder_request *request) {
    return fmin(INLIER_PX, request->reach_px / 3.0);
}

static double inlier_full_px(const struct ladder_request *request) {
    return ldexp(inlier_px(request), request->level);
}

static bool plausible(const struct ladder_request *request, const struct transform *transform) {
    return refine_is_plausible(transform, request->params, request->width, request->height);
}

/* Whether so many tiles can lie near one map by accident. */
static bool is_credible(const struct ladder_request *request, size_t count, size_t agreeing) {
    double share = inlier_px(request) / (2.0 * request->reach_px + 1);
    double chance = PI * share * share;
    /* fitting itself brings a few tiles into agreement */
    int earned = (int)agreeing - FREE_TILES;
    return fit_binomial_tail((int)count, earned, chance) < CHANCE_LIMIT;
}

static double truncated_mean(const double *residuals, size_t count, double cut_px) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += fmin(residuals[i], cut_px) / (double)count;
    return sum;
}

/* --- projective maps --- */

static double cross_cost(const struct fit_match *matches, size_t count, enum fit_model model,
                         const struct map *start, double cut_px, double *scratch) {
    fit_cross_residuals(matches, count, model, start, CROSS_FOLDS, scratch);
    return truncated_mean(scratch, count, cut_px);
}

/* The model that params ask for, or the lowest one that those above do not clearly beat. */
static enum fit_model choose_model(const struct params *params, const struct fit_match *matches,
                                   size_t count, const struct map *start, double *scratch) {
    switch (params->model) {
    case PARAMS_MODEL_SIMILARITY:
        return FIT_SIMILARITY;
    case PARAMS_MODEL_AFFINE:
    case PARAMS_MODEL_GRID: /* its best affine part */
        return FIT_AFFINE;
    case PARAMS_MODEL_HOMOGRAPHY:
        return FIT_HOMOGRAPHY;
    case PARAMS_MODEL_AUTO:
    case PARAMS_MODEL_COUNT:
        break;
    }
    fit_cross_residuals(matches, count, FIT_AFFINE, start, CROSS_FOLDS, scratch);
    double cut_px = TRUNCATE * fit_quantile(scratch, count, 0.5);
    enum fit_model best = FIT_SIMILARITY;
    double cost = cross_cost(matches, count, best, start, cut_px, scratch);
    for (enum fit_model model = FIT_AFFINE; model < FIT_MODEL_COUNT; model++) {
        if (count < 4 * fit_least_matches(model))
            break;
        double next = cross_cost(matches, count, model, start, cut_px, scratch);
        if (next < CLEARLY_FALLS * cost - CLEARLY_PX) {
            best = model;
            cost = next;
        }
    }
    return best;
}

/* The chosen model's map, or a lower model's where that one is not plausible. */
static struct map fit_chosen(const struct ladder_request *request, const struct fit_match *matches,
                             size_t count, const struct map *similarity, double *scratch,
                             enum fit_model *ret_model) {
    enum fit_model model = choose_model(request->params, matches, count, similarity, scratch);
    for (; model > FIT_SIMILARITY; model--) {
        struct transform transform = {0};
        if (fit_polish(matches, count, model, similarity, &transform.map) == 0 &&
            plausible(request, &transform)) {
            *ret_model = model;
            return transform.map;
        }
    }
    *ret_model = FIT_SIMILARITY;
    return *similarity;
}

/* Moves matches that the map explains to the front; returns how many. */
static size_t sort_near(struct fit_match *matches, size_t count, const struct map *map,
                        double limit_px) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (fit_residual(&matches[i], map) < limit_px) {
            struct fit_match near = matches[i];
            matches[i] = matches[n];
            matches[n++] = near;
        }
    return n;
}

static void fit_map(struct fit_match *matches, size_t count, const struct ladder_request *request,
                    double *scratch, struct ladder_fit *fit) {
    struct fit_options options = {.model = FIT_SIMILARITY,
                                  .inlier_px = inlier_full_px(request),
                                  .seed = request->params->seed};
    struct map similarity;
    if (fit_run(matches, count, &options, &similarity) < 0)
        return;
    /* what the similarity explains, and a little more: models may bend */
    size_t n = sort_near(matches, count, &similarity, 2 * options.inlier_px);
    fit->transform.map = fit_chosen(request, matches, n, &similarity, scratch, &fit->model);
    for (size_t i = 0; i < n; i++) {
        scratch[i] = fit_residual(&matches[i], &fit->transform.map);
        fit->inliers += scratch[i] < options.inlier_px;
    }
    fit->median_px = ldexp(fit_quantile(scratch, n, 0.5), -request->level);
    fit->credible =
        plausible(request, &fit->transform) && is_credible(request, count, fit->inliers);
}

/* --- the grid --- */

/* A match's displacement from where the level was searched. */
struct offset {
    double x, y;
};

/* Of the nearest other matches; at most NEIGHBOURS, nearest first. */
static size_t find_neighbours(const struct fit_match *matches, size_t count, size_t of,
                              size_t ret[NEIGHBOURS]) {
    double nearest[NEIGHBOURS];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        double distance = hypot(matches[i].x - matches[of].x, matches[i].y - matches[of].y);
        if (i == of || (n == NEIGHBOURS && distance >= nearest[n - 1]))
            continue;
        size_t at = n < NEIGHBOURS ? n++ : n - 1;
        for (; at > 0 && nearest[at - 1] > distance; at--) {
            nearest[at] = nearest[at - 1];
            ret[at] = ret[at - 1];
        }
        nearest[at] = distance;
        ret[at] = i;
    }
    return n;
}

/* The normalised median test: how far the match lies from its neighbours' median, against how far
 * they do themselves. */
static bool contradicted(const struct offset *offsets, size_t of, const size_t *neighbours,
                         size_t n, double least_spread) {
    double x[NEIGHBOURS], y[NEIGHBOURS], spread[NEIGHBOURS];
    if (n < NEIGHBOURS / 2)
        return true;
    for (size_t i = 0; i < n; i++) {
        x[i] = offsets[neighbours[i]].x;
        y[i] = offsets[neighbours[i]].y;
    }
    double middle_x = fit_quantile(x, n, 0.5), middle_y = fit_quantile(y, n, 0.5);
    for (size_t i = 0; i < n; i++)
        spread[i] = hypot(offsets[neighbours[i]].x - middle_x, offsets[neighbours[i]].y - middle_y);
    double usual = fit_quantile(spread, n, 0.5) + least_spread;
    return hypot(offsets[of].x - middle_x, offsets[of].y - middle_y) > CONTRADICTS * usual;
}

/* Moves those that are not wrong to the front; returns how many. */
static size_t sort_right(struct fit_match *matches, size_t count, const bool *wrong) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (!wrong[i]) {
            struct fit_match right = matches[i];
            matches[i] = matches[n];
            matches[n++] = right; /* what was there is wrong, and its mark was read */
        }
    return n;
}

/* Moves matches that their neighbours do not contradict to the front. */
static int sort_agreeing(struct fit_match *matches, size_t count,
                         const struct ladder_request *request, size_t *ret) {
    CLEANUP_TRACKED struct offset *offsets = tracked_alloc(count, sizeof(*offsets), "grid fit");
    CLEANUP_TRACKED bool *wrong = tracked_alloc(count, sizeof(*wrong), "grid fit");
    if (!offsets || !wrong)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct map_point p = transform_apply(request->start, matches[i].x, matches[i].y);
        offsets[i] = (struct offset){matches[i].u - p.x, matches[i].v - p.y};
    }
    double least_spread = ldexp(LEAST_SPREAD_PX, request->level);
    for (size_t i = 0; i < count; i++) {
        size_t neighbours[NEIGHBOURS];
        size_t n = find_neighbours(matches, count, i, neighbours);
        wrong[i] = contradicted(offsets, i, neighbours, n, least_spread);
    }
    *ret = sort_right(matches, count, wrong);
    return 0;
}

/* Whether there are neighbours on all sides: their mean place is near the match. */
static bool is_surrounded(const struct fit_match *matches, size_t of, const size_t *neighbours,
                          size_t n) {
    double x = 0, y = 0, distance = 0;
    for (size_t i = 0; i < n; i++) {
        double dx = matches[neighbours[i]].x - matches[of].x;
        double dy = matches[neighbours[i]].y - matches[of].y;
        x += dx;
        y += dy;
        distance += hypot(dx, dy);
    }
    return hypot(x, y) < SURROUNDED * distance;
}

/* The same once more, by residuals of matches that were left out: a soft field follows a wrong
 * match that is in the fit, but not one that is left out. At the edge of the tissue all are large
 * and tell nothing. */
static int sort_confirmed(struct fit_match *matches, size_t count,
                          const struct ladder_request *request, const double *residuals,
                          size_t *ret) {
    CLEANUP_TRACKED bool *wrong = tracked_alloc(count, sizeof(*wrong), "grid fit");
    if (!wrong)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        size_t neighbours[NEIGHBOURS];
        double near[NEIGHBOURS];
        size_t n = find_neighbours(matches, count, i, neighbours);
        for (size_t k = 0; k < n; k++)
            near[k] = residuals[neighbours[k]];
        double usual = fit_quantile(near, n, 0.5) + ldexp(LEAST_SPREAD_PX, request->level);
        wrong[i] = is_surrounded(matches, i, neighbours, n) && residuals[i] > CONTRADICTS * usual;
    }
    *ret = sort_right(matches, count, wrong);
    return 0;
}

/* The affine map through the matches and what is left for the grid. */
static bool begin_grid(const struct fit_match *matches, size_t count,
                       const struct ladder_request *request, struct transform *ret) {
    struct transform transform = {0};
    if (fit_polish(matches, count, FIT_AFFINE, &request->start->map, &transform.map) < 0)
        return false;
    double longer = fmax(request->width, request->height);
    double cell = sqrt(MATCHES_PER_CELL * request->width * request->height / (double)count);
    int cells = (int)fmin(fmax(round(longer / cell), LEAST_CELLS), BSPLINE_MOST_CELLS);
    transform.grid = bspline_over(request->width, request->height, cells);
    *ret = transform;
    return true;
}

/* Indices of PENALTIES. */
struct range {
    size_t first, end;
};

/* Chooses the penalty's index by residuals of left-out matches, which are left in residuals;
 * stiffer ones are tried first and kept unless a softer one is better. */
static size_t choose_penalty(struct bspline_fit_problem *problem, const struct bspline *grid,
                             const struct range *range, double cut_px, double *residuals,
                             double *scratch, double *ret_cost) {
    size_t best = range->first;
    int worse = 0; /* in a row */
    *ret_cost = HUGE_VAL;
    for (size_t i = range->first; i < range->end && worse < PATIENCE; i++) {
        problem->penalty = PENALTIES[i];
        bspline_fit_cross(problem, grid, CROSS_FOLDS, scratch);
        double cost = truncated_mean(scratch, problem->count, cut_px);
        worse++;
        if (!(cost < SOFTER_FALLS * *ret_cost))
            continue;
        worse = 0;
        best = i;
        *ret_cost = cost;
        memcpy(residuals, scratch, problem->count * sizeof(*residuals));
    }
    return best;
}

/* Moves the affine part of the displacements, over the matches' places, into the map: a B-spline
 * reproduces an affine function from its values at the control points. Robust, so that a corner
 * that is bent far does not turn the whole. */
static bool take_affine_part(const struct fit_match *matches, size_t count,
                             struct transform *transform) {
    CLEANUP_TRACKED struct fit_match *placed = tracked_alloc(count, sizeof(*placed), "grid fit");
    struct map affine;
    for (size_t i = 0; placed && i < count; i++) {
        struct map_point p = transform_apply(transform, matches[i].x, matches[i].y);
        placed[i] = (struct fit_match){matches[i].x, matches[i].y, p.x, p.y, 1, 0, 1};
    }
    if (!placed || fit_polish(placed, count, FIT_AFFINE, &transform->map, &affine) < 0)
        return false;
    struct bspline *grid = &transform->grid;
    for (int i = 0; i < grid->columns * grid->rows; i++) {
        double x = grid->x + i % grid->columns * grid->step;
        double y = grid->y + i / grid->columns * grid->step;
        struct map_point before = map_apply(&transform->map, x, y);
        struct map_point after = map_apply(&affine, x, y);
        grid->dx[i] += before.x - after.x;
        grid->dy[i] += before.y - after.y;
    }
    transform->map = affine;
    return true;
}

/* Fits with the penalty of this index, or a stiffer one where the field folds. */
static bool fit_unfolded(struct bspline_fit_problem *problem, size_t penalty,
                         const struct ladder_request *request, struct transform *transform) {
    const struct bspline empty = transform->grid;
    for (size_t i = penalty + 1; i-- > 0;) {
        problem->penalty = PENALTIES[i];
        transform->grid = empty;
        if (bspline_fit(problem, &transform->grid) == 0 &&
            take_affine_part(problem->matches, problem->count, transform) &&
            plausible(request, transform))
            return true;
        transform->map = *problem->affine;
    }
    return false;
}

/* A grid on trial: on the first `count` matches. */
struct trial {
    struct fit_match *matches;
    size_t count;
    struct map affine;
    struct transform transform;
    size_t penalty;              /* chosen of PENALTIES */
    double *residuals, *scratch; /* residuals: of left-out matches */
    size_t inliers;              /* of left-out ones */
};

/* Whether, with the best penalty, the grid is better than the map on matches that were left out, or
 * asked for and sound. all: how many matches there were. */
static bool weigh(struct trial *trial, const struct range *range, size_t all,
                  const struct ladder_request *request, struct ladder_fit *fit) {
    size_t n = trial->count;
    double cut_px = inlier_full_px(request), *scratch = trial->scratch;
    if (n < LEAST_GRID_MATCHES || !begin_grid(trial->matches, n, request, &trial->transform))
        return false;
    trial->affine = trial->transform.map;
    if (fit->credible) {
        fit_cross_residuals(trial->matches, n, fit->model, &fit->transform.map, CROSS_FOLDS,
                            scratch);
        memcpy(trial->residuals, scratch, n * sizeof(*scratch));
        cut_px = fmin(cut_px, TRUNCATE * fit_quantile(trial->residuals, n, 0.5));
        fit->map_cost = truncated_mean(scratch, n, cut_px);
    }
    struct bspline_fit_problem problem = {
        .matches = trial->matches, .count = n, .affine = &trial->affine};
    trial->penalty = choose_penalty(&problem, &trial->transform.grid, range, cut_px,
                                    trial->residuals, scratch, &fit->grid_cost);
    trial->inliers = 0;
    for (size_t i = 0; i < n; i++)
        trial->inliers += trial->residuals[i] < inlier_full_px(request);
    if (!is_credible(request, all, trial->inliers))
        return false;
    return request->params->model == PARAMS_MODEL_GRID || !fit->credible ||
           fit->grid_cost < GRID_CLEARLY_FALLS * fit->map_cost - GRID_CLEARLY_PX;
}

/* Climbs to the grid when that is asked for, or clearly better. scratch: twice count. */
static int climb_to_grid(struct fit_match *matches, size_t count,
                         const struct ladder_request *request, double *scratch,
                         struct ladder_fit *fit) {
    struct trial trial = {.matches = matches, .scratch = scratch, .residuals = scratch + count};
    const struct range whole = {0, ARRAY_LEN(PENALTIES)};
    int r = sort_agreeing(matches, count, request, &trial.count);
    if (r < 0 || !weigh(&trial, &whole, count, request, fit))
        return r;
    size_t confirmed = 0;
    r = sort_confirmed(matches, trial.count, request, trial.residuals, &confirmed);
    if (r < 0)
        return r;
    if (confirmed < trial.count) {
        const struct range near = {trial.penalty > 0 ? trial.penalty - 1 : 0,
                                   trial.penalty + 2 < whole.end ? trial.penalty + 2 : whole.end};
        trial.count = confirmed;
        if (!weigh(&trial, &near, count, request, fit))
            return 0;
    }
    struct bspline_fit_problem problem = {
        .matches = matches, .count = trial.count, .affine = &trial.affine};
    if (!fit_unfolded(&problem, trial.penalty, request, &trial.transform))
        return 0;
    fit->transform = trial.transform;
    fit->model = FIT_AFFINE;
    fit->credible = true;
    fit->inliers = trial.inliers;
    for (size_t i = 0; i < trial.count; i++)
        scratch[i] = transform_residual(&trial.transform, &matches[i]);
    fit->median_px = ldexp(fit_quantile(scratch, trial.count, 0.5), -request->level);
    return 0;
}

int ladder_climb(struct fit_match *matches, size_t count, const struct ladder_request *request,
                 struct ladder_fit *ret, struct failure *failure) {
    CLEANUP_TRACKED double *scratch = tracked_alloc(2 * count + 1, sizeof(*scratch), "residuals");
    if (!scratch)
        return failure_set(failure, -ENOMEM, "no memory for %zu residuals", count);
    struct ladder_fit fit = {.tiles = count};
    fit_map(matches, count, request, scratch, &fit);
    enum params_model model = request->params->model;
    if (model == PARAMS_MODEL_AUTO || model == PARAMS_MODEL_GRID)
        if (climb_to_grid(matches, count, request, scratch, &fit) < 0)
            return failure_set(failure, -ENOMEM, "no memory for the fit of %zu tiles", count);
    *ret = fit;
    return 0;
}
