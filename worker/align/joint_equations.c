/* See joint_equations.h. */
#include "worker/align/joint_equations.h"

#include <math.h>

static const double LEAST_PIVOT = 1e-10; /* of its diagonal element: less is undetermined */

void joint_equations_add_pixel(const struct joint_frame *frame, const struct joint_pixel *pixel,
                               struct joint_equations *equations) {
    double x = (pixel->x - frame->x) / frame->half, y = (pixel->y - frame->y) / frame->half;
    double gx = pixel->gradient_x, gy = pixel->gradient_y;
    double along = gx * x + gy * y;
    const double column[JOINT_PARAMETERS] = {
        gx, gy, along, gy * x - gx * y, gx * x - gy * y, gx * y + gy * x, x * along, y * along};
    for (int a = 0; a < JOINT_PARAMETERS; a++) {
        double weighted = pixel->weight * column[a];
        equations->right[a] += weighted * pixel->residual;
        for (int b = 0; b <= a; b++)
            equations->matrix[a][b] += weighted * column[b];
    }
}

void joint_equations_add(const struct joint_equations *from, struct joint_equations *to) {
    for (int a = 0; a < JOINT_PARAMETERS; a++) {
        to->right[a] += from->right[a];
        for (int b = 0; b <= a; b++)
            to->matrix[a][b] += from->matrix[a][b];
    }
}

/* By Cholesky's factors. */
static bool solve(const struct joint_equations *equations, int n, double ret[JOINT_PARAMETERS]) {
    double factor[JOINT_PARAMETERS][JOINT_PARAMETERS];
    for (int a = 0; a < n; a++) {
        ret[a] = equations->right[a];
        for (int b = 0; b <= a; b++) {
            double sum = equations->matrix[a][b];
            for (int k = 0; k < b; k++)
                sum -= factor[a][k] * factor[b][k];
            factor[a][b] = a == b ? sqrt(fmax(sum, 0)) : sum / factor[b][b];
        }
        if (!(factor[a][a] * factor[a][a] > LEAST_PIVOT * equations->matrix[a][a]))
            return false;
        for (int k = 0; k < a; k++)
            ret[a] -= factor[a][k] * ret[k];
        ret[a] /= factor[a][a];
    }
    for (int a = n - 1; a >= 0; a--) {
        for (int k = a + 1; k < n; k++)
            ret[a] -= factor[k][a] * ret[k];
        ret[a] /= factor[a][a];
    }
    return true;
}

bool joint_equations_solve(const struct joint_equations *equations, const struct joint_frame *frame,
                           int n, struct map *ret) {
    double s[JOINT_PARAMETERS] = {0}, k = 1 / frame->half;
    if (!solve(equations, n, s))
        return false;
    for (int i = 0; i < n; i++)
        s[i] *= k;
    const struct map to = {{k, 0, -frame->x * k, 0, k, -frame->y * k, 0, 0, 1}};
    const struct map from = {{frame->half, 0, frame->x, 0, frame->half, frame->y, 0, 0, 1}};
    const struct map move = {
        {1 + s[2] + s[4], s[5] - s[3], s[0], s[5] + s[3], 1 + s[2] - s[4], s[1], -s[6], -s[7], 1}};
    struct map half = map_compose(&to, &move);
    *ret = map_compose(&half, &from);
    return true;
}
