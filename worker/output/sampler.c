/* The four kernels over float blocks; see sampler.h. One generic loop per lane count is specialised
 * by constant tap counts; weights are computed as vectors, all taps of an axis at once. */
#include "worker/output/sampler.h"

#include "common/vector.h"

#include <math.h>
#include <string.h>

enum { MAX_TAPS = 6 };

/* Weights of the taps of one axis, in order, unused ones zero. */
struct weights {
    vec4f low, high;
};

/* Keys 1981, eq. 15 with a = -1/2: each tap's weight is a cubic in t, all four by one Horner. */
VECTOR_INLINE struct weights cubic_weights(float t) {
    const vec4f c0 = {0, 1, 0, 0}, c1 = {-0.5F, 0, 0.5F, 0}, c2 = {1, -2.5F, 2, -0.5F},
                c3 = {-0.5F, 1.5F, -1.5F, 0.5F};
    vec4f at = vec4f_splat(t);
    return (struct weights){.low = ((c3 * at + c2) * at + c1) * at + c0};
}

/* Sine and cosine of an angle of up to 60 degrees: their series, right to 3e-10. */
VECTOR_INLINE double short_sin(double a) {
    double z = a * a;
    return a * (1 + z * (-1.0 / 6 +
                         z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 - z / 39916800)))));
}

VECTOR_INLINE double short_cos(double a) {
    double z = a * a;
    return 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 - z / 3628800 +
                                                                  z * z / 479001600))));
}

/* sinc(d) sinc(d / 3) at d = t + 2, t + 1, ..., t - 3. The sines of all six follow from those of
 * pi t and pi t / 3: shifting by whole pixels flips the sign or turns by multiples of 60 degrees.
 */
VECTOR_INLINE struct weights lanczos_weights(float t) {
    if (t < 1e-6F) /* the quotient below is 0 / 0 at a pixel's centre */
        return (struct weights){.low = {0, 0, 1, 0}};
    if (t > 1 - 1e-6F)
        return (struct weights){.low = {0, 0, 0, 1}};
    const double half_sqrt3 = 0.86602540378443865;
    double angle = M_PI / 3 * (double)t;
    double s3 = short_sin(angle), c3 = short_cos(angle);
    double s = s3 * (3 - 4 * s3 * s3); /* sin(3 a) */
    double plus = s3 * 0.5 + c3 * half_sqrt3, minus = s3 * 0.5 - c3 * half_sqrt3;
    /* sin(pi (t + k)) sin(pi (t + k) / 3) for k = 2, 1, 0, -1, -2, -3 */
    vec4f low = {(float)(-s * minus), (float)(-s * plus), (float)(s * s3), (float)(-s * minus)};
    vec4f high = {(float)(-s * plus), (float)(s * s3), 0, 0};
    low /= (vec4f){(t + 2) * (t + 2), (t + 1) * (t + 1), t * t, (t - 1) * (t - 1)};
    high /= (vec4f){(t - 2) * (t - 2), (t - 3) * (t - 3), 1, 1};
    vec4f sum = low + high;
    vec4f whole = vec4f_splat((sum[0] + sum[1]) + (sum[2] + sum[3]));
    return (struct weights){.low = low / whole, .high = high / whole};
}

VECTOR_INLINE struct weights weights_of(int taps, float t) {
    if (taps == 2)
        return (struct weights){.low = {1 - t, t, 0, 0}};
    return taps == 4 ? cubic_weights(t) : lanczos_weights(t);
}

VECTOR_INLINE float weight_at(const struct weights *weights, int tap) {
    return tap < 4 ? weights->low[tap] : weights->high[tap - 4];
}

/* One grey pixel: columns summed with the y weights, four at a time, then along x. */
VECTOR_INLINE float sample_grey(int taps, const float *from, size_t stride, float tx, float ty) {
    struct weights wx = weights_of(taps, tx), wy = weights_of(taps, ty);
    vec4f low = vec4f_splat(0), high = vec4f_splat(0);
    for (int row = 0; row < taps; row++) {
        vec4f w = vec4f_splat(weight_at(&wy, row));
        low += w * vec4f_load(from + (size_t)row * stride);
        if (taps > 4)
            high += w * vec4f_load(from + (size_t)row * stride + 4);
    }
    vec4f sum = low * wx.low;
    if (taps > 4)
        sum += high * wx.high;
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* One pixel of four lanes: columns summed with the y weights, two at a time, then along x. */
VECTOR_INLINE vec4f sample_lanes(int taps, const float *from, size_t stride, float tx, float ty) {
    struct weights wx = weights_of(taps, tx), wy = weights_of(taps, ty);
    vec8f sums[MAX_TAPS / 2] = {{0}};
    for (int row = 0; row < taps; row++) {
        float w = weight_at(&wy, row);
        vec8f weight = {w, w, w, w, w, w, w, w};
        for (int pair = 0; pair < taps / 2; pair++) {
            vec8f pixels;
            memcpy(&pixels, from + (size_t)row * stride + 8 * pair, sizeof(pixels));
            sums[pair] += weight * pixels;
        }
    }
    vec8f sum = {0};
    for (int pair = 0; pair < taps / 2; pair++) {
        float a = weight_at(&wx, 2 * pair), b = weight_at(&wx, 2 * pair + 1);
        sum += sums[pair] * (vec8f){a, a, a, a, b, b, b, b};
    }
    vec4f halves[2];
    memcpy(halves, &sum, sizeof(halves));
    return halves[0] + halves[1];
}

VECTOR_INLINE double clamp(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

/* taps: 1 (nearest), 2, 4, 6; the first tap lies (taps - 1) / 2 before floor(position). */
VECTOR_INLINE void run(int taps, int lanes, const struct sampler_source *source, const double *x,
                       const double *y, size_t count, float *ret) {
    const double shift = taps == 1 ? 0.5 : 0;
    const double last_x = source->width - 1 - SAMPLER_AFTER;
    const double last_y = source->height - 1 - SAMPLER_AFTER;
    const int before = taps == 1 ? 0 : (taps - 1) / 2;
    for (size_t i = 0; i < count; i++) {
        /* a NaN fails both comparisons of clamp; !(>=) sends it to the first valid place */
        double px = x[i] - source->x + shift, py = y[i] - source->y + shift;
        px = px >= SAMPLER_BEFORE ? clamp(px, SAMPLER_BEFORE, last_x) : SAMPLER_BEFORE;
        py = py >= SAMPLER_BEFORE ? clamp(py, SAMPLER_BEFORE, last_y) : SAMPLER_BEFORE;
        int ix = (int)px, iy = (int)py; /* positive: truncation is floor */
        const float *from = source->pixels + (size_t)(iy - before) * source->stride +
                            (size_t)(ix - before) * (size_t)lanes;
        float tx = (float)(px - ix), ty = (float)(py - iy);
        if (lanes == 1)
            ret[i] = taps == 1 ? *from : sample_grey(taps, from, source->stride, tx, ty);
        else
            vec4f_store(ret + 4 * i, taps == 1 ? vec4f_load(from)
                                               : sample_lanes(taps, from, source->stride, tx, ty));
    }
}

#define KERNEL(name, taps)                                                                         \
    VECTOR_CLONES static void name(const struct sampler_source *source, const double *x,           \
                                   const double *y, size_t count, float *ret) {                    \
        if (source->lanes == 1)                                                                    \
            run(taps, 1, source, x, y, count, ret);                                                \
        else                                                                                       \
            run(taps, 4, source, x, y, count, ret);                                                \
    }

KERNEL(run_nearest, 1)
KERNEL(run_linear, 2)
KERNEL(run_cubic, 4)
KERNEL(run_lanczos, 6)

void sampler_run(enum params_interpolation kind, const struct sampler_source *source,
                 const double *x, const double *y, size_t count, float *ret) {
    static void (*const kernels[PARAMS_INTERPOLATION_COUNT])(
        const struct sampler_source *, const double *, const double *, size_t, float *) = {
        [PARAMS_INTERPOLATION_NEAREST] = run_nearest,
        [PARAMS_INTERPOLATION_LINEAR] = run_linear,
        [PARAMS_INTERPOLATION_CUBIC] = run_cubic,
        [PARAMS_INTERPOLATION_LANCZOS] = run_lanczos,
    };
    kernels[kind](source, x, y, count, ret);
}
