/* An image looked at with its pixels' neighbourhoods, some rows at a time: so that no other image
 * of its size is needed.
 *
 * for (int y = 0; y < bands.height; y += JOINT_BAND_ROWS) {
 *     struct joint_band band = joint_bands_at(&bands, y, blur_px);
 *     ... fill the first count of bands.rows with band.n_wide pixels from band.first_wide on
 *     r = joint_bands_blur(&bands, &band, count, failure);
 *     ... bands.rows[..] + band.n_above: band.n pixels, those of the image from band.first on
 * }
 */
#ifndef WORKER_ALIGN_JOINT_BANDS_H
#define WORKER_ALIGN_JOINT_BANDS_H

#include "common/failure.h"

#include <stddef.h>

enum { JOINT_BANDS = 5, JOINT_BAND_ROWS = 64, JOINT_BANDS_MOST_BLUR_PX = 6 };

struct joint_bands {
    int width, height;        /* of the image */
    float *rows[JOINT_BANDS]; /* owned: one buffer */
};

/* Rows, and those above and below that their blur reaches, where the image has such. */
struct joint_band {
    double blur_px; /* standard deviation */
    int height_wide;
    size_t first, n, first_wide, n_wide, n_above; /* pixels */
};

/* -ENOMEM. Release with joint_bands_free. */
MUST_USE int joint_bands_open(int width, int height, struct joint_bands *ret);
void joint_bands_free(struct joint_bands *bands); /* a zeroed one is fine */

struct joint_band joint_bands_at(const struct joint_bands *bands, int y, double blur_px);
/* As bridge_blur would the whole image. */
MUST_USE int joint_bands_blur(const struct joint_bands *bands, const struct joint_band *band,
                              int count, struct failure *failure);

#endif
