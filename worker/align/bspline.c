/* See bspline.h. Plain arithmetic, no allocation. */
#include "worker/align/bspline.h"

#include <math.h>

struct bspline bspline_over(double width, double height, int cells) {
    double step = fmax(fmax(width, height) - 1, 1) / cells;
    int columns = (int)ceil((width - 1) / step - 1e-9),
        rows = (int)ceil((height - 1) / step - 1e-9);
    return (struct bspline){.columns = (columns > 1 ? columns : 1) + 3,
                            .rows = (rows > 1 ? rows : 1) + 3,
                            .x = -step,
                            .y = -step,
                            .step = step};
}

static void fill_weights(double t, double ret[4]) {
    double s = 1 - t;
    ret[0] = s * s * s / 6;
    ret[1] = (t * t * (3 * t - 6) + 4) / 6;
    ret[2] = (s * s * (3 * s - 6) + 4) / 6;
    ret[3] = t * t * t / 6;
}

static void fill_slopes(double t, double ret[4]) {
    double s = 1 - t;
    ret[0] = -s * s / 2;
    ret[1] = t * (3 * t - 4) / 2;
    ret[2] = -s * (3 * s - 4) / 2;
    ret[3] = t * t / 2;
}

/* The cell in one direction, and how far into it: 0 to 1. */
static int find_cell(double from, double step, int controls, double at, double *ret_t) {
    double u = fmin(fmax((at - from) / step, 1), controls - 2);
    int cell = (int)fmin(floor(u), controls - 3);
    *ret_t = u - cell;
    return cell;
}

struct bspline_place bspline_locate(const struct bspline *grid, double x, double y) {
    double t, s;
    struct bspline_place place = {
        .column = find_cell(grid->x, grid->step, grid->columns, x, &t) - 1,
        .row = find_cell(grid->y, grid->step, grid->rows, y, &s) - 1,
    };
    fill_weights(t, place.across);
    fill_weights(s, place.down);
    return place;
}

static struct map_point add_up(const struct bspline *grid, int column, int row,
                               const double across[4], const double down[4]) {
    struct map_point sum = {0, 0};
    for (int m = 0; m < 4; m++) {
        const double *dx = grid->dx + (row + m) * grid->columns + column;
        const double *dy = grid->dy + (row + m) * grid->columns + column;
        for (int l = 0; l < 4; l++) {
            sum.x += down[m] * across[l] * dx[l];
            sum.y += down[m] * across[l] * dy[l];
        }
    }
    return sum;
}

struct map_point bspline_at(const struct bspline *grid, double x, double y) {
    if (grid->columns == 0)
        return (struct map_point){0, 0};
    struct bspline_place place = bspline_locate(grid, x, y);
    return add_up(grid, place.column, place.row, place.across, place.down);
}

struct bspline_slope bspline_slope_at(const struct bspline *grid, double x, double y) {
    if (grid->columns == 0)
        return (struct bspline_slope){0, 0, 0, 0};
    double t, s, across[4], down[4];
    struct bspline_place place = bspline_locate(grid, x, y);
    (void)find_cell(grid->x, grid->step, grid->columns, x, &t);
    (void)find_cell(grid->y, grid->step, grid->rows, y, &s);
    fill_slopes(t, across);
    fill_slopes(s, down);
    struct map_point along_x = add_up(grid, place.column, place.row, across, place.down);
    struct map_point along_y = add_up(grid, place.column, place.row, place.across, down);
    return (struct bspline_slope){along_x.x / grid->step, along_y.x / grid->step,
                                  along_x.y / grid->step, along_y.y / grid->step};
}

/* One row within one cell: coefficients of a cubic in t. */
static void fill_cubic(const struct bspline *grid, const double *controls, int column, int row,
                       const double down[4], double ret[4]) {
    double c[4] = {0};
    for (int m = 0; m < 4; m++)
        for (int l = 0; l < 4; l++)
            c[l] += down[m] * controls[(row + m) * grid->columns + column + l];
    ret[0] = (c[0] + 4 * c[1] + c[2]) / 6;
    ret[1] = (c[2] - c[0]) / 2;
    ret[2] = (c[0] - 2 * c[1] + c[2]) / 2;
    ret[3] = (c[3] - c[0]) / 6 + (c[1] - c[2]) / 2;
}

static void add_cubic(const double a[4], double t, double dt, int count, double *to) {
    for (int i = 0; i < count; i++) {
        double at = fmin(fmax(t + i * dt, 0), 1);
        to[i] += a[0] + at * (a[1] + at * (a[2] + at * a[3]));
    }
}

void bspline_add_row(const struct bspline *grid, double x, double y, size_t count, double *xs,
                     double *ys) {
    size_t done = 0;
    while (grid->columns > 0 && done < count) {
        double first = x + (double)done;
        struct bspline_place place = bspline_locate(grid, first, y);
        int cell = place.column + 1;
        size_t n = count - done;
        if (cell < grid->columns - 3) { /* up to the cell's end; the last one has none */
            double left = grid->x + (cell + 1) * grid->step - first;
            n = left < (double)n ? (size_t)fmax(ceil(left), 1) : n;
        }
        double cubic[4], t = (first - grid->x) / grid->step - cell;
        fill_cubic(grid, grid->dx, place.column, place.row, place.down, cubic);
        add_cubic(cubic, t, 1 / grid->step, (int)n, xs + done);
        fill_cubic(grid, grid->dy, place.column, place.row, place.down, cubic);
        add_cubic(cubic, t, 1 / grid->step, (int)n, ys + done);
        done += n;
    }
}

/* The largest second difference of a component along x (stride 1) or y (stride columns): it bounds
 * the second derivative times step^2, whose values are means of second differences. */
static double largest_bend(const struct bspline *grid, const double *controls, bool along_x) {
    int stride = along_x ? 1 : grid->columns;
    double most = 0;
    for (int row = along_x ? 0 : 1; row < grid->rows - (along_x ? 0 : 1); row++)
        for (int column = along_x ? 1 : 0; column < grid->columns - (along_x ? 1 : 0); column++) {
            const double *at = controls + row * grid->columns + column;
            most = fmax(most, fabs(at[-stride] - 2 * at[0] + at[stride]));
        }
    return most;
}

double bspline_bulge(const struct bspline *grid, double width, double height) {
    if (grid->columns == 0)
        return 0;
    double bend_x = fmax(largest_bend(grid, grid->dx, true), largest_bend(grid, grid->dy, true));
    double bend_y = fmax(largest_bend(grid, grid->dx, false), largest_bend(grid, grid->dy, false));
    double across = width / grid->step, down = height / grid->step;
    /* the error of linear interpolation between the corners, in one direction and the other */
    return (across * across * bend_x + down * down * bend_y) / 8;
}
