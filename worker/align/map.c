/* See map.h. Plain arithmetic, no allocation. */
#include "worker/align/map.h"

#include <math.h>

const struct map map_identity = {{1, 0, 0, 0, 1, 0, 0, 0, 1}};

struct map_point map_apply(const struct map *map, double x, double y) {
    const double *h = map->h;
    double w = h[6] * x + h[7] * y + h[8];
    return (struct map_point){(h[0] * x + h[1] * y + h[2]) / w, (h[3] * x + h[4] * y + h[5]) / w};
}

struct map map_compose(const struct map *first, const struct map *second) {
    struct map result;
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++) {
            double sum = 0;
            for (int k = 0; k < 3; k++)
                sum += second->h[row * 3 + k] * first->h[k * 3 + column];
            result.h[row * 3 + column] = sum;
        }
    return result;
}

bool map_invert(const struct map *map, struct map *ret) {
    const double *h = map->h;
    double adjugate[9] = {
        h[4] * h[8] - h[5] * h[7], h[2] * h[7] - h[1] * h[8], h[1] * h[5] - h[2] * h[4],
        h[5] * h[6] - h[3] * h[8], h[0] * h[8] - h[2] * h[6], h[2] * h[3] - h[0] * h[5],
        h[3] * h[7] - h[4] * h[6], h[1] * h[6] - h[0] * h[7], h[0] * h[4] - h[1] * h[3],
    };
    double det = h[0] * adjugate[0] + h[1] * adjugate[3] + h[2] * adjugate[6];
    if (!isfinite(det) || fabs(det) < 1e-300)
        return false;
    for (int i = 0; i < 9; i++)
        ret->h[i] = adjugate[i] / det;
    return true;
}

double map_det(const struct map *map, double x, double y) {
    const double *h = map->h;
    double w = h[6] * x + h[7] * y + h[8];
    struct map_point p = map_apply(map, x, y);
    double xx = (h[0] - p.x * h[6]) / w, xy = (h[1] - p.x * h[7]) / w;
    double yx = (h[3] - p.y * h[6]) / w, yy = (h[4] - p.y * h[7]) / w;
    return xx * yy - xy * yx;
}

/* Level coordinates to full resolution: x_0 = (x_level + 0.5) 2^level - 0.5. */
static struct map from_level(int level) {
    double factor = ldexp(1, level), shift = 0.5 * factor - 0.5;
    return (struct map){{factor, 0, shift, 0, factor, shift, 0, 0, 1}};
}

static struct map to_level(int level) {
    double factor = ldexp(1, -level), shift = 0.5 * factor - 0.5;
    return (struct map){{factor, 0, shift, 0, factor, shift, 0, 0, 1}};
}

struct map map_at_levels(const struct map *map, int post_level, int pre_level) {
    struct map up = from_level(post_level), down = to_level(pre_level);
    struct map full = map_compose(&up, map);
    return map_compose(&full, &down);
}

struct map map_similarity(double angle_rad, double scale, double shift_x, double shift_y) {
    double c = scale * cos(angle_rad), s = scale * sin(angle_rad);
    return (struct map){{c, -s, shift_x, s, c, shift_y, 0, 0, 1}};
}
