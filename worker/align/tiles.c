/* See tiles.h. */
#include "worker/align/tiles.h"

#include "worker/align/parallel.h"
#include "worker/memory/tracked.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>

/* Cells with less texture than this share of the best ones' are empty slide. */
static const double EMPTY_SHARE = 0.03;
static const double BEST_PERCENT = 0.05; /* which ones the best are */

/* Cells of the whole grid: above it they are spaced out, so that no list grows with the area. */
static const size_t MOST_CELLS = 8192;

enum { OVERLAPPING_SIZE = 64 };
static const int SIZES[] = {TILE_MAX_SIZE, 96, 64, 48, 32};

/* The smaller eigenvalue of the mean second moments of the gradient over part of a thumbnail. */
static double texture_of(const struct thumbnail *tone, double x, double y, double side) {
    int left = (int)fmax(x, 1), top = (int)fmax(y, 1);
    int right = (int)fmin(fmax(x + side, left + 2), tone->width - 1);
    int bottom = (int)fmin(fmax(y + side, top + 2), tone->height - 1);
    double xx = 0, xy = 0, yy = 0;
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) {
            const float *p = tone->pixels + (size_t)row * (size_t)tone->width + column;
            double gx = (p[1] - p[-1]) / 2, gy = (p[tone->width] - p[-tone->width]) / 2;
            xx += gx * gx;
            xy += gx * gy;
            yy += gy * gy;
        }
    int area = (right - left) * (bottom - top);
    if (right <= left || bottom <= top)
        return 0;
    return ((xx + yy) / 2 - sqrt((xx - yy) * (xx - yy) / 4 + xy * xy)) / area;
}

/* Whether the transform takes the cell's corners and centre inside the pre image. */
static bool lands_inside(const struct survey *pre, const struct transform *transform, double x,
                         double y, double side) {
    const double at[5][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0.5, 0.5}};
    for (int i = 0; i < 5; i++) {
        struct map_point p = transform_apply(transform, x + at[i][0] * side, y + at[i][1] * side);
        if (!(p.x >= 0 && p.y >= 0 && p.x < pre->layout.width && p.y < pre->layout.height))
            return false;
    }
    return true;
}

static int compare_texture(const void *a, const void *b) {
    const struct tiles_cell *x = a, *y = b;
    if (x->texture != y->texture)
        return x->texture < y->texture ? 1 : -1;
    return x->y != y->y ? x->y - y->y : x->x - y->x; /* the same every time */
}

/* How the grid lies on the level. */
struct lattice {
    int columns, rows, step, left, top;
};

static struct lattice lay_lattice(const struct pyramid_size *level, int size, bool overlap) {
    double cells = (double)(level->width / size) * (level->height / size);
    int step = size * (int)ceil(sqrt(fmax(cells / (double)MOST_CELLS, 1)));
    step = overlap ? step / 2 : step;
    int columns = (level->width - size) / step + 1, rows = (level->height - size) / step + 1;
    if (level->width < size || level->height < size)
        columns = rows = 0;
    /* the remainder goes to both sides, so that no edge is preferred */
    return (struct lattice){columns, rows, step, (level->width - (columns - 1) * step - size) / 2,
                            (level->height - (rows - 1) * step - size) / 2};
}

static size_t list_cells(const struct thumbnail *texture, const struct survey *pre,
                         const struct lattice *lattice, const struct tiles_choice *choice,
                         struct tiles_grid *grid) {
    double factor = ldexp(1, choice->level), side = factor * grid->size;
    size_t n = 0;
    for (int row = 0; row < lattice->rows; row++)
        for (int column = 0; column < lattice->columns; column++) {
            int x = lattice->left + column * lattice->step, y = lattice->top + row * lattice->step;
            if (!lands_inside(pre, choice->transform, x * factor, y * factor, side))
                continue;
            grid->cells[n++] = (struct tiles_cell){
                .x = x,
                .y = y,
                .parity = choice->overlap ? (row / 2 + column / 2) % 2 : (row + column) % 2,
                .texture = texture_of(texture, x * factor / texture->pitch,
                                      y * factor / texture->pitch, side / texture->pitch)};
        }
    return n;
}

/* Best first; drops the empty ones at the end. */
static size_t drop_empty(struct tiles_cell *cells, size_t count) {
    qsort(cells, count, sizeof(*cells), compare_texture);
    size_t best = (size_t)(BEST_PERCENT * (double)count) + 1;
    double mean = 0;
    for (size_t i = 0; i < best && i < count; i++)
        mean += cells[i].texture / (double)best;
    while (count > 0 && !(cells[count - 1].texture > EMPTY_SHARE * mean))
        count--;
    return count;
}

struct box {
    int left, top, right, bottom;
};

static struct box bounding_box(const struct tiles_grid *grid) {
    struct box box = {INT32_MAX, INT32_MAX, 0, 0};
    for (size_t i = 0; i < grid->count; i++) {
        const struct tiles_cell *cell = &grid->cells[i];
        box.left = cell->x < box.left ? cell->x : box.left;
        box.top = cell->y < box.top ? cell->y : box.top;
        box.right = cell->x + grid->size > box.right ? cell->x + grid->size : box.right;
        box.bottom = cell->y + grid->size > box.bottom ? cell->y + grid->size : box.bottom;
    }
    return box;
}

/* Which of n x n equal parts of the box the cell's centre is in. */
static int part_of(const struct box *box, const struct tiles_cell *cell, int size, int n) {
    int column = (int)((int64_t)(cell->x + size / 2 - box->left) * n / (box->right - box->left));
    int row = (int)((int64_t)(cell->y + size / 2 - box->top) * n / (box->bottom - box->top));
    return row * n + column;
}

/* Keeps, of each parity, at most `most` cells, taken in turns from all neighbourhoods of the
 * bounding box, each neighbourhood's most textured first. Cells come sorted by texture. */
static size_t spread_cells(struct tiles_grid *grid, size_t most) {
    enum { SIDE = 12 };
    uint16_t taken[2][SIDE * SIDE] = {{0}};
    struct box box = bounding_box(grid);
    size_t total[2] = {0}, n_cells[2] = {0};
    for (size_t i = 0; i < grid->count; i++)
        n_cells[grid->cells[i].parity]++;
    if (n_cells[0] <= most && n_cells[1] <= most)
        return grid->count;
    /* the most per neighbourhood that keeps both parities within bounds */
    uint16_t limit = 0;
    for (uint16_t trial = 1; trial < UINT16_MAX; trial++) {
        uint16_t held[2][SIDE * SIDE] = {{0}};
        total[0] = total[1] = 0;
        for (size_t i = 0; i < grid->count; i++) {
            const struct tiles_cell *cell = &grid->cells[i];
            uint16_t *slot = &held[cell->parity][part_of(&box, cell, grid->size, SIDE)];
            if (*slot < trial) {
                (*slot)++;
                total[cell->parity]++;
            }
        }
        if (limit > 0 && (total[0] > most || total[1] > most))
            break;
        limit = trial;
        if (total[0] == n_cells[0] && total[1] == n_cells[1])
            break;
    }
    size_t n = 0;
    for (size_t i = 0; i < grid->count; i++) {
        struct tiles_cell cell = grid->cells[i];
        uint16_t *slot = &taken[cell.parity][part_of(&box, &cell, grid->size, SIDE)];
        if (*slot < limit) {
            (*slot)++;
            grid->cells[n++] = cell;
        }
    }
    return n;
}

/* All usable cells of one size, best first. */
static int fill_grid(const struct thumbnail *texture, const struct survey *pre,
                     const struct survey *post, const struct tiles_choice *choice,
                     struct tiles_grid *grid, struct failure *failure) {
    struct pyramid_size size = pyramid_level_size(&post->layout, choice->level);
    struct lattice lattice = lay_lattice(&size, grid->size, choice->overlap);
    size_t most = (size_t)lattice.columns * (size_t)lattice.rows;
    tracked_free(grid->cells);
    grid->cells = tracked_alloc(most + 1, sizeof(*grid->cells), "cells");
    if (!grid->cells)
        return failure_set(failure, -ENOMEM, "no memory for %zu cells", most);
    grid->count = list_cells(texture, pre, &lattice, choice, grid);
    if (!choice->with_empty)
        grid->count = drop_empty(grid->cells, grid->count);
    return 0;
}

int tiles_choose(const struct thumbnail *texture, const struct survey *pre,
                 const struct survey *post, const struct tiles_choice *choice,
                 struct tiles_grid *ret, struct failure *failure) {
    CLEANUP(tiles_free) struct tiles_grid grid = {.level = choice->level};
    int fixed = choice->overlap ? OVERLAPPING_SIZE : choice->size;
    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        grid.size = fixed ? fixed : SIZES[i];
        int r = fill_grid(texture, pre, post, choice, &grid, failure);
        if (r < 0)
            return r;
        if (fixed || grid.count >= choice->least_cells)
            break;
    }
    if (grid.count > 0)
        grid.count = spread_cells(&grid, choice->most_tiles);
    struct box box = bounding_box(&grid);
    for (size_t i = 0; i < grid.count; i++)
        grid.cells[i].sector = part_of(&box, &grid.cells[i], grid.size, TILES_SECTORS);
    *ret = grid;
    grid.cells = NULL; /* the caller's now */
    return 0;
}

int tiles_quarter(struct tiles_grid *grid) {
    struct tiles_cell *cells = tracked_alloc(4 * grid->count + 1, sizeof(*cells), "cells");
    if (!cells)
        return -ENOMEM;
    int half = grid->size / 2;
    for (size_t i = 0; i < 4 * grid->count; i++) {
        cells[i] = grid->cells[i / 4];
        cells[i].x += i % 2 ? half : 0;
        cells[i].y += i % 4 / 2 ? half : 0;
    }
    tracked_free(grid->cells);
    grid->cells = cells;
    grid->count *= 4;
    grid->size = half;
    return 0;
}

void tiles_keep(struct tiles_grid *grid, enum tiles_parity parity) {
    size_t n = 0;
    for (size_t i = 0; i < grid->count; i++)
        if (grid->cells[i].parity == (int)parity)
            grid->cells[n++] = grid->cells[i];
    grid->count = n;
}

void tiles_free(struct tiles_grid *grid) {
    tracked_free(grid->cells);
    *grid = (struct tiles_grid){0};
}

/* What a bench takes besides its two caches, decoded blocks in passing included; and the least that
 * a cache is good for. */
static const uint64_t BENCH_BYTES = 8 << 20, LEAST_CACHE_BYTES = 4 << 20;

struct tiles_crew {
    struct tile_pair pair;
    int threads;
    struct tile_bench *benches[PARALLEL_MAX_THREADS];
};

void tiles_crew_close(struct tiles_crew *crew) {
    if (!crew)
        return;
    for (int i = 0; i < crew->threads; i++)
        tile_bench_close(crew->benches[i]);
    free(crew);
}

/* Fewer threads, then smaller caches, where memory is short: neither changes a result. */
static void fit_to_budget(struct tiles_crew *crew) {
    crew->threads = parallel_threads(crew->pair.context->threads);
    uint64_t budget = tracked_budget(), now = tracked_now();
    if (budget == 0)
        return;
    uint64_t left = budget > now ? budget - now : 0;
    while (crew->threads > 1 &&
           left < (uint64_t)crew->threads * (BENCH_BYTES + 2 * LEAST_CACHE_BYTES))
        crew->threads--;
    uint64_t share = left / (uint64_t)crew->threads;
    uint64_t cache = share > BENCH_BYTES ? (share - BENCH_BYTES) / 2 : 0;
    if (cache < crew->pair.cache_bytes)
        crew->pair.cache_bytes = cache;
}

int tiles_crew_open(const struct tile_pair *pair, struct tiles_crew **ret,
                    struct failure *failure) {
    struct tiles_crew *crew = calloc(1, sizeof(*crew));
    if (!crew)
        return failure_set(failure, -ENOMEM, "no memory for tiles");
    crew->pair = *pair;
    fit_to_budget(crew);
    for (int i = 0; i < crew->threads; i++) {
        int r = tile_bench_open(&crew->pair, &crew->benches[i], failure);
        if (r < 0) {
            tiles_crew_close(crew);
            return r;
        }
    }
    *ret = crew;
    return 0;
}

struct measuring {
    struct tiles_crew *crew;
    const struct tile_request *requests;
    size_t count;
    struct tiles_span span;
    struct tile_shift *shifts; /* or NULL: */
    struct tile_grains *grains;
    atomic_size_t done;
};

static int measure_one(void *opaque, int thread, size_t item, struct failure *failure) {
    struct measuring *measuring = opaque;
    struct tile_bench *bench = measuring->crew->benches[thread];
    const struct tile_request *request = &measuring->requests[item];
    int r = measuring->shifts
                ? tile_measure(bench, request, &measuring->shifts[item], failure)
                : tile_measure_grain(bench, request, &measuring->grains[item], failure);
    if (r < 0)
        return r;
    double done = (double)atomic_fetch_add(&measuring->done, 1) / (double)measuring->count;
    const struct tiles_span *span = &measuring->span;
    return progress_set(measuring->crew->pair.context->progress,
                        span->from + done * (span->to - span->from));
}

int tiles_measure(struct tiles_crew *crew, const struct tile_request *requests, size_t count,
                  struct tiles_span progress, struct tile_shift *ret, struct failure *failure) {
    struct measuring measuring = {crew, requests, count, progress, ret, NULL, 0};
    return parallel_run(count, crew->threads, measure_one, &measuring, failure);
}

static int measure_grid(struct measuring *measuring, const struct tiles_grid *grid,
                        const struct transform *transform, const struct tile_request *how,
                        struct failure *failure) {
    CLEANUP_TRACKED struct tile_request *requests =
        tracked_alloc(grid->count + 1, sizeof(*requests), "tiles");
    CLEANUP_TRACKED struct map *maps = tracked_alloc(grid->count + 1, sizeof(*maps), "maps");
    if (!requests || !maps)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", grid->count);
    measuring->requests = requests;
    measuring->count = grid->count;
    for (size_t i = 0; i < grid->count; i++) {
        requests[i] = *how;
        requests[i].level = grid->level;
        requests[i].x = grid->cells[i].x;
        requests[i].y = grid->cells[i].y;
        requests[i].size = grid->size;
        maps[i] = tiles_local_map(grid, &grid->cells[i], transform, 0, 0);
        requests[i].map = &maps[i];
    }
    return parallel_run(grid->count, measuring->crew->threads, measure_one, measuring, failure);
}

int tiles_measure_grid(struct tiles_crew *crew, const struct tiles_grid *grid,
                       const struct transform *transform, const struct tile_request *how,
                       struct tiles_span progress, struct tile_shift *ret,
                       struct failure *failure) {
    struct measuring measuring = {.crew = crew, .span = progress, .shifts = ret};
    return measure_grid(&measuring, grid, transform, how, failure);
}

int tiles_take_grain(struct tiles_crew *crew, const struct tiles_grid *grid,
                     const struct transform *transform, struct tiles_span progress,
                     struct tile_grains *ret, struct failure *failure) {
    const struct tile_request how = {0};
    struct measuring measuring = {.crew = crew, .span = progress, .grains = ret};
    return measure_grid(&measuring, grid, transform, &how, failure);
}

/* The cell's centre in full-resolution pixels. */
static struct map_point centre_of(const struct tiles_grid *grid, const struct tiles_cell *cell) {
    double factor = ldexp(1, grid->level), half = (grid->size - 1) / 2.0;
    return (struct map_point){(cell->x + half + 0.5) * factor - 0.5,
                              (cell->y + half + 0.5) * factor - 0.5};
}

struct map tiles_local_map(const struct tiles_grid *grid, const struct tiles_cell *cell,
                           const struct transform *transform, double dx, double dy) {
    struct map_point centre = centre_of(grid, cell);
    struct map shift = {{1, 0, dx, 0, 1, dy, 0, 0, 1}};
    struct map local =
        transform_local(transform, centre.x + dx, centre.y + dy, ldexp(grid->size, grid->level));
    return dx == 0 && dy == 0 ? local : map_compose(&shift, &local);
}

struct fit_match tiles_match(const struct tiles_grid *grid, const struct tiles_cell *cell,
                             const struct tile_shift *shift, const struct transform *transform) {
    double factor = ldexp(1, grid->level);
    struct map_point centre = centre_of(grid, cell);
    double from_x = centre.x + shift->dx * factor, from_y = centre.y + shift->dy * factor;
    struct map_point to = transform_apply(transform, from_x, from_y);
    struct fit_match match = {.x = centre.x, .y = centre.y, .u = to.x, .v = to.y};
    /* one level pixel's step in the pre image: columns of the Jacobian */
    struct map_point right = transform_apply(transform, from_x + factor, from_y);
    struct map_point down = transform_apply(transform, from_x, from_y + factor);
    double a = right.x - to.x, b = down.x - to.x, c = right.y - to.y, d = down.y - to.y;
    double det = a * d - b * c;
    if (fabs(det) < 1e-12)
        return match; /* no information */
    /* inverse Jacobian J, then J^T info J */
    double p = d / det, q = -b / det, r = -c / det, s = a / det;
    double xx = shift->info_xx, xy = shift->info_xy, yy = shift->info_yy;
    match.info_xx = p * (xx * p + xy * r) + r * (xy * p + yy * r);
    match.info_xy = p * (xx * q + xy * s) + r * (xy * q + yy * s);
    match.info_yy = q * (xx * q + xy * s) + s * (xy * q + yy * s);
    return match;
}
