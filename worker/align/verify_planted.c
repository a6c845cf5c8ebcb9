/* See verify_planted.h. With the planted map P before the map, a tile that was found at x + d is
 * expected where P takes to x + d. */
#include "worker/align/verify_planted.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum { MOST_TILES = 24, N_PLANTS = 6, LEAST_FOLLOWED = N_PLANTS - 1 };

/* px of the post image. turn_px: how far the turn takes the frame's corners. */
static const struct plant {
    double dx, dy, turn_px;
} plants[N_PLANTS] = {{0.37, -0.23, 0}, {-0.61, 0.83, 0}, {1.7, 2.4, 0},
                      {-2.9, -1.45, 0}, {4.2, -3.6, 0},   {-0.5, 0.5, 4}};

static const double FOLLOW_PX = 0.5; /* nearer than this to what was planted */
static const double LEAST_PLANTED_PX = 1e-9;

static int compare_ratios(const void *a, const void *b) {
    const struct verify_planted_point *p = a, *q = b;
    double x = p->measured / p->planted, y = q->measured / q->planted;
    return (x > y) - (x < y);
}

double verify_planted_slope(struct verify_planted_point *points, size_t count) {
    double total = 0, sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (fabs(points[i].planted) > LEAST_PLANTED_PX) {
            total += fabs(points[i].planted);
            points[n++] = points[i];
        }
    if (n == 0)
        return 0;
    qsort(points, n, sizeof(*points), compare_ratios);
    size_t i = 0;
    for (; i + 1 < n && sum + fabs(points[i].planted) < total / 2; i++)
        sum += fabs(points[i].planted);
    return points[i].measured / points[i].planted;
}

/* A shift and a turn about the middle of the post image. */
static struct map plant_map(const struct verify_scene *scene, const struct plant *plant) {
    double x = (scene->post->layout.width - 1) / 2.0, y = (scene->post->layout.height - 1) / 2.0;
    struct map map = map_similarity(plant->turn_px / fmax(hypot(x, y), 1), 1, 0, 0);
    struct map_point middle = map_apply(&map, x, y);
    map.h[2] = x - middle.x + plant->dx;
    map.h[5] = y - middle.y + plant->dy;
    return map;
}

/* What the tile says along the axis where it says less, 1 / px^2. */
static double least_information(const struct fit_match *match) {
    double mean = (match->info_xx + match->info_yy) / 2;
    double half = (match->info_xx - match->info_yy) / 2;
    return mean - hypot(half, match->info_xy);
}

/* Of the agreeing tiles those that say most: they hold the map. Noise alone makes others slip. */
static int choose_tiles(const struct verify_sample *sample, size_t ret[MOST_TILES],
                        size_t *ret_count, struct failure *failure) {
    size_t agreeing = (size_t)verify_sample_count(sample, VERIFY_AGREES), n = 0;
    *ret_count = 0;
    if (agreeing < VERIFY_PLANTED_LEAST_TILES)
        return 0;
    CLEANUP_TRACKED double *information =
        tracked_alloc(agreeing, sizeof(*information), "residuals");
    if (!information)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", agreeing);
    for (size_t i = 0; i < sample->grid.count; i++)
        if (sample->answers[i] == VERIFY_AGREES)
            information[n++] = least_information(&sample->matches[i]);
    double share = agreeing > MOST_TILES ? 1 - (double)MOST_TILES / (double)agreeing : 0;
    double enough = fit_quantile(information, n, share);
    for (size_t i = 0; i < sample->grid.count && *ret_count < MOST_TILES; i++)
        if (sample->answers[i] == VERIFY_AGREES && least_information(&sample->matches[i]) >= enough)
            ret[(*ret_count)++] = i;
    return 0;
}

struct planting {
    struct tile_request requests[MOST_TILES * N_PLANTS];
    struct map maps[MOST_TILES * N_PLANTS];
    struct map_point expected[MOST_TILES * N_PLANTS]; /* change of the shift */
    struct tile_shift shifts[MOST_TILES * N_PLANTS];
    struct verify_planted_point along[2][MOST_TILES * N_PLANTS];
};

static void plan(const struct verify_scene *scene, const struct verify_sample *sample,
                 const size_t *tiles, size_t count, struct planting *planting) {
    const struct tiles_grid *grid = &sample->grid;
    for (size_t k = 0; k < count * N_PLANTS; k++) {
        const struct tiles_cell *cell = &grid->cells[tiles[k / N_PLANTS]];
        const struct tile_shift *shift = &sample->shifts[tiles[k / N_PLANTS]];
        struct map plant = plant_map(scene, &plants[k % N_PLANTS]), back = map_identity;
        (void)map_invert(&plant, &back); /* a rotation and a shift: never singular */
        struct map local = tiles_local_map(grid, cell, scene->transform, 0, 0);
        double half = (grid->size - 1) / 2.0;
        double x = cell->x + half + shift->dx, y = cell->y + half + shift->dy;
        struct map_point expected = map_apply(&back, x, y);
        planting->expected[k] = (struct map_point){expected.x - x, expected.y - y};
        planting->maps[k] = map_compose(&plant, &local);
        planting->requests[k] = (struct tile_request){.level = 0,
                                                      .x = cell->x,
                                                      .y = cell->y,
                                                      .size = grid->size,
                                                      .reach_px = verify_sample_reach(grid),
                                                      .look = verify_sample_look(scene, grid),
                                                      .map = &planting->maps[k]};
    }
}

static void judge(const struct verify_sample *sample, const size_t *tiles, size_t count,
                  struct planting *planting, struct verify_planted *ret) {
    size_t n = 0;
    for (size_t tile = 0; tile < count; tile++) {
        const struct tile_shift *before = &sample->shifts[tiles[tile]];
        int followed = 0;
        for (size_t k = tile * N_PLANTS; k < (tile + 1) * N_PLANTS; k++) {
            const struct map_point *expected = &planting->expected[k];
            double x = planting->shifts[k].dx - before->dx, y = planting->shifts[k].dy - before->dy;
            if (!planting->shifts[k].measured)
                continue;
            followed += hypot(x - expected->x, y - expected->y) < FOLLOW_PX;
            planting->along[0][n] = (struct verify_planted_point){expected->x, x};
            planting->along[1][n++] = (struct verify_planted_point){expected->y, y};
        }
        ret->following += followed >= LEAST_FOLLOWED;
    }
    ret->slope_x = verify_planted_slope(planting->along[0], n);
    ret->slope_y = verify_planted_slope(planting->along[1], n);
}

int verify_planted_measure(const struct verify_scene *scene, const struct verify_sample *sample,
                           struct tiles_span progress, struct verify_planted *ret,
                           struct failure *failure) {
    size_t tiles[MOST_TILES], count = 0;
    int r = choose_tiles(sample, tiles, &count, failure);
    *ret = (struct verify_planted){.tiles = (int)count};
    if (r < 0 || count == 0)
        return r;
    CLEANUP_TRACKED struct planting *planting = tracked_alloc(1, sizeof(*planting), "tiles");
    if (!planting)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", count * N_PLANTS);
    plan(scene, sample, tiles, count, planting);
    r = tiles_measure(scene->crew, planting->requests, count * N_PLANTS, progress, planting->shifts,
                      failure);
    if (r == 0)
        judge(sample, tiles, count, planting, ret);
    return r;
}
