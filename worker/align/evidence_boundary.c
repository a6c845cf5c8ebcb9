/* See evidence.h. Tissue is what differs from the background; its area, centre and principal axis
 * in both images give a magnification, a shift and a turn, or that turn and half a circle. */
#include "worker/align/evidence.h"

#include "worker/align/feature.h"
#include "worker/align/thumbnail.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>

enum { SIDE_PX = 144 };

static const double PI = 3.14159265358979323846;
static const double SMOOTH_PX = 2;
static const double TISSUE_SHARE =
    0.35; /* of the way from the background to the strongest tissue */
static const double STRONGEST_QUANTILE = 0.98;
static const double LEAST_SHARE = 0.02, MOST_SHARE = 0.9; /* of the image, that is tissue */

struct outline {
    double x, y;      /* centre, full-resolution px */
    double area;      /* px^2 */
    double angle_rad; /* of the longer axis */
};

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Moments of the pixels above the threshold; false: hardly any, or nearly all. */
static bool take_moments(const struct thumbnail *image, float threshold, struct outline *ret) {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0, yy = 0;
    for (int row = 0; row < image->height; row++)
        for (int column = 0; column < image->width; column++) {
            if (image->pixels[row * image->width + column] <= threshold)
                continue;
            n++;
            x += column;
            y += row;
            xx += (double)column * column;
            xy += (double)column * row;
            yy += (double)row * row;
        }
    double all = (double)image->width * image->height;
    if (n < LEAST_SHARE * all || n > MOST_SHARE * all)
        return false;
    x /= n, y /= n;
    struct map to_full = thumbnail_to_full(image);
    struct map_point centre = map_apply(&to_full, x, y);
    *ret = (struct outline){centre.x, centre.y, n * image->pitch * image->pitch,
                            0.5 * atan2(2 * (xy / n - x * y), xx / n - x * x - (yy / n - y * y))};
    return true;
}

static int find_outline(const struct evidence_pair *pair, const char *which,
                        const struct survey *survey, struct outline *ret, bool *ret_found,
                        struct failure *failure) {
    CLEANUP(thumbnail_free) struct thumbnail image = {0};
    double pitch = thumbnail_pitch(&pair->pre->layout, &pair->post->layout, SIDE_PX);
    int r = thumbnail_load(pair->context, which, survey, pitch, &image, failure);
    if (r < 0)
        return r;
    size_t count = (size_t)image.width * (size_t)image.height;
    CLEANUP_TRACKED float *sorted = tracked_alloc(count, sizeof(float), "outline");
    if (!sorted)
        return failure_set(failure, -ENOMEM, "no memory for the tissue's outline");
    float background = (float)survey->background;
    feature_tone(survey, &background, 1);
    feature_tone(survey, image.pixels, count);
    for (size_t i = 0; i < count; i++)
        image.pixels[i] = fabsf(image.pixels[i] - background);
    r = bridge_blur(image.pixels, image.width, image.height, SMOOTH_PX, image.pixels, failure);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        sorted[i] = image.pixels[i];
    qsort(sorted, count, sizeof(*sorted), compare_floats);
    float strongest = sorted[(size_t)(STRONGEST_QUANTILE * (double)(count - 1))];
    *ret_found = take_moments(&image, (float)TISSUE_SHARE * strongest, ret);
    return 0;
}

int evidence_boundary(const struct evidence_pair *pair, struct evidence_places *ret,
                      struct failure *failure) {
    const struct params *params = pair->context->params;
    struct outline pre, post;
    bool has_pre = false, has_post = false;
    int r = find_outline(pair, "pre", pair->pre, &pre, &has_pre, failure);
    if (r == 0)
        r = find_outline(pair, "post", pair->post, &post, &has_post, failure);
    ret->count = 0;
    if (r < 0 || !has_pre || !has_post)
        return r;
    double scale = sqrt(pre.area / post.area);
    scale = fmin(fmax(scale, params->scale_min), params->scale_max);
    for (int half = 0; half < 2; half++) {
        double angle_rad = remainder(pre.angle_rad - post.angle_rad + half * PI, 2 * PI);
        if (fabs(angle_rad) * 180 / PI > params->angle_range_deg)
            continue;
        struct map map = map_similarity(angle_rad, scale, 0, 0);
        struct map_point p = map_apply(&map, post.x, post.y);
        map.h[2] = pre.x - p.x;
        map.h[5] = pre.y - p.y;
        ret->maps[ret->count++] = map;
    }
    return 0;
}
