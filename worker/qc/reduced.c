/* The file is the level as the pyramid stores it: uint16 of the signal times the layout's factor.
 * See reduced.h. */
#include "worker/qc/reduced.h"

#include "common/atomic_file.h"
#include "worker/align/levels.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

static const uint64_t CACHE_BYTES = 4 << 20;

void reduced_free(struct reduced *reduced) {
    tracked_free(reduced->pixels);
    *reduced = (struct reduced){0};
}

/* False when no level is small enough. */
static bool choose(const struct pyramid_layout *layout, struct reduced *ret) {
    for (int level = 0; level <= layout->last_level; level++) {
        struct pyramid_size size = pyramid_level_size(layout, level);
        if (size.width > REDUCED_SIDE_PX || size.height > REDUCED_SIDE_PX)
            continue;
        *ret = (struct reduced){NULL, size.width, size.height, level};
        return size.width > 0 && size.height > 0;
    }
    return false;
}

static size_t count_of(const struct reduced *reduced) {
    return (size_t)reduced->width * (size_t)reduced->height;
}

static int allocate(struct reduced *reduced, const char *which, struct failure *failure) {
    reduced->pixels = tracked_alloc(count_of(reduced), sizeof(float), "reduced image");
    return reduced->pixels
               ? 0
               : failure_set(failure, -ENOMEM, "no memory for the reduced %s image", which);
}

static int read_level(const struct align_context *context, const char *which,
                      const struct survey *survey, struct reduced *ret, struct failure *failure) {
    CLEANUP(levels_cleanup) struct pyramid *pyramid = NULL;
    int r = allocate(ret, which, failure);
    if (r == 0)
        r = levels_open(context, which, survey, ret->level < PYRAMID_FIRST_LEVEL, CACHE_BYTES,
                        &pyramid, failure);
    struct pyramid_region region = {ret->level, 0, 0, ret->width, ret->height};
    return r < 0 ? r : pyramid_read(pyramid, &region, ret->pixels, failure);
}

int reduced_make(const struct align_context *context, const char *which, const json_t *checkpoint,
                 struct failure *failure) {
    CLEANUP(reduced_free) struct reduced reduced = {0};
    char path[LEVELS_PATH_BYTES];
    struct survey survey;
    int r = survey_read(checkpoint, which, &survey, failure);
    if (r == 0)
        r = levels_path(context, which, "reduced", path, failure);
    if (r == 0 && choose(&survey.layout, &reduced))
        r = read_level(context, which, &survey, &reduced, failure);
    size_t count = reduced.pixels ? count_of(&reduced) : 0;
    CLEANUP_TRACKED uint16_t *stored = tracked_alloc(count + 1, sizeof(*stored), "reduced image");
    if (r == 0 && !stored)
        r = failure_set(failure, -ENOMEM, "no memory for the reduced %s image", which);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        stored[i] =
            (uint16_t)lround(fmin(fmax(reduced.pixels[i] * survey.layout.factor, 0), UINT16_MAX));
    return atomic_file_write(path, stored, count * sizeof(*stored), failure);
}

int reduced_load(const struct align_context *context, const char *which,
                 const struct survey *survey, struct reduced *ret, struct failure *failure) {
    CLEANUP(reduced_free) struct reduced reduced = {0};
    char path[LEVELS_PATH_BYTES];
    if (!choose(&survey->layout, &reduced))
        return failure_set(failure, -ENODATA, "the %s image is too narrow to be shown", which);
    int r = levels_path(context, which, "reduced", path, failure);
    if (r == 0)
        r = allocate(&reduced, which, failure);
    if (r < 0)
        return r;
    size_t count = count_of(&reduced);
    CLEANUP_TRACKED uint16_t *stored = tracked_alloc(count, sizeof(*stored), "reduced image");
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!stored)
        return failure_set(failure, -ENOMEM, "no memory for the reduced %s image", which);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot open %s", path);
    ssize_t n = read(fd, stored, count * sizeof(*stored));
    if (n != (ssize_t)(count * sizeof(*stored)))
        return failure_set(failure, -ESTALE, "%s is not of this image", path);
    for (size_t i = 0; i < count; i++)
        reduced.pixels[i] = (float)(stored[i] / survey->layout.factor);
    *ret = reduced;
    reduced.pixels = NULL;
    return 0;
}

double reduced_at(const struct reduced *reduced, double x, double y) {
    double pitch = (double)(1U << reduced->level);
    double at_x = (x + 0.5) / pitch - 0.5, at_y = (y + 0.5) / pitch - 0.5;
    if (!(at_x >= -0.5 && at_y >= -0.5 && at_x < reduced->width - 0.5 &&
          at_y < reduced->height - 0.5))
        return NAN;
    at_x = at_x > 0 ? at_x : 0; /* the last pixel is its own neighbour */
    at_y = at_y > 0 ? at_y : 0;
    int left = (int)at_x, top = (int)at_y;
    int right = left + (left + 1 < reduced->width), bottom = top + (top + 1 < reduced->height);
    const float *above = reduced->pixels + (size_t)top * (size_t)reduced->width;
    const float *below = reduced->pixels + (size_t)bottom * (size_t)reduced->width;
    double share_x = at_x - left, share_y = at_y - top;
    double upper = above[left] + share_x * (above[right] - above[left]);
    double lower = below[left] + share_x * (below[right] - below[left]);
    return upper + share_y * (lower - upper);
}
