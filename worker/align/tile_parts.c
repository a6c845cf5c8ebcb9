/* See tile_parts.h. */
#include "worker/align/tile_parts.h"

#include <math.h>
#include <stddef.h>

enum {
    BLOCK_PX = 4,
    MOST_BLOCKS = 8, /* along a part's side: tiles have 128 px at most */
    LEAST_BLOCKS = 3,
    N_VALUES = MOST_BLOCKS * MOST_BLOCKS,
};

/* Slopes across the weaker direction, of those along the stronger: less is an edge. */
static const double TWO_DIRECTIONS = 0.5;

static int blocks_along(int size) { return size / TILE_PARTS_SIDE / BLOCK_PX; }

/* The means of one part's blocks, row by row. */
static void take_blocks(const float *pixels, int size, int part, double ret[N_VALUES]) {
    int side = blocks_along(size), part_px = size / TILE_PARTS_SIDE;
    int left = part % TILE_PARTS_SIDE * part_px, top = part / TILE_PARTS_SIDE * part_px;
    for (int block = 0; block < side * side; block++) {
        int x0 = left + block % side * BLOCK_PX, y0 = top + block / side * BLOCK_PX;
        const float *corner = pixels + (ptrdiff_t)y0 * size + x0;
        ret[block] = 0;
        for (int y = 0; y < BLOCK_PX; y++)
            for (int x = 0; x < BLOCK_PX; x++)
                ret[block] += corner[(ptrdiff_t)y * size + x] / (double)(BLOCK_PX * BLOCK_PX);
    }
}

void tile_parts_structure(const float *pixels, int size, float ret[TILE_PARTS]) {
    int count = blocks_along(size) * blocks_along(size);
    for (int part = 0; part < TILE_PARTS; part++) {
        double values[N_VALUES] = {0}, sum = 0, squares = 0;
        take_blocks(pixels, size, part, values);
        for (int i = 0; i < count; i++) {
            sum += values[i] / count;
            squares += values[i] * values[i] / count;
        }
        ret[part] = (float)sqrt(fmax(squares - sum * sum, 0));
    }
}

/* From the second moments of the slopes between neighbours. */
static void take_slopes(const double *values, int side, struct tile_seen *ret) {
    double xx = 0, xy = 0, yy = 0;
    for (int y = 0; y + 1 < side; y++)
        for (int x = 0; x + 1 < side; x++) {
            const double *v = values + (ptrdiff_t)y * side + x;
            double along = (v[1] - v[0] + v[side + 1] - v[side]) / 2;
            double down = (v[side] - v[0] + v[side + 1] - v[1]) / 2;
            xx += along * along;
            xy += along * down;
            yy += down * down;
        }
    double mean = (xx + yy) / 2, half = hypot((xx - yy) / 2, xy);
    double weaker = sqrt(fmax(mean - half, 0)), stronger = sqrt(mean + half);
    ret->slope = (float)(stronger / (side - 1));
    ret->both_ways = weaker > TWO_DIRECTIONS * stronger ? (float)(weaker / (side - 1)) : 0;
}

/* Takes off the mean and the slope. */
static void flatten(double *values, int side) {
    double mean = 0, along = 0, down = 0, power = 0, middle = (side - 1) / 2.0;
    for (int i = 0; i < side * side; i++) {
        double x = i % side - middle, y = i / side - middle;
        mean += values[i] / (side * side);
        along += x * values[i];
        down += y * values[i];
        power += x * x;
    }
    for (int i = 0; i < side * side; i++) {
        double x = i % side - middle, y = i / side - middle;
        values[i] -= mean + (along * x + down * y) / power;
    }
}

void tile_parts_detail(const float *fixed, const float *moving, int size,
                       struct tile_detail ret[TILE_PARTS]) {
    int side = blocks_along(size), count = side * side;
    for (int part = 0; part < TILE_PARTS; part++) {
        double f[N_VALUES] = {0}, g[N_VALUES] = {0}, ff = 0, gg = 0, fg = 0;
        ret[part] = (struct tile_detail){0};
        if (side < LEAST_BLOCKS)
            continue;
        take_blocks(fixed, size, part, f);
        take_blocks(moving, size, part, g);
        take_slopes(f, side, &ret[part].fixed);
        take_slopes(g, side, &ret[part].moving);
        flatten(f, side);
        flatten(g, side);
        for (int i = 0; i < count; i++) {
            ff += f[i] * f[i];
            gg += g[i] * g[i];
            fg += f[i] * g[i];
        }
        ret[part].fixed.deviation = (float)sqrt(ff / count);
        ret[part].moving.deviation = (float)sqrt(gg / count);
        if (ff > 0 && gg > 0)
            ret[part].correlation = (float)(fg / sqrt(ff * gg));
    }
}
