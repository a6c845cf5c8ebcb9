/* See tile_grain.h. */
#include "worker/align/tile_grain.h"

#include "worker/opencv/bridge.h"

#include <math.h>
#include <stddef.h>

/* Of the blurs (px) that a band lies between. */
static const double BANDS_PX[TILE_BAND_COUNT][2] = {
    [TILE_BAND_FINE] = {0.9, 2.8}, [TILE_BAND_COARSE] = {2, 5}};
static const double AFAR_PX = 5;
enum { AROUND_PX = 8 }; /* of a part: an outline there reaches into it */

static int clamp(int value, int most) { return value < 0 ? 0 : value > most ? most : value; }

static float steepest_near(const float *afar, int size, int left, int top) {
    int right = clamp(left + TILE_GRAIN_PX + AROUND_PX, size - 1);
    int bottom = clamp(top + TILE_GRAIN_PX + AROUND_PX, size - 1);
    double steepest = 0;
    for (int y = clamp(top - AROUND_PX, size - 1); y < bottom; y++)
        for (int x = clamp(left - AROUND_PX, size - 1); x < right; x++) {
            const float *tone = afar + (ptrdiff_t)y * size + x;
            double across = (double)(tone[1] - tone[0]), down = (double)(tone[size] - tone[0]);
            steepest = fmax(steepest, across * across + down * down);
        }
    return (float)sqrt(steepest);
}

static int keep_band(const float *pixels, int size, int band, float *scratch, float *ret,
                     struct failure *failure) {
    int r = bridge_blur(pixels, size, size, BANDS_PX[band][1], scratch, failure);
    if (r == 0)
        r = bridge_blur(pixels, size, size, BANDS_PX[band][0], ret, failure);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)size * size; i++)
        ret[i] -= scratch[i];
    return r;
}

static void compare(const float *fixed, const float *moving, int size, int band,
                    struct tile_grain *ret) {
    double ff = 0, gg = 0, fg = 0;
    for (ptrdiff_t y = 0; y < TILE_GRAIN_PX; y++)
        for (ptrdiff_t x = 0; x < TILE_GRAIN_PX; x++) {
            double f = (double)fixed[y * size + x], g = (double)moving[y * size + x];
            ff += f * f;
            gg += g * g;
            fg += f * g;
        }
    ret->bands[band].fixed = (float)(sqrt(ff) / TILE_GRAIN_PX);
    ret->bands[band].moving = (float)(sqrt(gg) / TILE_GRAIN_PX);
    ret->bands[band].correlation = ff > 0 && gg > 0 ? (float)(fg / sqrt(ff * gg)) : 0;
}

int tile_grain_take(const struct tile_grain_images *images, struct tile_grains *ret,
                    struct failure *failure) {
    int size = images->size, side = size / TILE_GRAIN_PX;
    float *fixed = images->scratch[0], *moving = images->scratch[1], *scratch = images->scratch[2];
    int r = bridge_blur(images->fixed, size, size, AFAR_PX, fixed, failure);
    if (r == 0)
        r = bridge_blur(images->moving, size, size, AFAR_PX, moving, failure);
    if (r < 0)
        return r;
    ret->count = side * side;
    for (int part = 0; part < ret->count; part++) {
        int left = part % side * TILE_GRAIN_PX, top = part / side * TILE_GRAIN_PX;
        ret->parts[part].fixed_slope = steepest_near(fixed, size, left, top);
        ret->parts[part].moving_slope = steepest_near(moving, size, left, top);
    }
    for (int band = 0; band < TILE_BAND_COUNT; band++) {
        r = keep_band(images->fixed, size, band, scratch, fixed, failure);
        if (r == 0)
            r = keep_band(images->moving, size, band, scratch, moving, failure);
        if (r < 0)
            return r;
        for (int part = 0; part < ret->count; part++) {
            ptrdiff_t corner =
                (ptrdiff_t)(part / side * TILE_GRAIN_PX) * size + part % side * TILE_GRAIN_PX;
            compare(fixed + corner, moving + corner, size, band, &ret->parts[part]);
        }
    }
    return 0;
}
