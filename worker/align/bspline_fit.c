/* See bspline_fit.h. Unknown 2 i + c is component c of control point i, row by row: two controls
 * share an equation when they are less than four apart, hence the band. Cholesky's factors are made
 * column by column, as sums of vectors, which the compiler can vectorise without reordering. */
#include "worker/align/bspline_fit.h"

#include "common/vector.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { ITERATIONS = 10 };

static const double TUKEY_TUNING = 4.685;     /* 95 % efficient on Gaussian residuals */
static const double RAYLEIGH_MEDIAN = 1.1774; /* median length of a 2-D unit Gaussian */
static const double LEAST_SIGMA_PX = 0.02;    /* residuals below it are not told apart */
/* A field that is too stiff yet must not take the places it cannot follow for wrong matches. */
static const double LEAST_CUT_PX = 1;
static const double CONVERGED_PX = 0.01;
static const double MEMBRANE = 0.02; /* of the thin plate's energy */

/* Symmetric, positive definite; row i holds columns i .. i + band - 1. */
struct system {
    int n, band;
    double *matrix, *right;
};

static double *row_of(const struct system *system, int i) {
    return system->matrix + (ptrdiff_t)i * system->band;
}

static void system_cleanup(struct system *system) {
    tracked_free(system->matrix);
    tracked_free(system->right);
}

/* row -= factor x pivot. */
VECTOR_CLONES static void subtract(double *restrict row, const double *restrict pivot,
                                   double factor, int count) {
    for (int i = 0; i < count; i++)
        row[i] -= factor * pivot[i];
}

/* false when it is not positive definite. */
static bool solve(struct system *system) {
    int n = system->n, band = system->band;
    double *x = system->right;
    for (int j = 0; j < n; j++) {
        double *pivot = row_of(system, j);
        int reach = n - j < band ? n - j : band;
        if (!(pivot[0] > 1e-12) || !isfinite(pivot[0]))
            return false;
        double inverse = 1 / sqrt(pivot[0]);
        for (int k = 0; k < reach; k++)
            pivot[k] *= inverse;
        x[j] *= inverse;
        for (int k = 1; k < reach; k++) {
            x[j + k] -= pivot[k] * x[j];
            subtract(row_of(system, j + k), pivot + k, pivot[k], reach - k);
        }
    }
    for (int j = n - 1; j >= 0; j--) {
        const double *pivot = row_of(system, j);
        int reach = n - j < band ? n - j : band;
        for (int k = 1; k < reach; k++)
            x[j] -= pivot[k] * x[j + k];
        x[j] /= pivot[0];
    }
    return true;
}

/* Integrals over one cell of products of two weights' k-th derivatives, k = 0, 1, 2: the weights as
 * polynomials in t. */
static void fill_products(double ret[3][4][4]) {
    static const double weights[4][4] = {{1.0 / 6, -0.5, 0.5, -1.0 / 6},
                                         {4.0 / 6, 0, -1, 0.5},
                                         {1.0 / 6, 0.5, 0.5, -0.5},
                                         {0, 0, 0, 1.0 / 6}};
    double p[4][4];
    memcpy(p, weights, sizeof(p));
    for (int k = 0; k < 3; k++) {
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 4; b++) {
                ret[k][a][b] = 0;
                for (int i = 0; i < 4; i++)
                    for (int j = 0; j < 4; j++)
                        ret[k][a][b] += p[a][i] * p[b][j] / (i + j + 1);
            }
        for (int a = 0; a < 4; a++)
            for (int i = 0; i < 4; i++)
                p[a][i] = i < 3 ? (i + 1) * p[a][i + 1] : 0;
    }
}

/* Adds factor x the energy's matrix, cell by cell. */
static void add_energy(struct system *system, const struct bspline *grid, double factor) {
    double products[3][4][4];
    fill_products(products);
    for (int cell = 0; cell < (grid->columns - 3) * (grid->rows - 3); cell++) {
        int left = cell % (grid->columns - 3), top = cell / (grid->columns - 3);
        for (int pair = 0; pair < 256; pair++) {
            int a = pair & 3, b = pair >> 2 & 3, c = pair >> 4 & 3, d = pair >> 6;
            int from = (top + b) * grid->columns + left + a;
            int to = (top + d) * grid->columns + left + c;
            if (to < from)
                continue;
            const double(*p)[4][4] = (const double(*)[4][4])products;
            double plate =
                p[2][a][c] * p[0][b][d] + 2 * p[1][a][c] * p[1][b][d] + p[0][a][c] * p[2][b][d];
            double membrane = p[1][a][c] * p[0][b][d] + p[0][a][c] * p[1][b][d];
            double value = factor * (plate + MEMBRANE * membrane);
            row_of(system, 2 * from)[2 * (to - from)] += value;
            row_of(system, 2 * from + 1)[2 * (to - from)] += value;
        }
    }
}

struct weight {
    double xx, xy, yy;
};

/* (covariance / sigma^2 + I)^-1: at most 1, less along a direction that the match does not know. */
static struct weight soften(const struct fit_match *match, double sigma) {
    double k = sigma * sigma;
    double a = match->info_xx, b = match->info_xy, c = match->info_yy;
    /* info (info + I / sigma^2)^-1 / sigma^2, written without inverting info */
    double p = k * a + 1, q = k * b, r = k * c + 1, det = p * r - q * q;
    return (struct weight){k * (a * r - b * q) / det, k * (b * p - a * q) / det,
                           k * (c * p - b * q) / det};
}

static void add_match(struct system *system, const struct bspline *grid,
                      const struct fit_match *match, const struct weight *w, struct map_point e) {
    struct bspline_place place = bspline_locate(grid, match->x, match->y);
    double ex = w->xx * e.x + w->xy * e.y, ey = w->xy * e.x + w->yy * e.y;
    for (int i = 0; i < 16; i++) {
        double value = place.down[i >> 2] * place.across[i & 3];
        int from = (place.row + (i >> 2)) * grid->columns + place.column + (i & 3);
        double *row_x = row_of(system, 2 * from), *row_y = row_of(system, 2 * from + 1);
        system->right[2 * from] += value * ex;
        system->right[2 * from + 1] += value * ey;
        for (int j = i; j < 16; j++) { /* later ones have higher numbers */
            double both = value * place.down[j >> 2] * place.across[j & 3];
            int to = (place.row + (j >> 2)) * grid->columns + place.column + (j & 3);
            int apart = 2 * (to - from);
            row_x[apart] += both * w->xx;
            row_x[apart + 1] += both * w->xy;
            row_y[apart] += both * w->yy;
            if (apart > 0)
                row_y[apart - 1] += both * w->xy;
        }
    }
}

/* What the affine map alone leaves. */
static struct map_point affine_error(const struct bspline_fit_problem *problem, size_t i) {
    const struct fit_match *match = &problem->matches[i];
    struct map_point p = map_apply(problem->affine, match->x, match->y);
    return (struct map_point){match->u - p.x, match->v - p.y};
}

static double residual_of(const struct bspline_fit_problem *problem, const struct bspline *grid,
                          size_t i) {
    struct map_point e = affine_error(problem, i);
    struct map_point d = bspline_at(grid, problem->matches[i].x, problem->matches[i].y);
    return hypot(e.x - d.x, e.y - d.y);
}

/* One round: weights from the residuals of the present field, then the field anew. *ret_moved: by
 * how much a control point did at most, px. */
static bool fit_round(const struct bspline_fit_problem *problem, const double *residuals,
                      double sigma, struct system *system, struct bspline *grid,
                      double *ret_moved) {
    int controls = grid->columns * grid->rows;
    double cut_px = fmax(TUKEY_TUNING * sigma, LEAST_CUT_PX);
    memset(system->matrix, 0, (size_t)system->n * (size_t)system->band * sizeof(double));
    memset(system->right, 0, (size_t)system->n * sizeof(double));
    add_energy(system, grid, problem->penalty * (double)problem->count);
    for (size_t i = 0; i < problem->count; i++) {
        double ratio = residuals[i] / cut_px, trust = (1 - ratio * ratio) * (1 - ratio * ratio);
        if (!(ratio < 1))
            continue;
        struct weight w = soften(&problem->matches[i], sigma);
        w = (struct weight){trust * w.xx, trust * w.xy, trust * w.yy};
        add_match(system, grid, &problem->matches[i], &w, affine_error(problem, i));
    }
    if (!solve(system))
        return false;
    double moved = 0;
    for (int i = 0; i < controls; i++) {
        moved = fmax(moved, fabs(system->right[2 * i] - grid->dx[i]));
        moved = fmax(moved, fabs(system->right[2 * i + 1] - grid->dy[i]));
        if (!isfinite(system->right[2 * i]) || !isfinite(system->right[2 * i + 1]))
            return false;
        grid->dx[i] = system->right[2 * i];
        grid->dy[i] = system->right[2 * i + 1];
    }
    *ret_moved = moved;
    return true;
}

int bspline_fit(const struct bspline_fit_problem *problem, struct bspline *grid) {
    size_t count = problem->count;
    if (count < 3)
        return -ENODATA;
    CLEANUP(system_cleanup)
    struct system system = {.n = 2 * grid->columns * grid->rows,
                            .band = 2 * (3 * grid->columns + 4)};
    CLEANUP_TRACKED double *residuals = tracked_alloc(2 * count, sizeof(double), "grid fit");
    system.right = tracked_alloc((size_t)system.n, sizeof(double), "grid fit");
    system.matrix =
        tracked_alloc((size_t)system.n * (size_t)system.band, sizeof(double), "grid fit");
    if (!residuals || !system.right || !system.matrix)
        return -ENOMEM;
    struct bspline fitted = *grid;
    double *scratch = residuals + count;
    double moved = HUGE_VAL;
    for (int iteration = 0; iteration < ITERATIONS && moved > CONVERGED_PX; iteration++) {
        for (size_t i = 0; i < count; i++)
            residuals[i] = residual_of(problem, &fitted, i);
        memcpy(scratch, residuals, count * sizeof(*residuals));
        double sigma = fmax(fit_quantile(scratch, count, 0.5) / RAYLEIGH_MEDIAN, LEAST_SIGMA_PX);
        if (!fit_round(problem, residuals, sigma, &system, &fitted, &moved))
            return -ENODATA;
    }
    *grid = fitted;
    return 0;
}

void bspline_fit_cross(const struct bspline_fit_problem *problem, const struct bspline *start,
                       size_t folds, double *ret) {
    for (size_t i = 0; i < problem->count; i++)
        ret[i] = HUGE_VAL;
    CLEANUP_TRACKED struct fit_match *kept =
        tracked_alloc(problem->count + 1, sizeof(*kept), "grid fit");
    if (!kept)
        return;
    for (size_t fold = 0; fold < folds; fold++) {
        struct bspline_fit_problem part = *problem;
        struct bspline grid = *start;
        size_t n = 0;
        for (size_t i = 0; i < problem->count; i++)
            if (i % folds != fold)
                kept[n++] = problem->matches[i];
        part.matches = kept;
        part.count = n;
        if (bspline_fit(&part, &grid) < 0)
            continue;
        for (size_t i = fold; i < problem->count; i += folds)
            ret[i] = residual_of(problem, &grid, i);
    }
}
