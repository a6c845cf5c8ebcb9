/* See verify_pattern.h. */
#include "worker/align/verify_pattern.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum { SIDE = 12, GROUND_TILES = 24 };

/* Nearly no slide is put back to a quarter of a pixel, all over, or unturned to so much. */
static const double STILL_PX = 0.25, SHIFTED_PX = 2, AGREE_PX = 1;

static void ask_motion(const struct verify_scene *scene, const struct verify_sample *sample,
                       struct verify_pattern *pattern) {
    double farthest = 0, low_x = HUGE_VAL, low_y = HUGE_VAL, high_x = -HUGE_VAL, high_y = -HUGE_VAL;
    for (size_t i = 0; i < sample->grid.count; i++) {
        const struct fit_match *match = &sample->matches[i];
        if (sample->answers[i] != VERIFY_AGREES)
            continue;
        struct map_point p = transform_apply(scene->transform, match->x, match->y);
        p.x -= match->x;
        p.y -= match->y;
        farthest = fmax(farthest, hypot(p.x, p.y));
        low_x = fmin(low_x, p.x), high_x = fmax(high_x, p.x);
        low_y = fmin(low_y, p.y), high_y = fmax(high_y, p.y);
    }
    pattern->still = farthest <= STILL_PX;
    pattern->shifted = high_x - low_x <= SHIFTED_PX && high_y - low_y <= SHIFTED_PX;
}

struct place {
    int x, y;
    double deviation; /* of the tone */
};

static double deviation_at(const struct thumbnail *tone, int x, int y, int size) {
    int left = (int)(x / tone->pitch), top = (int)(y / tone->pitch), n = 0;
    double sum = 0, squares = 0;
    for (int row = top; row < tone->height && row < (y + size) / tone->pitch; row++)
        for (int column = left; column < tone->width && column < (x + size) / tone->pitch;
             column++) {
            double value = tone->pixels[(size_t)row * (size_t)tone->width + (size_t)column];
            sum += value;
            squares += value * value;
            n++;
        }
    return n > 0 ? sqrt(fmax(squares / n - sum * sum / n / n, 0)) : HUGE_VAL;
}

static int compare_places(const void *a, const void *b) {
    const struct place *p = a, *q = b;
    if (p->deviation != q->deviation)
        return p->deviation < q->deviation ? -1 : 1;
    return p->y != q->y ? p->y - q->y : p->x - q->x; /* the same every time */
}

/* The emptiest places first. */
static void find_ground(const struct verify_scene *scene, int size, struct place ret[SIDE * SIDE]) {
    double across = scene->post->layout.width - (double)size;
    double down = scene->post->layout.height - (double)size;
    for (int i = 0; i < SIDE * SIDE; i++) {
        int x = (int)(across * (i % SIDE) / (SIDE - 1.0));
        int y = (int)(down * (i / SIDE) / (SIDE - 1.0));
        ret[i] = (struct place){x, y, deviation_at(scene->texture, x, y, size)};
    }
    qsort(ret, SIDE * SIDE, sizeof(*ret), compare_places);
}

static double median_shared(const struct verify_sample *sample, double *scratch) {
    size_t n = 0;
    for (size_t i = 0; i < sample->grid.count; i++)
        if (sample->answers[i] == VERIFY_AGREES)
            scratch[n++] = sample->shifts[i].covariance;
    return n > 0 ? fit_quantile(scratch, n, 0.5) : 0;
}

static int ask_ground(const struct verify_scene *scene, const struct tiles_grid *grid,
                      struct tiles_span progress, struct verify_pattern *pattern,
                      struct failure *failure) {
    struct place places[SIDE * SIDE];
    struct map maps[GROUND_TILES];
    struct tile_request requests[GROUND_TILES];
    struct tile_shift shifts[GROUND_TILES];
    find_ground(scene, grid->size, places);
    for (size_t i = 0; i < GROUND_TILES; i++) {
        struct tiles_cell cell = {.x = places[i].x, .y = places[i].y};
        maps[i] = tiles_local_map(grid, &cell, scene->transform, 0, 0);
        requests[i] = (struct tile_request){.level = 0,
                                            .x = cell.x,
                                            .y = cell.y,
                                            .size = grid->size,
                                            .reach_px = verify_sample_reach(grid),
                                            .map = &maps[i]};
    }
    int r = tiles_measure(scene->crew, requests, GROUND_TILES, progress, shifts, failure);
    double shared[GROUND_TILES];
    size_t n = 0;
    for (size_t i = 0; i < GROUND_TILES && r == 0; i++) {
        if (!shifts[i].measured)
            continue;
        shared[n++] = shifts[i].covariance;
        pattern->ground_agreeing += hypot(shifts[i].dx, shifts[i].dy) < AGREE_PX;
    }
    pattern->ground = (int)n;
    pattern->ground_shared = n > 0 ? fit_quantile(shared, n, 0.5) : 0;
    return r;
}

int verify_pattern_measure(const struct verify_scene *scene, const struct verify_sample *sample,
                           struct tiles_span progress, struct verify_pattern *ret,
                           struct failure *failure) {
    *ret = (struct verify_pattern){0};
    ask_motion(scene, sample, ret);
    if (!ret->still || verify_sample_count(sample, VERIFY_AGREES) == 0)
        return 0;
    CLEANUP_TRACKED double *scratch =
        tracked_alloc(sample->grid.count + 1, sizeof(*scratch), "residuals");
    if (!scratch)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", sample->grid.count);
    ret->tissue_shared = median_shared(sample, scratch);
    return ask_ground(scene, &sample->grid, progress, ret, failure);
}
