/* Gauss-Newton's equations for a projective correction of a map, kept by cell.
 *
 * The correction moves places of the fixed frame, in px about the frame's centre and scaled to its
 * half side: a shift, a turn and a magnification; two shears; two perspectives. A model takes the
 * first 4, 6 or all 8 of these.
 */
#ifndef WORKER_ALIGN_JOINT_EQUATIONS_H
#define WORKER_ALIGN_JOINT_EQUATIONS_H

#include "worker/align/map.h"

enum { JOINT_PARAMETERS = 8 };

struct joint_frame {
    double x, y, half; /* centre, and half of the longer side, px */
};

struct joint_equations {
    double matrix[JOINT_PARAMETERS][JOINT_PARAMETERS]; /* the lower triangle */
    double right[JOINT_PARAMETERS];
};

/* One pixel at (x, y): the gradient of what is there along x and y, what is missing, its weight. */
struct joint_pixel {
    double x, y, gradient_x, gradient_y, residual, weight;
};
void joint_equations_add_pixel(const struct joint_frame *frame, const struct joint_pixel *pixel,
                               struct joint_equations *equations);
void joint_equations_add(const struct joint_equations *from, struct joint_equations *to);

/* The correction for the first n parameters; false when the equations do not determine them. */
bool joint_equations_solve(const struct joint_equations *equations, const struct joint_frame *frame,
                           int n, struct map *ret);

#endif
