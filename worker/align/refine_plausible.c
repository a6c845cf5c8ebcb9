/* What a map must be like to be believed at all; see refine.h. */
#include "worker/align/refine.h"

#include <math.h>

enum { LATTICE_STEPS = 4 }; /* per cell of a grid, where folds are looked for */

/* Areas may be magnified this much beyond what the scales allow. */
static const double AREA_MARGIN = 1.15, LEAST_AREA = 0.5, MOST_AREA = 2;

const char *refine_model_name(const struct transform *transform, enum fit_model model) {
    return transform_has_grid(transform) ? "grid" : fit_model_name(model);
}

static bool map_is_plausible(const struct map *map, double least, double most, double width,
                             double height) {
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? width - 1 : 0, y = corner & 2 ? height - 1 : 0;
        double area = map_det(map, x, y);
        /* the denominator must not change sign inside the image */
        double w = map->h[6] * x + map->h[7] * y + map->h[8];
        if (!(w > 0.25) || !(area >= least && area <= most))
            return false;
    }
    return true;
}

/* No fold, and no part magnified far otherwise than the whole: on a lattice finer than the grid. */
static bool grid_is_plausible(const struct transform *transform) {
    const struct bspline *grid = &transform->grid;
    double whole = map_det(&transform->map, 0, 0), step = grid->step / LATTICE_STEPS;
    for (int row = 0; row <= (grid->rows - 3) * LATTICE_STEPS; row++)
        for (int column = 0; column <= (grid->columns - 3) * LATTICE_STEPS; column++) {
            double part = transform_det(transform, column * step, row * step) / whole;
            if (!(part >= LEAST_AREA && part <= MOST_AREA))
                return false;
        }
    return true;
}

bool refine_is_plausible(const struct transform *transform, const struct params *params,
                         double width, double height) {
    double least = fmax(LEAST_AREA, params->scale_min * params->scale_min / AREA_MARGIN);
    double most = fmin(MOST_AREA, params->scale_max * params->scale_max * AREA_MARGIN);
    return map_is_plausible(&transform->map, least, most, width, height) &&
           (!transform_has_grid(transform) || grid_is_plausible(transform));
}
