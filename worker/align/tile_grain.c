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

static void compare(float *const corners[TILE_IMAGE_COUNT], int size, int band,
                    struct tile_grain *ret) {
    double ff = 0, gg = 0, fg = 0;
    for (ptrdiff_t y = 0; y < TILE_GRAIN_PX; y++)
        for (ptrdiff_t x = 0; x < TILE_GRAIN_PX; x++) {
            double f = (double)corners[TILE_FIXED][y * size + x];
            double g = (double)corners[TILE_MOVING][y * size + x];
            ff += f * f;
            gg += g * g;
            fg += f * g;
        }
    ret->deviation[band][TILE_FIXED] = (float)(sqrt(ff) / TILE_GRAIN_PX);
    ret->deviation[band][TILE_MOVING] = (float)(sqrt(gg) / TILE_GRAIN_PX);
    ret->correlation[band] = ff > 0 && gg > 0 ? (float)(fg / sqrt(ff * gg)) : 0;
}

int tile_grain_take(const struct tile_grain_images *images, struct tile_grains *ret,
                    struct failure *failure) {
    int size = images->size, side = size / TILE_GRAIN_PX, r = 0;
    float *const *seen = images->scratch, *scratch = images->scratch[TILE_IMAGE_COUNT];
    for (int image = 0; image < TILE_IMAGE_COUNT; image++) {
        r = bridge_blur(images->pixels[image], size, size, AFAR_PX, scratch, failure);
        if (r < 0)
            return r;
        for (int part = 0; part < side * side; part++)
            ret->parts[part].slope[image] = steepest_near(
                scratch, size, part % side * TILE_GRAIN_PX, part / side * TILE_GRAIN_PX);
    }
    for (int band = 0; band < TILE_BAND_COUNT; band++) {
        for (int image = 0; image < TILE_IMAGE_COUNT && r == 0; image++)
            r = keep_band(images->pixels[image], size, band, scratch, seen[image], failure);
        if (r < 0)
            return r;
        for (int part = 0; part < side * side; part++) {
            ptrdiff_t corner =
                (ptrdiff_t)(part / side * TILE_GRAIN_PX) * size + part % side * TILE_GRAIN_PX;
            float *const corners[] = {seen[TILE_FIXED] + corner, seen[TILE_MOVING] + corner};
            compare(corners, size, band, &ret->parts[part]);
        }
    }
    ret->count = side * side;
    return 0;
}
