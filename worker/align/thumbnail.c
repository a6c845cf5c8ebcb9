/* See thumbnail.h. The next finer level is blurred to the pitch and sampled. */
#include "worker/align/thumbnail.h"

#include "worker/align/levels.h"
#include "worker/align/sample.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>

double thumbnail_pitch(const struct pyramid_layout *pre, const struct pyramid_layout *post,
                       int side) {
    double longest = fmax(fmax(pre->width, pre->height), fmax(post->width, post->height));
    return fmax(longest / side, 1);
}

void thumbnail_free(struct thumbnail *thumbnail) {
    tracked_free(thumbnail->pixels);
    thumbnail->pixels = NULL;
}

struct map thumbnail_to_full(const struct thumbnail *thumbnail) {
    double pitch = thumbnail->pitch, shift = 0.5 * pitch - 0.5;
    return (struct map){{pitch, 0, shift, 0, pitch, shift, 0, 0, 1}};
}

struct map thumbnail_from_full(const struct thumbnail *thumbnail) {
    double factor = 1 / thumbnail->pitch, shift = 0.5 * factor - 0.5;
    return (struct map){{factor, 0, shift, 0, factor, shift, 0, 0, 1}};
}

/* The level whose pixels are at most as large as the pitch. */
static int finer_level(const struct pyramid_layout *layout, double pitch) {
    int level = 0;
    while (level < layout->last_level && ldexp(1, level + 1) <= pitch)
        level++;
    return level;
}

int thumbnail_load(const struct align_context *context, const char *which,
                   const struct survey *survey, double pitch, struct thumbnail *ret,
                   struct failure *failure) {
    int level = finer_level(&survey->layout, pitch);
    struct pyramid_size size = pyramid_level_size(&survey->layout, level);
    CLEANUP(levels_cleanup) struct pyramid *pyramid = NULL;
    int r = levels_open(context, which, survey, level < PYRAMID_FIRST_LEVEL, 0, &pyramid, failure);
    if (r < 0)
        return r;
    size_t count = (size_t)size.width * (size_t)size.height;
    CLEANUP_TRACKED float *pixels = tracked_alloc(count, sizeof(float), "thumbnail");
    int width = (int)fmax(survey->layout.width / pitch, 1);
    int height = (int)fmax(survey->layout.height / pitch, 1);
    CLEANUP(thumbnail_free)
    struct thumbnail thumbnail = {
        tracked_alloc((size_t)width * (size_t)height, sizeof(float), "thumbnail"), width, height,
        pitch};
    if (!pixels || !thumbnail.pixels)
        return failure_set(failure, -ENOMEM, "no memory for the %s image at %d x %d px", which,
                           size.width, size.height);
    struct pyramid_region region = {level, 0, 0, size.width, size.height};
    r = pyramid_read(pyramid, &region, pixels, failure);
    double ratio = pitch / ldexp(1, level);
    if (r == 0 && ratio > 1)
        r = bridge_blur(pixels, size.width, size.height, 0.5 * sqrt(ratio * ratio - 1) + 1e-3,
                        pixels, failure);
    if (r < 0)
        return r;
    struct map to_level = {{ratio, 0, 0.5 * ratio - 0.5, 0, ratio, 0.5 * ratio - 0.5, 0, 0, 1}};
    struct sample_block block = {pixels, 0, 0, size.width, size.height};
    struct sample_window window = {0, 0, width, height};
    sample_linear(&block, &to_level, &window, thumbnail.pixels);
    *ret = thumbnail;
    thumbnail.pixels = NULL;
    return 0;
}
