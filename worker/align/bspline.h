/* A smooth field of displacements: a uniform grid of control points and cubic B-splines between
 * them (Rueckert et al. 1999, IEEE Trans. Med. Imaging 18:712).
 *
 * Post pixel (x, y) lies at u = (x - grid.x) / step, v = (y - grid.y) / step in units of the grid.
 * With i = floor(u), j = floor(v) its displacement, px of the pre image, is
 *
 *   sum over l, m = 0 .. 3 of  B_l(u - i) B_m(v - j) (dx, dy)[(j - 1 + m) columns + i - 1 + l]
 *
 * B_0 = (1-t)^3 / 6, B_1 = (3t^3 - 6t^2 + 4) / 6, B_2 = (-3t^3 + 3t^2 + 3t + 1) / 6, B_3 = t^3 / 6.
 * Control (1, 1) is the frame's first pixel; u is limited to 1 .. columns - 2 and v likewise, so
 * that outside of the frame the displacement of its edge holds.
 */
#ifndef WORKER_ALIGN_BSPLINE_H
#define WORKER_ALIGN_BSPLINE_H

#include "worker/align/map.h"

#include <stddef.h>

enum { BSPLINE_MOST_CELLS = 16, BSPLINE_MOST_SIDE = BSPLINE_MOST_CELLS + 3 };

struct bspline {
    int columns, rows; /* control points; 0: there is no grid, and every displacement is 0 */
    double x, y;       /* of control (0, 0), post px */
    double step;       /* from one to the next, post px */
    double dx[BSPLINE_MOST_SIDE * BSPLINE_MOST_SIDE], dy[BSPLINE_MOST_SIDE * BSPLINE_MOST_SIDE];
};

/* A grid of zeros over a frame of width x height px, `cells` (1 to BSPLINE_MOST_CELLS) square cells
 * along its longer side. */
struct bspline bspline_over(double width, double height, int cells);

/* Where a point falls: its cell's first control point and the weights of 4 x 4 from there on. */
struct bspline_place {
    int column, row;
    double across[4], down[4];
};
struct bspline_place bspline_locate(const struct bspline *grid, double x, double y);

struct map_point bspline_at(const struct bspline *grid, double x, double y);

/* Derivatives of the displacement: x_y is that of its x component along y. */
struct bspline_slope {
    double x_x, x_y, y_x, y_y;
};
struct bspline_slope bspline_slope_at(const struct bspline *grid, double x, double y);

/* Adds the displacements at (x, y), (x + 1, y), ... (x + count - 1, y) to xs and ys. Exact: between
 * two control points a row is one cubic. */
void bspline_add_row(const struct bspline *grid, double x, double y, size_t count, double *xs,
                     double *ys);

/* An upper bound, px: nowhere in a rectangle of this size inside the frame is a component of the
 * displacement farther outside the range of that at the four corners. */
double bspline_bulge(const struct bspline *grid, double width, double height);

#endif
