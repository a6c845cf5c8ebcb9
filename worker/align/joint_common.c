/* See joint_common.h. Covariances nearby are means of products less products of means: of five
 * images, which would be much memory for all rows at once. */
#include "worker/align/joint_common.h"

enum moment { FIXED, MOVED, FIXED_SQUARE, MOVED_SQUARE, PRODUCT, MOMENTS };
_Static_assert((int)MOMENTS <= (int)JOINT_BANDS, "each moment has rows of its own");

static const double NEIGHBOURHOOD_PX[JOINT_COMMON_KIND_COUNT] = {
    [JOINT_COMMON_CLEAR] = JOINT_BANDS_MOST_BLUR_PX, [JOINT_COMMON_ANY] = 3};
static const float LEAST_POWER = 1e-12F; /* of two variances: less is flat */

static int take_moments(const struct joint_bands *bands, const struct joint_band *band,
                        const struct joint_common_images *images, struct failure *failure) {
    const float *fixed = images->fixed + band->first_wide;
    const float *moved = images->moved + band->first_wide;
    float *const *to = bands->rows;
    for (size_t i = 0; i < band->n_wide; i++) {
        to[FIXED][i] = fixed[i];
        to[MOVED][i] = moved[i];
        to[FIXED_SQUARE][i] = fixed[i] * fixed[i];
        to[MOVED_SQUARE][i] = moved[i] * moved[i];
        to[PRODUCT][i] = fixed[i] * moved[i];
    }
    return joint_bands_blur(bands, band, MOMENTS, failure);
}

static void correlate(const struct joint_bands *bands, const struct joint_band *band, bool inverted,
                      enum joint_common_kind kind, uint16_t *ret) {
    const float *moments[MOMENTS];
    for (int i = 0; i < MOMENTS; i++)
        moments[i] = bands->rows[i] + band->n_above;
    for (size_t i = 0; i < band->n; i++) {
        float a = moments[FIXED][i], b = moments[MOVED][i];
        float powers = (moments[FIXED_SQUARE][i] - a * a) * (moments[MOVED_SQUARE][i] - b * b);
        float product = (inverted ? -1.0F : 1.0F) * (moments[PRODUCT][i] - a * b);
        float squared = product > 0 && powers > LEAST_POWER ? product * product / powers : 0;
        squared = squared < 1 ? squared : 1;
        ret[i] = (uint16_t)((kind == JOINT_COMMON_CLEAR ? squared * squared : squared) *
                            JOINT_COMMON_ONE);
    }
}

int joint_common_find(const struct joint_bands *bands, const struct joint_common_images *images,
                      enum joint_common_kind kind, uint16_t *ret, double *ret_sum,
                      struct failure *failure) {
    uint64_t sum = 0;
    for (int y = 0; y < bands->height; y += JOINT_BAND_ROWS) {
        struct joint_band band = joint_bands_at(bands, y, NEIGHBOURHOOD_PX[kind]);
        int r = take_moments(bands, &band, images, failure);
        if (r < 0)
            return r;
        correlate(bands, &band, images->inverted, kind, ret + band.first);
        for (size_t i = band.first; i < band.first + band.n; i++)
            sum += images->covered[i] ? ret[i] : 0;
    }
    *ret_sum = (double)sum / JOINT_COMMON_ONE;
    return 0;
}
