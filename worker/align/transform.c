/* See transform.h. */
#include "worker/align/transform.h"

#include <math.h>

bool transform_has_grid(const struct transform *transform) { return transform->grid.columns > 0; }

struct map_point transform_apply(const struct transform *transform, double x, double y) {
    struct map_point p = map_apply(&transform->map, x, y);
    if (!transform_has_grid(transform))
        return p;
    struct map_point d = bspline_at(&transform->grid, x, y);
    return (struct map_point){p.x + d.x, p.y + d.y};
}

double transform_det(const struct transform *transform, double x, double y) {
    if (!transform_has_grid(transform))
        return map_det(&transform->map, x, y);
    const double *h = transform->map.h; /* affine */
    struct bspline_slope slope = bspline_slope_at(&transform->grid, x, y);
    return (h[0] + slope.x_x) * (h[4] + slope.y_y) - (h[1] + slope.x_y) * (h[3] + slope.y_x);
}

struct map transform_local(const struct transform *transform, double x, double y, double side) {
    enum { STEPS = 5 };
    if (!transform_has_grid(transform))
        return transform->map;
    struct map_point mean = {0, 0}, across = {0, 0}, down = {0, 0};
    double squares = 0; /* of the offsets, along one axis, over all points */
    for (int i = 0; i < STEPS * STEPS; i++) {
        double left = side * ((i % STEPS + 0.5) / STEPS - 0.5);
        double top = side * ((i / STEPS + 0.5) / STEPS - 0.5);
        struct map_point d = bspline_at(&transform->grid, x + left, y + top);
        mean.x += d.x / (STEPS * STEPS);
        mean.y += d.y / (STEPS * STEPS);
        across.x += left * d.x;
        across.y += left * d.y;
        down.x += top * d.x;
        down.y += top * d.y;
        squares += left * left;
    }
    double k = squares > 0 ? 1 / squares : 0;
    struct map local = transform->map;
    double *h = local.h;
    h[0] += k * across.x, h[1] += k * down.x;
    h[3] += k * across.y, h[4] += k * down.y;
    h[2] += mean.x - k * (across.x * x + down.x * y);
    h[5] += mean.y - k * (across.y * x + down.y * y);
    return local;
}

double transform_residual(const struct transform *transform, const struct fit_match *match) {
    struct map_point p = transform_apply(transform, match->x, match->y);
    return hypot(match->u - p.x, match->v - p.y);
}

/* In units of the deviation along the direction that is known best. */
double transform_known_residual(const struct transform *transform, const struct fit_match *match) {
    struct map_point p = transform_apply(transform, match->x, match->y);
    double x = match->u - p.x, y = match->v - p.y;
    double mean = (match->info_xx + match->info_yy) / 2;
    double most = mean + hypot((match->info_xx - match->info_yy) / 2, match->info_xy);
    double misfit = x * x * match->info_xx + 2 * x * y * match->info_xy + y * y * match->info_yy;
    return most > 0 ? sqrt(fmax(misfit, 0) / most) : hypot(x, y);
}
