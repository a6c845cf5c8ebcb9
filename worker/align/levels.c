/* See levels.h. */
#include "worker/align/levels.h"

#include <errno.h>
#include <string.h>

int levels_path(const struct align_context *context, const char *which, const char *what,
                char ret[LEVELS_PATH_BYTES], struct failure *failure) {
    const char *folder = strcmp(which, "pre") == 0 ? context->pre_folder : context->post_folder;
    int length = snprintf(ret, LEVELS_PATH_BYTES, "%s/%s.%s", folder, which, what);
    if (length < 0 || length >= LEVELS_PATH_BYTES)
        return failure_set(failure, -ENAMETOOLONG, "the path %s is too long: choose a shorter OUT",
                           folder);
    return 0;
}

int levels_open(const struct align_context *context, const char *which, const struct survey *survey,
                bool with_image, uint64_t cache_bytes, struct pyramid **ret,
                struct failure *failure) {
    char path[LEVELS_PATH_BYTES];
    int r = levels_path(context, which, "levels", path, failure);
    if (r < 0)
        return r;
    struct image *image = strcmp(which, "pre") == 0 ? context->pre : context->post;
    struct pyramid_source source = {.image = with_image ? image : NULL,
                                    .path = path,
                                    .layout = survey->layout,
                                    .signal = survey->signal,
                                    .cache_bytes = cache_bytes};
    return pyramid_open(&source, ret, failure);
}

void levels_cleanup(struct pyramid **pyramid) { pyramid_close(*pyramid); }
