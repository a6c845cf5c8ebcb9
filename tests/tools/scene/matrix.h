/* Projective 3 x 3 maps for the generator, row-major.
 *
 * On purpose not worker/align/map.h: the truth must not share a line with what it judges.
 */
#ifndef TESTS_TOOLS_SCENE_MATRIX_H
#define TESTS_TOOLS_SCENE_MATRIX_H

struct matrix {
    double m[9];
};

static inline void matrix_apply(const struct matrix *a, double x, double y, double *ret_x,
                                double *ret_y) {
    double w = a->m[6] * x + a->m[7] * y + a->m[8];
    *ret_x = (a->m[0] * x + a->m[1] * y + a->m[2]) / w;
    *ret_y = (a->m[3] * x + a->m[4] * y + a->m[5]) / w;
}

/* b after a. */
static inline struct matrix matrix_then(struct matrix a, struct matrix b) {
    struct matrix c;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            c.m[3 * i + j] =
                b.m[3 * i] * a.m[j] + b.m[3 * i + 1] * a.m[3 + j] + b.m[3 * i + 2] * a.m[6 + j];
    return c;
}

/* By the adjugate, scaled so that the last element is 1. The map must be invertible. */
static inline struct matrix matrix_inverse(struct matrix a) {
    const double *m = a.m;
    struct matrix c = {
        {m[4] * m[8] - m[5] * m[7], m[2] * m[7] - m[1] * m[8], m[1] * m[5] - m[2] * m[4],
         m[5] * m[6] - m[3] * m[8], m[0] * m[8] - m[2] * m[6], m[2] * m[3] - m[0] * m[5],
         m[3] * m[7] - m[4] * m[6], m[1] * m[6] - m[0] * m[7], m[0] * m[4] - m[1] * m[3]}};
    for (int i = 0; i < 9; i++)
        c.m[i] /= m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) +
                  m[2] * (m[3] * m[7] - m[4] * m[6]);
    for (int i = 0; i < 9; i++)
        c.m[i] /= c.m[8];
    return c;
}

#endif
