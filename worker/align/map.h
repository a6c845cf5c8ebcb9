/* A projective map of the plane, row-major 3 x 3: (x, y) goes to
 * ((h0 x + h1 y + h2) / w, (h3 x + h4 y + h5) / w) with w = h6 x + h7 y + h8.
 *
 * Coordinates are pixels of the full-resolution upright image; integers are pixel centres, x runs
 * right, y down. Everywhere in the worker a map takes post (fixed) to pre (moving).
 * Level coordinates: x_level = (x_0 + 0.5) / 2^level - 0.5 (centres stay centres).
 */
#ifndef WORKER_ALIGN_MAP_H
#define WORKER_ALIGN_MAP_H

#include <stdbool.h>

struct map {
    double h[9];
};

struct map_point {
    double x, y;
};

extern const struct map map_identity;

struct map_point map_apply(const struct map *map, double x, double y);
/* first, then second. */
struct map map_compose(const struct map *first, const struct map *second);
/* false when singular; then *ret is left alone. */
bool map_invert(const struct map *map, struct map *ret);
/* Determinant of the Jacobian at (x, y): the local area magnification, negative for a mirror. */
double map_det(const struct map *map, double x, double y);
/* The same map between images reduced 2^post_level and 2^pre_level times. */
struct map map_at_levels(const struct map *map, int post_level, int pre_level);
/* A similarity: rotation in radians (x towards y), magnification, shift. */
struct map map_similarity(double angle_rad, double scale, double shift_x, double shift_y);

#endif
