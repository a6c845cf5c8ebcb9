/* See feature.h. */
#include "worker/align/feature.h"

#include "worker/opencv/bridge.h"

#include <math.h>

enum { TONE_STEPS = 512 };

static const double LOG_STRETCH = 12; /* k: how much dark structure is raised */
/* Local deviations below this share of the image's own count as flat ground. */
static const double FLAT_SHARE = 0.35;
/* Times the local deviation: what stands out farther counts no more. Else the rims of holes and of
 * objects that one image alone has would drown what the images have in common. */
static const float MOST = 1;
static const double ROUNDING =
    1e-10; /* squared: what blurs leave of a constant image is no structure */

void feature_tone(const struct survey *survey, float *pixels, size_t count) {
    float table[TONE_STEPS + 2];
    for (int i = 0; i <= TONE_STEPS + 1; i++)
        table[i] = (float)(log1p(LOG_STRETCH * i / TONE_STEPS) / log1p(LOG_STRETCH));
    float zero = (float)(survey->inverted ? survey->high : survey->low);
    float scale = TONE_STEPS / (float)fmax(survey->high - survey->low, 1e-6);
    scale = survey->inverted ? -scale : scale;
    for (size_t i = 0; i < count; i++) {
        float t = (pixels[i] - zero) * scale;
        t = t > 0 ? t : 0; /* comparisons, since fmaxf is a call */
        t = t < TONE_STEPS ? t : TONE_STEPS;
        int step = (int)t;
        pixels[i] = table[step] + (t - (float)step) * (table[step + 1] - table[step]);
    }
}

int feature_local(float *pixels, int width, int height, const struct feature_scales *scales,
                  float *scratch, struct failure *failure) {
    size_t count = (size_t)width * (size_t)height;
    int r = bridge_blur(pixels, width, height, scales->coarse, scratch, failure);
    if (r == 0)
        r = bridge_blur(pixels, width, height, scales->fine, pixels, failure);
    if (r < 0)
        return r;
    double power = 0;
    for (size_t i = 0; i < count; i++) {
        pixels[i] -= scratch[i];
        scratch[i] = pixels[i] * pixels[i];
        power += scratch[i];
    }
    r = bridge_blur(scratch, width, height, scales->local, scratch, failure);
    if (r < 0)
        return r;
    float flat = (float)(FLAT_SHARE * FLAT_SHARE * power / (double)count + ROUNDING);
    for (size_t i = 0; i < count; i++) {
        float value = pixels[i] / sqrtf(scratch[i] + flat);
        value = value > -MOST ? value : -MOST; /* comparisons, since fmaxf is a call */
        pixels[i] = value < MOST ? value : MOST;
    }
    return 0;
}

static float taper_at(int i, int size, int margin) {
    int edge = i < size - 1 - i ? i : size - 1 - i;
    if (edge >= margin)
        return 1;
    return (float)(0.5 - 0.5 * cos(3.14159265358979323846 * (edge + 0.5) / margin));
}

void feature_taper(float *pixels, int width, int height, int margin) {
    for (int y = 0; y < height; y++) {
        float down = taper_at(y, height, margin);
        float *row = pixels + (size_t)y * (size_t)width;
        for (int x = 0; x < width; x++)
            row[x] *= down * taper_at(x, width, margin);
    }
}
