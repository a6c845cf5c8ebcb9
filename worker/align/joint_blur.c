/* See joint_blur.h. */
#include "worker/align/joint_blur.h"

#include <stdbool.h>
#include <stddef.h>

static bool is_inside(const unsigned char *covered, ptrdiff_t width) {
    return covered[0] && covered[-1] && covered[1] && covered[-width] && covered[width];
}

double joint_blur_difference(const struct joint_blur_images *images,
                             const struct joint_tone *tone) {
    ptrdiff_t width = images->width;
    double products = 0, squares = 0;
    for (int y = 1; y + 1 < images->height; y++)
        for (int x = 1; x + 1 < images->width; x++) {
            ptrdiff_t i = y * width + x;
            const float *g = images->moved + i;
            if (images->weight[i] <= 0 || !is_inside(images->covered + i, width))
                continue;
            struct joint_tone_point at = joint_tone_look(tone, g[0]);
            float laplacian = at.gain * (g[-1] + g[1] + g[-width] + g[width] - 4 * g[0]);
            double weight = images->weight[i] / (at.deviation * at.deviation);
            products += weight * laplacian * (images->fixed[i] - at.value);
            squares += weight * laplacian * laplacian;
        }
    return squares > 0 ? 2 * products / squares : 0;
}
