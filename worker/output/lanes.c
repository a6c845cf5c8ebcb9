/* Flat loops over whole rows, which the compiler turns into vectors; RGB is padded to four bytes a
 * pixel before and cut to three after, in words. See lanes.h. */
#include "worker/output/lanes.h"

#include "common/vector.h"

#include <stdbool.h>
#include <string.h>

#define RGB_LANES 4

/* Three samples a pixel, as words of four whose last one is zero. The last pixel is read without
 * what follows it. */
#define DEFINE_PAD_RGB(name, type, word)                                                           \
    static void name(const type *from, size_t count, word *to) {                                   \
        const word mask = (word)(~(word)0 >> (8 * sizeof(type)));                                  \
        for (size_t i = 0; i + 1 < count; i++) {                                                   \
            word pixel;                                                                            \
            memcpy(&pixel, from + 3 * i, sizeof(pixel));                                           \
            to[i] = pixel & mask;                                                                  \
        }                                                                                          \
        to[count - 1] = 0;                                                                         \
        memcpy(&to[count - 1], from + 3 * (count - 1), 3 * sizeof(type));                          \
    }

DEFINE_PAD_RGB(pad_rgb8, uint8_t, uint32_t)
DEFINE_PAD_RGB(pad_rgb16, uint16_t, uint64_t)

/* The other way: each pixel is written with one sample too many, which the next one replaces. */
#define DEFINE_CUT_RGB(name, type, word)                                                           \
    static void name(const word *from, size_t count, type *to) {                                   \
        for (size_t i = 0; i + 1 < count; i++)                                                     \
            memcpy(to + 3 * i, &from[i], sizeof(word));                                            \
        memcpy(to + 3 * (count - 1), &from[count - 1], 3 * sizeof(type));                          \
    }

DEFINE_CUT_RGB(cut_rgb8, uint8_t, uint32_t)
DEFINE_CUT_RGB(cut_rgb16, uint16_t, uint64_t)

#define DEFINE_TO_FLOAT(name, type)                                                                \
    VECTOR_CLONES static void name(const type *restrict from, size_t count, float *restrict to) {  \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = (float)from[i];                                                                \
    }

DEFINE_TO_FLOAT(to_float_8, uint8_t)
DEFINE_TO_FLOAT(to_float_16, uint16_t)

#define DEFINE_FROM_FLOAT(name, type, limit)                                                       \
    VECTOR_CLONES static void name(const float *restrict from, size_t count, type *restrict to) {  \
        for (size_t i = 0; i < count; i++) {                                                       \
            float value = from[i] + 0.5F;                                                          \
            value = value < 0 ? 0 : value;                                                         \
            value = value > (limit) ? (limit) : value;                                             \
            to[i] = (type)(int)value;                                                              \
        }                                                                                          \
    }

DEFINE_FROM_FLOAT(from_float_8, uint8_t, 255.0F)
DEFINE_FROM_FLOAT(from_float_16, uint16_t, 65535.0F)

static bool is_rgb(const struct lanes_format *format) {
    return format->samples == 3 && format->n == 3;
}

/* One sample of 32 bit. */
static void copy_long(const void *from, size_t from_at, void *to, size_t to_at) {
    memcpy((uint8_t *)to + 4 * to_at, (const uint8_t *)from + 4 * from_at, 4);
}

static void widen_longs(const struct lanes_format *format, const void *pixels, size_t count,
                        float *ret) {
    size_t n_lanes = lanes_of(format->samples);
    memset(ret, 0, count * n_lanes * sizeof(*ret));
    for (size_t i = 0; i < count; i++)
        for (size_t lane = 0; lane < format->n; lane++)
            copy_long(pixels, i * format->samples + format->first + lane, ret, n_lanes * i + lane);
}

static void narrow_longs(const struct lanes_format *format, const float *lanes, size_t count,
                         void *ret_pixels) {
    size_t n_lanes = lanes_of(format->samples);
    for (size_t i = 0; i < count; i++)
        for (size_t lane = 0; lane < format->n; lane++)
            copy_long(lanes, n_lanes * i + lane, ret_pixels,
                      i * format->samples + format->first + lane);
}

/* Any number of channels. */
static void widen_some(const struct lanes_format *format, const void *pixels, size_t count,
                       float *ret) {
    for (size_t i = 0; i < count; i++)
        for (size_t lane = 0; lane < LANES_MAX; lane++) {
            size_t at = i * format->samples + format->first + lane;
            float value = 0;
            if (lane < format->n)
                value = format->bits == 8 ? ((const uint8_t *)pixels)[at]
                                          : ((const uint16_t *)pixels)[at];
            ret[LANES_MAX * i + lane] = value;
        }
}

void lanes_widen(const struct lanes_format *format, const void *pixels, size_t count, float *ret) {
    uint64_t padded[LANES_MOST_PIXELS];
    size_t pixel_bytes = (size_t)format->samples * format->bits / 8, n;
    if (format->bits == 32)
        widen_longs(format, pixels, count, ret);
    else if (format->samples == 1 && format->bits == 8)
        to_float_8(pixels, count, ret);
    else if (format->samples == 1)
        to_float_16(pixels, count, ret);
    else if (!is_rgb(format))
        widen_some(format, pixels, count, ret);
    else
        for (size_t done = 0; done < count; done += n) {
            const void *from = (const uint8_t *)pixels + done * pixel_bytes;
            n = count - done < LANES_MOST_PIXELS ? count - done : LANES_MOST_PIXELS;
            if (format->bits == 8) {
                pad_rgb8(from, n, (uint32_t *)padded);
                to_float_8((const uint8_t *)padded, n * RGB_LANES, ret + done * RGB_LANES);
            } else {
                pad_rgb16(from, n, padded);
                to_float_16((const uint16_t *)padded, n * RGB_LANES, ret + done * RGB_LANES);
            }
        }
}

void lanes_narrow(const struct lanes_format *format, const float *lanes, size_t count,
                  void *ret_pixels) {
    uint64_t rounded[LANES_MOST_PIXELS];
    size_t n_lanes = lanes_of(format->samples);
    uint8_t *bytes = (uint8_t *)rounded;
    uint16_t *shorts = (uint16_t *)rounded;
    bool is_8 = format->bits == 8;
    if (format->bits == 32) {
        narrow_longs(format, lanes, count, ret_pixels);
        return;
    }
    if (is_8)
        from_float_8(lanes, count * n_lanes, bytes);
    else
        from_float_16(lanes, count * n_lanes, shorts);
    if (is_rgb(format) && is_8)
        cut_rgb8((const uint32_t *)rounded, count, ret_pixels);
    else if (is_rgb(format))
        cut_rgb16(rounded, count, ret_pixels);
    else
        for (size_t i = 0; i < count; i++)
            for (size_t lane = 0; lane < format->n; lane++) {
                size_t at = i * format->samples + format->first + lane;
                if (is_8)
                    ((uint8_t *)ret_pixels)[at] = bytes[i * n_lanes + lane];
                else
                    ((uint16_t *)ret_pixels)[at] = shorts[i * n_lanes + lane];
            }
}
