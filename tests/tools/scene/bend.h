/* A smooth deformation of the specimen for the generator: each coordinate is displaced by waves.
 *
 * On purpose not a B-spline: the truth must not be something that the aligner can express.
 */
#ifndef TESTS_TOOLS_SCENE_BEND_H
#define TESTS_TOOLS_SCENE_BEND_H

#include <math.h>

struct bend {
    double amplitude;     /* px; 0: none */
    double cycles_per_px; /* of the slowest wave */
};

/* Where the deformation takes (x, y). */
static inline void bend_apply(const struct bend *bend, double x, double y, double *ret_x,
                              double *ret_y) {
    double turn = 2.0 * M_PI * bend->cycles_per_px, a = bend->amplitude;
    *ret_x = x + a * (0.6 * sin(turn * (0.8 * x + 0.6 * y) + 0.9) +
                      0.4 * sin(turn * (1.2 * y - 0.3 * x) + 2.1));
    *ret_y = y + a * (0.6 * sin(turn * (0.9 * y - 0.5 * x) + 4.0) +
                      0.4 * sin(turn * (1.1 * x + 0.4 * y) + 1.3));
}

/* How much of a distance the displacement changes over it, at most. */
static inline double bend_strain(const struct bend *bend) {
    return 2.0 * M_PI * bend->cycles_per_px * bend->amplitude * 1.4;
}

/* What the deformation takes to (x, y): a fixed point, for strains well below 1. */
static inline void bend_undo(const struct bend *bend, double x, double y, double *ret_x,
                             double *ret_y) {
    double from_x = x, from_y = y;
    for (int i = 0; i < 200; i++) {
        double to_x;
        double to_y;
        bend_apply(bend, from_x, from_y, &to_x, &to_y);
        from_x += x - to_x;
        from_y += y - to_y;
    }
    *ret_x = from_x;
    *ret_y = from_y;
}

#endif
