/* See transform_inverse.h. Newton's steps are halved as long as they do not lead nearer: at the
 * frame's edge the grid's displacements stop growing, and a full step may overshoot there. */
#include "worker/align/transform_inverse.h"

#include <math.h>

enum {
    MOST_STEPS = 40,
    MOST_HALVINGS = 8,
    LOOKS_PER_CELL = 4, /* for folds: the slopes are quadratic in between */
};

/* Below this share of the affine part's area a place counts as folded: the map is not to be
 * inverted there, or only by chance. */
static const double LEAST_AREA = 0.02;

/* What is left after a step that is worth another one: well below TRANSFORM_INVERSE_ERROR_PX. */
static const double GOAL_PX = 1e-7;

static double weight(const struct map *map, double x, double y) {
    return map->h[6] * x + map->h[7] * y + map->h[8];
}

/* In the frame: one side of the horizon at all corners. */
static bool find_side(const struct map *map, double width, double height, double *ret) {
    const double corners[4][2] = {
        {-0.5, -0.5}, {width - 0.5, -0.5}, {-0.5, height - 0.5}, {width - 0.5, height - 0.5}};
    double side = weight(map, 0, 0) < 0 ? -1 : 1;
    for (int i = 0; i < 4; i++)
        if (!(side * weight(map, corners[i][0], corners[i][1]) > 0))
            return false;
    *ret = side;
    return true;
}

static bool folds(const struct transform *forward, double width, double height) {
    const struct bspline *grid = &forward->grid;
    double step = grid->step / LOOKS_PER_CELL, area = map_det(&forward->map, 0, 0);
    /* the grid has no more cells than its own limit, however large the frame is said to be */
    int columns = (int)fmin(ceil(width / step), grid->columns * LOOKS_PER_CELL);
    int rows = (int)fmin(ceil(height / step), grid->rows * LOOKS_PER_CELL);
    for (int row = 0; row <= rows; row++)
        for (int column = 0; column <= columns; column++) {
            double x = fmin(column * step, width - 1), y = fmin(row * step, height - 1);
            if (!(transform_det(forward, x, y) / area > LEAST_AREA))
                return true;
        }
    return false;
}

bool transform_inverse_make(const struct transform *forward, double post_width, double post_height,
                            struct transform_inverse *ret) {
    struct transform_inverse inverse = {.forward = forward};
    if (!map_invert(&forward->map, &inverse.back) ||
        !find_side(&forward->map, post_width, post_height, &inverse.side) ||
        (transform_has_grid(forward) && folds(forward, post_width, post_height)))
        return false;
    *ret = inverse;
    return true;
}

/* How far the transform misses (x, y) from p; infinite for what is no number. */
static double miss(const struct transform *forward, struct map_point p, double x, double y,
                   struct map_point *ret) {
    struct map_point there = transform_apply(forward, p.x, p.y);
    *ret = (struct map_point){there.x - x, there.y - y};
    double distance = hypot(ret->x, ret->y);
    return isfinite(distance) ? distance : INFINITY;
}

/* One Newton step from p, halved until it leads nearer. Returns the distance that is left. */
static double step_on(const struct transform *forward, double x, double y, double distance,
                      struct map_point *p, struct map_point *off) {
    const double *h = forward->map.h; /* affine */
    struct bspline_slope slope = bspline_slope_at(&forward->grid, p->x, p->y);
    double xx = h[0] + slope.x_x, xy = h[1] + slope.x_y;
    double yx = h[3] + slope.y_x, yy = h[4] + slope.y_y;
    double det = xx * yy - xy * yx;
    struct map_point step = {(yy * off->x - xy * off->y) / det, (xx * off->y - yx * off->x) / det};
    for (int halving = 0; halving <= MOST_HALVINGS; halving++) {
        double share = ldexp(1, -halving);
        struct map_point next = {p->x - share * step.x, p->y - share * step.y}, next_off;
        double left = miss(forward, next, x, y, &next_off);
        if (left < distance) {
            *p = next;
            *off = next_off;
            return left;
        }
    }
    return distance;
}

bool transform_inverse_near(const struct transform_inverse *inverse, double x, double y,
                            struct map_point near, struct map_point *ret) {
    struct map_point p = near, off;
    double distance = miss(inverse->forward, p, x, y, &off);
    for (int i = 0; i < MOST_STEPS && distance > GOAL_PX; i++) {
        double left = step_on(inverse->forward, x, y, distance, &p, &off);
        if (!(left < distance))
            break;
        distance = left;
    }
    if (!(distance <= TRANSFORM_INVERSE_ERROR_PX))
        return false;
    *ret = p;
    return true;
}

bool transform_inverse_at(const struct transform_inverse *inverse, double x, double y,
                          struct map_point *ret) {
    struct map_point p = map_apply(&inverse->back, x, y);
    if (!isfinite(p.x) || !isfinite(p.y) ||
        !(inverse->side * weight(&inverse->forward->map, p.x, p.y) > 0))
        return false;
    if (transform_has_grid(inverse->forward))
        return transform_inverse_near(inverse, x, y, p, ret);
    *ret = p;
    return true;
}
