/* The four kernels over float blocks; see sampler.h. One generic loop per lane count is specialised
 * by constant tap counts; weights are computed as vectors, all taps of an axis at once. */
#include "worker/output/sampler.h"

#include "common/vector.h"

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

/* sinc(d) sinc(d / 3) at d = t + 2, t + 1, ..., t - 3, divided by their sum. With s = t - 1/2 the
 * weights of the taps k and 5 - k are e(s^2) + s o(s^2) and e(s^2) - s o(s^2): here e of the first
 * three taps, then o, as polynomials through Chebyshev's points, right to 1e-8. */
VECTOR_INLINE struct weights lanczos_weights(float t) {
    const vec8f c0 = {0.0244565229F,  -0.135869564F, 0.611413041F, 0,
                      -0.0639244385F, 0.181159414F,  -1.33667157F, 0};
    const vec8f c1 = {-0.0881211619F, 0.570769908F,  -0.482648746F, 0,
                      0.310001675F,   -0.841540628F, 1.54533546F,   0};
    const vec8f c2 = {-0.0570038089F, -0.114286527F, 0.171290336F,  0,
                      -0.24215635F,   0.526343134F,  -0.911352012F, 0};
    const vec8f c3 = {0.0797076366F, 0.0313469664F, -0.111054603F, 0,
                      0.115999485F,  -0.274748314F, 0.543971739F,  0};
    const vec8f c4 = {-0.030880977F,  -0.0488298073F, 0.0797107843F, 0,
                      -0.0735707548F, 0.179637845F,   -0.345741287F, 0};
    const vec8f c5 = {0.0119845903F, 0.0214438502F,  -0.0334284404F, 0,
                      0.0344962746F, -0.0813841346F, 0.151768703F,   0};
    if (t < 1e-6F) /* interpolates exactly */
        return (struct weights){.low = {0, 0, 1, 0}};
    if (t > 1 - 1e-6F)
        return (struct weights){.low = {0, 0, 0, 1}};
    float s = t - 0.5F, u = s * s;
    vec8f sums = c0 + u * (c1 + u * (c2 + u * (c3 + u * (c4 + u * c5))));
    vec4f halves[2];
    memcpy(halves, &sums, sizeof(halves));
    vec4f first = halves[0] + s * halves[1], last = halves[0] - s * halves[1];
    return (struct weights){.low = {first[0], first[1], first[2], last[2]},
                            .high = {last[1], last[0], 0, 0}};
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
