/* See surface.h. One pass takes the extremes of each row; a search for a peak then looks only into
 * rows that can hold it. */
#include "worker/align/surface.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

enum {
    RADIUS_SHARE = 24, /* of the side: nearer maxima belong to the same peak */
    LANES = 8,         /* values side by side, which the compiler makes a vector of */
};

int surface_wrap(int shift, int size) {
    int wrapped = ((shift % size) + size) % size;
    return wrapped < size / 2 ? wrapped : wrapped - size;
}

static const float *row_of(const struct surface *surface, int y) {
    return surface->values + 2 * (size_t)y * (size_t)surface->size;
}

static struct surface_row scan_row(const float *row, int size) {
    float most[LANES], least[LANES];
    for (int k = 0; k < LANES; k++)
        most[k] = least[k] = row[k % 2];
    int count = 2 * size, whole = count / LANES * LANES;
    for (int i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++) { /* comparisons, since fmaxf is a call */
            float value = row[i + k];
            most[k] = value > most[k] ? value : most[k];
            least[k] = value < least[k] ? value : least[k];
        }
    for (int i = whole; i < count; i++) {
        most[i % 2] = fmaxf(most[i % 2], row[i]);
        least[i % 2] = fminf(least[i % 2], row[i]);
    }
    struct surface_row extremes = {{most[0], most[1]}, {least[0], least[1]}};
    for (int k = 2; k < LANES; k++) {
        extremes.most[k % 2] = fmaxf(extremes.most[k % 2], most[k]);
        extremes.least[k % 2] = fminf(extremes.least[k % 2], least[k]);
    }
    return extremes;
}

void surface_scan(struct surface *surface) {
    for (int y = 0; y < surface->size; y++)
        surface->rows[y] = scan_row(row_of(surface, y), surface->size);
}

struct surface_peak surface_find_peak(const struct surface *surface, enum surface_part part,
                                      float sign, const struct surface_peak *taken) {
    int size = surface->size, radius = size / RADIUS_SHARE;
    struct surface_peak peak = {-HUGE_VALF, 0, 0};
    for (int y = 0; y < size; y++) {
        const struct surface_row *extremes = &surface->rows[y];
        if ((sign > 0 ? extremes->most[part] : -extremes->least[part]) <= peak.value)
            continue;
        const float *row = row_of(surface, y) + part;
        int shift_y = surface_wrap(y, size);
        bool near_row = taken && abs(shift_y - taken->y) <= radius;
        for (int x = 0; x < size; x++) {
            float value = sign * row[2 * (size_t)x];
            if (value <= peak.value)
                continue;
            int shift_x = surface_wrap(x, size);
            if (!near_row || abs(shift_x - taken->x) > radius)
                peak = (struct surface_peak){value, shift_x, shift_y};
        }
    }
    return peak;
}
