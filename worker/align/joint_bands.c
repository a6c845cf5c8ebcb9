/* See joint_bands.h. OpenCV's kernel ends where the Gaussian of floats does: at four deviations. */
#include "worker/align/joint_bands.h"

#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>

enum { REACH = 4, MOST_ROWS = JOINT_BAND_ROWS + 2 * REACH * JOINT_BANDS_MOST_BLUR_PX };

int joint_bands_open(int width, int height, struct joint_bands *ret) {
    size_t n = MOST_ROWS * (size_t)width;
    struct joint_bands bands = {.width = width, .height = height};
    bands.rows[0] = tracked_alloc(JOINT_BANDS * n, sizeof(float), "joint");
    if (!bands.rows[0])
        return -ENOMEM;
    for (int i = 1; i < JOINT_BANDS; i++)
        bands.rows[i] = bands.rows[i - 1] + n;
    *ret = bands;
    return 0;
}

void joint_bands_free(struct joint_bands *bands) {
    tracked_free(bands->rows[0]);
    bands->rows[0] = NULL;
}

struct joint_band joint_bands_at(const struct joint_bands *bands, int y, double blur_px) {
    int reach = (int)ceil(REACH * blur_px), height = bands->height;
    int end = y + JOINT_BAND_ROWS < height ? y + JOINT_BAND_ROWS : height;
    int top = y > reach ? y - reach : 0, bottom = end + reach < height ? end + reach : height;
    size_t width = (size_t)bands->width;
    return (struct joint_band){.blur_px = blur_px,
                               .height_wide = bottom - top,
                               .first = (size_t)y * width,
                               .n = (size_t)(end - y) * width,
                               .first_wide = (size_t)top * width,
                               .n_wide = (size_t)(bottom - top) * width,
                               .n_above = (size_t)(y - top) * width};
}

int joint_bands_blur(const struct joint_bands *bands, const struct joint_band *band, int count,
                     struct failure *failure) {
    int r = 0;
    for (int i = 0; i < count && r == 0; i++)
        r = bridge_blur(bands->rows[i], bands->width, band->height_wide, band->blur_px,
                        bands->rows[i], failure);
    return r;
}
