/* See placement.h. Plain arithmetic, no allocation. */
#include "worker/output/placement.h"

#include <errno.h>
#include <math.h>

enum { MOST_NODE_PX = 16, EDGE_STEP_PX = 8 };

static const struct placement_extent nowhere = {INFINITY, INFINITY, -INFINITY, -INFINITY};

struct placement placement_make(const struct transform *post_to_pre, uint32_t pad,
                                uint32_t pre_width, uint32_t pre_height, uint32_t post_width,
                                uint32_t post_height) {
    struct map to_post = {{1, 0, -(double)pad, 0, 1, -(double)pad, 0, 0, 1}};
    return (struct placement){.canvas_to_pre = map_compose(&to_post, &post_to_pre->map),
                              .post = post_to_pre,
                              .pad = pad,
                              .pre_width = pre_width,
                              .pre_height = pre_height,
                              .post_width = post_width,
                              .post_height = post_height};
}

/* The bulge of the grid over so many px, and room for what the inverse's own slope makes of it. */
void placement_turn_round(struct placement *placement, const struct transform_inverse *inverse) {
    const struct bspline *grid = &inverse->forward->grid;
    const double area = fabs(map_det(&inverse->forward->map, 0, 0));
    const double slope = 1.5 / fmin(sqrt(area), 1); /* of the inverse: post px per canvas px */
    placement->inverse = inverse;
    placement->node_px = MOST_NODE_PX;
    while (placement->node_px > 1 &&
           slope * bspline_bulge(grid, slope * placement->node_px, 0) > PLACEMENT_INVERSE_ERROR_PX)
        placement->node_px /= 2;
}

int placement_check(const struct placement *placement, struct failure *failure) {
    const struct map *map = &placement->canvas_to_pre;
    double right = placement->post_width + 2 * placement->pad - 1;
    double bottom = placement->post_height + 2 * placement->pad - 1;
    const double corners[4][2] = {{0, 0}, {right, 0}, {0, bottom}, {right, bottom}};
    int positive = 0;
    for (int i = 0; i < 4; i++) {
        double x = corners[i][0], y = corners[i][1];
        double w = map->h[6] * x + map->h[7] * y + map->h[8];
        struct map_point p = map_apply(map, x, y);
        if (!isfinite(p.x) || !isfinite(p.y) || fabs(p.x) > 1e9 || fabs(p.y) > 1e9)
            return failure_set(failure, -ERANGE,
                               "the map takes the canvas's corner %.0f,%.0f to infinity; "
                               "lower pad (%.0f)",
                               x, y, placement->pad);
        positive += w > 0;
    }
    if (positive % 4 != 0)
        return failure_set(failure, -ERANGE,
                           "the homography's horizon crosses the canvas; lower pad (%.0f) or use "
                           "model=affine",
                           placement->pad);
    return 0;
}

static void take_in(struct placement_extent *extent, struct map_point p) {
    extent->low_x = fmin(extent->low_x, p.x);
    extent->high_x = fmax(extent->high_x, p.x);
    extent->low_y = fmin(extent->low_y, p.y);
    extent->high_y = fmax(extent->high_y, p.y);
}

static double limit(double value, double most) { return fmin(fmax(value, 0), most); }

/* What the grid's displacements add to a piece: those of its corners, and how far the field can
 * bulge between them. Beyond the frame they are those of its edge. */
static void add_displacements(const struct placement *placement,
                              const struct placement_piece *piece,
                              struct placement_extent *extent) {
    const struct bspline *grid = &placement->post->grid;
    double pad = placement->pad, x[2], y[2];
    struct placement_extent added = nowhere;
    for (int end = 0; end < 2; end++) {
        x[end] = limit(piece->x + end * (piece->width - 1.0) - pad, placement->post_width - 1.0);
        y[end] = limit(piece->y + end * (piece->height - 1.0) - pad, placement->post_height - 1.0);
    }
    for (int corner = 0; corner < 4; corner++)
        take_in(&added, bspline_at(grid, x[corner & 1], y[corner >> 1]));
    double bulge = bspline_bulge(grid, x[1] - x[0], y[1] - y[0]);
    extent->low_x += added.low_x - bulge;
    extent->high_x += added.high_x + bulge;
    extent->low_y += added.low_y - bulge;
    extent->high_y += added.high_y + bulge;
}

/* Where the canvas's pixel comes from; NaN: from nowhere. */
static struct map_point invert(const struct placement *placement, double x, double y) {
    struct map_point p;
    if (!transform_inverse_at(placement->inverse, x - placement->pad, y - placement->pad, &p))
        p.x = p.y = NAN;
    return p;
}

/* A map that does not fold takes the inside of an edge to the inside of its image. Between two
 * looks it cannot bulge by a pixel. */
static struct placement_extent extent_of_edge(const struct placement *placement,
                                              const struct placement_piece *piece) {
    struct placement_extent extent = nowhere;
    const double right = piece->x + piece->width - 1.0, bottom = piece->y + piece->height - 1.0;
    for (uint32_t i = 0; i < piece->width + EDGE_STEP_PX; i += EDGE_STEP_PX) {
        take_in(&extent, invert(placement, fmin(piece->x + i, right), piece->y));
        take_in(&extent, invert(placement, fmin(piece->x + i, right), bottom));
    }
    for (uint32_t i = 0; i < piece->height + EDGE_STEP_PX; i += EDGE_STEP_PX) {
        take_in(&extent, invert(placement, piece->x, fmin(piece->y + i, bottom)));
        take_in(&extent, invert(placement, right, fmin(piece->y + i, bottom)));
    }
    return (struct placement_extent){extent.low_x - 1, extent.low_y - 1, extent.high_x + 1,
                                     extent.high_y + 1};
}

/* A projective map without a horizon on the canvas takes a rectangle to a convex quadrangle, so the
 * corners bound it. */
bool placement_extent(const struct placement *placement, const struct placement_piece *piece,
                      struct placement_extent *ret) {
    struct placement_extent extent = nowhere;
    for (uint32_t corner = 0; corner < 4; corner++)
        take_in(&extent, map_apply(&placement->canvas_to_pre,
                                   piece->x + (corner & 1 ? piece->width - 1.0 : 0.0),
                                   piece->y + (corner & 2 ? piece->height - 1.0 : 0.0)));
    if (placement->inverse)
        extent = extent_of_edge(placement, piece);
    else if (transform_has_grid(placement->post))
        add_displacements(placement, piece, &extent);
    double right = placement->pre_width - 0.5, bottom = placement->pre_height - 0.5;
    if (extent.high_x < -0.5 || extent.high_y < -0.5 || extent.low_x >= right ||
        extent.low_y >= bottom)
        return false;
    *ret = (struct placement_extent){fmax(extent.low_x, -0.5), fmax(extent.low_y, -0.5),
                                     fmin(extent.high_x, right), fmin(extent.high_y, bottom)};
    return true;
}

static bool is_covered(const struct placement *placement, double x, double y) {
    return x >= -0.5 && x < placement->pre_width - 0.5 && y >= -0.5 &&
           y < placement->pre_height - 0.5;
}

/* An inverse may have no value in the middle of the piece. */
bool placement_is_inside(const struct placement *placement, const struct placement_piece *piece) {
    struct placement_extent extent;
    return !placement->inverse && placement_extent(placement, piece, &extent) && extent.low_x > 0 &&
           extent.low_y > 0 && extent.high_x < placement->pre_width - 1 &&
           extent.high_y < placement->pre_height - 1;
}

/* Pixels [at, end) of a row between two that are inverted; ret_xs[0] is that of pixel `from`.
 * Across the edge of the image the line is bent: there each pixel is inverted. */
static void fill_between(const struct placement *placement, const struct map_point nodes[2],
                         uint32_t first_node, uint32_t y, uint32_t at, uint32_t end, double *ret_xs,
                         double *ret_ys) {
    const bool straight = is_covered(placement, nodes[0].x, nodes[0].y) ==
                          is_covered(placement, nodes[1].x, nodes[1].y);
    for (uint32_t x = at; x < end; x++) {
        const double t = (double)(x - first_node) / placement->node_px;
        const struct map_point p =
            straight ? (struct map_point){nodes[0].x + t * (nodes[1].x - nodes[0].x),
                                          nodes[0].y + t * (nodes[1].y - nodes[0].y)}
                     : invert(placement, x, y);
        ret_xs[x - at] = p.x;
        ret_ys[x - at] = p.y;
    }
}

/* The third in a row of equally distant pixels, of which the two before are known: it lies near
 * the straight line through them. */
static struct map_point invert_next(const struct placement *placement,
                                    const struct map_point nodes[2], double x, double y) {
    const struct map_point near = {2 * nodes[1].x - nodes[0].x, 2 * nodes[1].y - nodes[0].y};
    struct map_point p;
    if (isfinite(near.x) && isfinite(near.y) &&
        transform_inverse_near(placement->inverse, x - placement->pad, y - placement->pad, near,
                               &p))
        return p;
    return invert(placement, x, y);
}

/* Nodes lie at the canvas's own multiples of node_px, so that a pixel's place does not depend on
 * the piece that asks for it (but for what Newton's method leaves). */
static void invert_row(const struct placement *placement, uint32_t x, uint32_t y, uint32_t count,
                       double *ret_xs, double *ret_ys) {
    const uint32_t step = placement->node_px, end = x + count;
    uint32_t node = x / step * step;
    struct map_point nodes[2] = {{NAN, NAN}, invert(placement, node, y)};
    for (uint32_t at = x; at < end; node += step) {
        const uint32_t to = node + step < end ? node + step : end;
        const struct map_point next = invert_next(placement, nodes, node + step, y);
        nodes[0] = nodes[1];
        nodes[1] = next;
        fill_between(placement, nodes, node, y, at, to, ret_xs + (at - x), ret_ys + (at - x));
        at = to;
    }
}

void placement_row(const struct placement *placement, uint32_t x, uint32_t y, uint32_t count,
                   double *ret_xs, double *ret_ys) {
    const double *h = placement->canvas_to_pre.h;
    if (placement->inverse) {
        invert_row(placement, x, y, count, ret_xs, ret_ys);
        return;
    }
    double row_x = h[1] * y + h[2], row_y = h[4] * y + h[5], row_w = h[7] * y + h[8];
    for (uint32_t i = 0; i < count; i++) {
        int at = (int)(x + i); /* signed: only that converts to double in vectors */
        ret_xs[i] = h[0] * at + row_x;
        ret_ys[i] = h[3] * at + row_y;
    }
    if (h[6] != 0 || h[7] != 0 || h[8] != 1)
        for (uint32_t i = 0; i < count; i++) {
            double w = h[6] * (int)(x + i) + row_w;
            ret_xs[i] /= w;
            ret_ys[i] /= w;
        }
    if (transform_has_grid(placement->post))
        bspline_add_row(&placement->post->grid, x - placement->pad, y - placement->pad, count,
                        ret_xs, ret_ys);
}

/* The image is convex and so is what a projective map sends into it: one run, found from both ends.
 * A grid can leave the image and come back. */
bool placement_next_run(const struct placement *placement, const double *xs, const double *ys,
                        uint32_t from, uint32_t count, uint32_t *ret_first, uint32_t *ret_end) {
    uint32_t first = from, end = count;
    while (first < count && !is_covered(placement, xs[first], ys[first]))
        first++;
    if (placement->inverse || transform_has_grid(placement->post))
        for (end = first; end < count && is_covered(placement, xs[end], ys[end]);)
            end++;
    while (end > first && !is_covered(placement, xs[end - 1], ys[end - 1]))
        end--;
    *ret_first = first;
    *ret_end = end;
    return first < end;
}
