/* See fit.h. Points are moved to their centre and scaled to unit spread before anything is solved,
 * so that the normal equations of a homography stay well conditioned at 30,000 px. The map is then
 * a correction on top of a start: all models share one Gauss-Newton step that differs only in the
 * Jacobian's columns. */
#include "worker/align/fit.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    MAX_PARAMETERS = 8,
    CONSENSUS_TRIALS = 600,
    ROBUST_ITERATIONS = 20,
};

static const double TUKEY_TUNING = 4.685;     /* 95 % efficient on Gaussian residuals */
static const double RAYLEIGH_MEDIAN = 1.1774; /* median length of a 2-D unit Gaussian */
static const double LEAST_SIGMA = 0.02;       /* misfits below it are not told apart */

static const int n_parameters[FIT_MODEL_COUNT] = {
    [FIT_SIMILARITY] = 4, [FIT_AFFINE] = 6, [FIT_HOMOGRAPHY] = 8};

int fit_parameters(enum fit_model model) { return n_parameters[model]; }

size_t fit_least_matches(enum fit_model model) {
    static const size_t least[FIT_MODEL_COUNT] = {
        [FIT_SIMILARITY] = 2, [FIT_AFFINE] = 3, [FIT_HOMOGRAPHY] = 4};
    return least[model];
}

const char *fit_model_name(enum fit_model model) {
    static const char *const names[FIT_MODEL_COUNT] = {
        [FIT_SIMILARITY] = "similarity", [FIT_AFFINE] = "affine", [FIT_HOMOGRAPHY] = "homography"};
    return names[model];
}

double fit_residual(const struct fit_match *match, const struct map *map) {
    struct map_point p = map_apply(map, match->x, match->y);
    return hypot(match->u - p.x, match->v - p.y);
}

double fit_misfit(const struct fit_match *match, const struct map *map) {
    struct map_point p = map_apply(map, match->x, match->y);
    double x = match->u - p.x, y = match->v - p.y;
    return sqrt(
        fmax(x * x * match->info_xx + 2 * x * y * match->info_xy + y * y * match->info_yy, 0));
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double fit_quantile(double *values, size_t count, double p) {
    qsort(values, count, sizeof(*values), compare_doubles);
    double at = p * (double)(count - 1);
    size_t below = (size_t)at;
    if (below + 1 >= count || !isfinite(values[below + 1]))
        return values[below];
    return values[below] + (at - (double)below) * (values[below + 1] - values[below]);
}

uint64_t fit_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

/* The similarity through two matches. */
static bool two_point_similarity(const struct fit_match *a, const struct fit_match *b,
                                 struct map *ret) {
    double dx = b->x - a->x, dy = b->y - a->y, du = b->u - a->u, dv = b->v - a->v;
    double squared = dx * dx + dy * dy;
    if (squared < 1)
        return false;
    double c = (dx * du + dy * dv) / squared, s = (dx * dv - dy * du) / squared;
    if (c * c + s * s < 1e-6)
        return false;
    *ret = (struct map){
        {c, -s, a->u - c * a->x + s * a->y, s, c, a->v - s * a->x - c * a->y, 0, 0, 1}};
    return true;
}

static bool consensus(const struct fit_match *matches, size_t count,
                      const struct fit_options *options, struct map *ret) {
    uint64_t state = 0x9e3779b97f4a7c15ULL ^ ((uint64_t)options->seed << 17);
    double limit = options->inlier_px * options->inlier_px, best = HUGE_VAL;
    for (int trial = 0; trial < CONSENSUS_TRIALS; trial++) {
        size_t i = (size_t)(fit_random(&state) % count);
        size_t j = (size_t)(fit_random(&state) % count);
        struct map map;
        if (i == j || !two_point_similarity(&matches[i], &matches[j], &map))
            continue;
        double cost = 0;
        for (size_t k = 0; k < count && cost < best; k++) {
            double residual = fit_residual(&matches[k], &map);
            cost += fmin(residual * residual, limit);
        }
        if (cost < best) {
            best = cost;
            *ret = map;
        }
    }
    return best < HUGE_VAL;
}

/* Moves a set of points to mean 0 and root-mean-square radius 1: p -> (p - centre) / spread. */
struct frame {
    double x, y, spread;
};

static struct map frame_to(const struct frame *frame) {
    double k = 1 / frame->spread;
    return (struct map){{k, 0, -frame->x * k, 0, k, -frame->y * k, 0, 0, 1}};
}

static struct map frame_from(const struct frame *frame) {
    return (struct map){{frame->spread, 0, frame->x, 0, frame->spread, frame->y, 0, 0, 1}};
}

static void find_frames(const struct fit_match *matches, size_t count, struct frame *ret_fixed,
                        struct frame *ret_moving) {
    double n = (double)count, x = 0, y = 0, u = 0, v = 0, xy = 0, uv = 0;
    for (size_t i = 0; i < count; i++) {
        x += matches[i].x / n;
        y += matches[i].y / n;
        u += matches[i].u / n;
        v += matches[i].v / n;
    }
    for (size_t i = 0; i < count; i++) {
        xy += pow(matches[i].x - x, 2) + pow(matches[i].y - y, 2);
        uv += pow(matches[i].u - u, 2) + pow(matches[i].v - v, 2);
    }
    *ret_fixed = (struct frame){x, y, fmax(sqrt(xy / n), 1)};
    *ret_moving = (struct frame){u, v, fmax(sqrt(uv / n), 1)};
}

/* Columns of the Jacobian of the map's position at normalised (x, y); p: where the map takes it. */
static void fill_jacobian(enum fit_model model, double x, double y, struct map_point p, double w,
                          double ret_x[MAX_PARAMETERS], double ret_y[MAX_PARAMETERS]) {
    memset(ret_x, 0, MAX_PARAMETERS * sizeof(*ret_x));
    memset(ret_y, 0, MAX_PARAMETERS * sizeof(*ret_y));
    if (model == FIT_SIMILARITY) { /* a, b, shift: x a - y b + t_x, x b + y a + t_y */
        ret_x[0] = x, ret_x[1] = -y, ret_x[2] = 1;
        ret_y[0] = y, ret_y[1] = x, ret_y[3] = 1;
        return;
    }
    ret_x[0] = x / w, ret_x[1] = y / w, ret_x[2] = 1 / w;
    ret_y[3] = x / w, ret_y[4] = y / w, ret_y[5] = 1 / w;
    if (model == FIT_HOMOGRAPHY) {
        ret_x[6] = -p.x * x / w, ret_x[7] = -p.x * y / w;
        ret_y[6] = -p.y * x / w, ret_y[7] = -p.y * y / w;
    }
}

static void add_step(enum fit_model model, const double *step, struct map *map) {
    double *h = map->h;
    if (model == FIT_SIMILARITY) {
        h[0] += step[0], h[4] += step[0], h[1] -= step[1], h[3] += step[1];
        h[2] += step[2], h[5] += step[3];
        return;
    }
    for (int i = 0; i < n_parameters[model]; i++)
        h[i] += step[i];
}

/* Solves the symmetric positive definite system by Cholesky's factors; false when it is not one. */
static bool solve(double matrix[MAX_PARAMETERS][MAX_PARAMETERS], double *right, int n) {
    for (int j = 0; j < n; j++) {
        double scale = matrix[j][j];
        for (int k = 0; k < j; k++)
            matrix[j][j] -= matrix[j][k] * matrix[j][k];
        if (!(matrix[j][j] > 1e-10 * scale) || !isfinite(scale))
            return false;
        matrix[j][j] = sqrt(matrix[j][j]);
        for (int i = j + 1; i < n; i++) {
            for (int k = 0; k < j; k++)
                matrix[i][j] -= matrix[i][k] * matrix[j][k];
            matrix[i][j] /= matrix[j][j];
        }
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            right[i] -= matrix[i][k] * right[k];
        right[i] /= matrix[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            right[i] -= matrix[k][i] * right[k];
        right[i] /= matrix[i][i];
    }
    return true;
}

struct problem {
    const struct fit_match *matches;
    size_t count;
    const double *misfits;    /* of the current map */
    double cut;               /* Tukey: weight 0 beyond */
    struct map fixed, moving; /* to the normalised frames */
};

/* One weighted Gauss-Newton step of map (in normalised frames). */
static bool gauss_newton_step(const struct problem *problem, enum fit_model model,
                              struct map *map) {
    double normal[MAX_PARAMETERS][MAX_PARAMETERS] = {{0}}, right[MAX_PARAMETERS] = {0};
    int n = n_parameters[model];
    for (size_t i = 0; i < problem->count; i++) {
        const struct fit_match *match = &problem->matches[i];
        double ratio = problem->misfits[i] / problem->cut;
        if (!(ratio < 1))
            continue;
        double weight = (1 - ratio * ratio) * (1 - ratio * ratio);
        double a = weight * match->info_xx, b = weight * match->info_xy,
               c = weight * match->info_yy;
        struct map_point from = map_apply(&problem->fixed, match->x, match->y);
        struct map_point to = map_apply(&problem->moving, match->u, match->v);
        struct map_point at = map_apply(map, from.x, from.y);
        double w = map->h[6] * from.x + map->h[7] * from.y + map->h[8];
        double jx[MAX_PARAMETERS], jy[MAX_PARAMETERS];
        fill_jacobian(model, from.x, from.y, at, w, jx, jy);
        double ex = to.x - at.x, ey = to.y - at.y;
        for (int row = 0; row < n; row++) {
            double px = a * jx[row] + b * jy[row], py = b * jx[row] + c * jy[row];
            right[row] += px * ex + py * ey;
            for (int column = 0; column <= row; column++)
                normal[row][column] += px * jx[column] + py * jy[column];
        }
    }
    if (!solve(normal, right, n))
        return false;
    add_step(model, right, map);
    return true;
}

/* Half the matches decide the scale of what is a usual misfit. */
static double robust_sigma(const double *misfits, size_t count, double *scratch) {
    memcpy(scratch, misfits, count * sizeof(*misfits));
    double sigma = fit_quantile(scratch, count, 0.5) / RAYLEIGH_MEDIAN;
    return fmax(sigma, LEAST_SIGMA);
}

static struct map out_of_frames(const struct map *map, const struct frame *fixed,
                                const struct frame *moving) {
    struct map to = frame_to(fixed), from = frame_from(moving);
    struct map half = map_compose(&to, map), full = map_compose(&half, &from);
    for (int i = 0; i < 9; i++)
        full.h[i] /= full.h[8] != 0 ? full.h[8] : 1;
    full.h[8] = 1;
    return full;
}

/* The start in normalised frames, brought down to what the model can express. */
static struct map start_in_frames(const struct map *start, enum fit_model model,
                                  const struct map *from_fixed, const struct map *to_moving) {
    struct map half = map_compose(from_fixed, start), map = map_compose(&half, to_moving);
    double weight = map.h[8] != 0 ? map.h[8] : 1;
    for (int i = 0; i < 9; i++)
        map.h[i] /= weight;
    map.h[8] = 1;
    if (model != FIT_HOMOGRAPHY)
        map.h[6] = map.h[7] = 0;
    if (model == FIT_SIMILARITY) {
        map.h[0] = map.h[4] = (map.h[0] + map.h[4]) / 2;
        map.h[3] = (map.h[3] - map.h[1]) / 2;
        map.h[1] = -map.h[3];
    }
    return map;
}

int fit_polish(const struct fit_match *matches, size_t count, enum fit_model model,
               const struct map *start, struct map *ret) {
    if (count < fit_least_matches(model))
        return -ENODATA;
    CLEANUP_FREE double *buffer = calloc(2 * count, sizeof(*buffer));
    if (!buffer)
        return -ENOMEM;
    double *misfits = buffer, *scratch = buffer + count;
    struct frame fixed, moving;
    find_frames(matches, count, &fixed, &moving);
    struct map from_fixed = frame_from(&fixed), to_moving = frame_to(&moving);
    struct map map = start_in_frames(start, model, &from_fixed, &to_moving);
    struct map full = out_of_frames(&map, &fixed, &moving);
    for (int iteration = 0; iteration < ROBUST_ITERATIONS; iteration++) {
        for (size_t i = 0; i < count; i++)
            misfits[i] = fit_misfit(&matches[i], &full);
        double sigma = robust_sigma(misfits, count, scratch);
        struct problem problem = {
            .matches = matches,
            .count = count,
            .misfits = misfits,
            .cut = TUKEY_TUNING * sigma,
            .fixed = frame_to(&fixed),
            .moving = to_moving,
        };
        if (!gauss_newton_step(&problem, model, &map))
            return -ENODATA;
        full = out_of_frames(&map, &fixed, &moving);
    }
    for (int i = 0; i < 9; i++)
        if (!isfinite(full.h[i]))
            return -ENODATA;
    *ret = full;
    return 0;
}

/* The matches that the start explains: what is left of more than half wrong ones. */
static size_t keep_inliers(const struct fit_match *matches, size_t count, const struct map *map,
                           double limit_px, struct fit_match *ret) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (fit_residual(&matches[i], map) < limit_px)
            ret[n++] = matches[i];
    return n;
}

int fit_run(const struct fit_match *matches, size_t count, const struct fit_options *options,
            struct map *ret) {
    struct map start, similarity;
    if (count < fit_least_matches(options->model) || !consensus(matches, count, options, &start))
        return -ENODATA;
    CLEANUP_FREE struct fit_match *kept = calloc(count, sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    size_t n = keep_inliers(matches, count, &start, 2 * options->inlier_px, kept);
    int r = fit_polish(kept, n, FIT_SIMILARITY, &start, &similarity);
    if (r < 0 || options->model == FIT_SIMILARITY) {
        if (r == 0)
            *ret = similarity;
        return r;
    }
    n = keep_inliers(matches, count, &similarity, 2 * options->inlier_px, kept);
    return fit_polish(kept, n, options->model, &similarity, ret);
}

typedef double (*measure_cb)(const struct fit_match *match, const struct map *map);

static void cross(const struct fit_match *matches, size_t count, enum fit_model model,
                  const struct map *start, size_t folds, measure_cb measure, double *ret) {
    for (size_t i = 0; i < count; i++)
        ret[i] = HUGE_VAL;
    CLEANUP_FREE struct fit_match *kept = calloc(count ? count : 1, sizeof(*kept));
    if (!kept)
        return;
    for (size_t fold = 0; fold < folds; fold++) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
            if (i % folds != fold)
                kept[n++] = matches[i];
        struct map map;
        if (fit_polish(kept, n, model, start, &map) < 0)
            continue;
        for (size_t i = fold; i < count; i += folds)
            ret[i] = measure(&matches[i], &map);
    }
}

void fit_cross_residuals(const struct fit_match *matches, size_t count, enum fit_model model,
                         const struct map *start, size_t folds, double *ret) {
    cross(matches, count, model, start, folds, fit_residual, ret);
}

void fit_cross_misfits(const struct fit_match *matches, size_t count, enum fit_model model,
                       const struct map *start, size_t folds, double *ret) {
    cross(matches, count, model, start, folds, fit_misfit, ret);
}

double fit_binomial_tail(int n, int k, double p) {
    if (k <= 0)
        return 1;
    double sum = 0;
    for (int i = k; i <= n; i++)
        sum += exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) + i * log(p) +
                   (n - i) * log1p(-p));
    return sum;
}
