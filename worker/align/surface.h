/* Peaks of two correlation surfaces at once: the real and the imaginary parts of a square of
 * complex numbers, periodic in both directions.
 */
#ifndef WORKER_ALIGN_SURFACE_H
#define WORKER_ALIGN_SURFACE_H

enum { SURFACE_MAX_SIDE = 384 };

enum surface_part { SURFACE_REAL, SURFACE_IMAGINARY, SURFACE_PARTS };

/* The largest and the least value of each part of a row. */
struct surface_row {
    float most[SURFACE_PARTS], least[SURFACE_PARTS];
};

struct surface {
    const float *values; /* size * size complex numbers; borrowed */
    int size;            /* at most SURFACE_MAX_SIDE */
    struct surface_row rows[SURFACE_MAX_SIDE];
};

/* Once, before peaks are looked for: fills rows. */
void surface_scan(struct surface *surface);

struct surface_peak {
    float value;
    int x, y; /* a shift: -size / 2 to size / 2 - 1 */
};

/* The highest value of one part times sign (1 or -1). taken (may be NULL): a peak found before;
 * what is near it belongs to it. */
struct surface_peak surface_find_peak(const struct surface *surface, enum surface_part part,
                                      float sign, const struct surface_peak *taken);

/* A shift in -size / 2 to size / 2 - 1. */
int surface_wrap(int shift, int size);

#endif
