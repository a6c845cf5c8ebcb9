/* See evidence.h: names, and what the tags say. */
#include "worker/align/evidence.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Magnifications that a tag can mean; anything else is a default that somebody wrote. */
static const double LEAST_RATIO = 1.0 / 64, SQUARE_PIXELS = 0.01;

const char *evidence_name(enum evidence evidence) {
    static const char *const names[EVIDENCE_COUNT] = {
        [EVIDENCE_CORRELATION] = "correlation",
        [EVIDENCE_FEATURES] = "features",
        [EVIDENCE_BOUNDARY] = "boundary",
        [EVIDENCE_PIXEL_SIZE] = "pixel-size",
    };
    return names[evidence];
}

json_t *evidence_write(unsigned kinds) {
    CLEANUP_JSON json_t *names = json_array();
    for (int kind = 0; kind < EVIDENCE_COUNT; kind++)
        if ((kinds & 1U << kind) != 0 &&
            json_array_append_new(names, json_string(evidence_name((enum evidence)kind))) < 0)
            return NULL;
    return STEAL_PTR(names);
}

int evidence_read(const json_t *names, const char *where, unsigned *ret, struct failure *failure) {
    unsigned kinds = 0;
    if (!json_is_array(names))
        return failure_set(failure, -EINVAL, "%s: found_by must be a list of names", where);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        int kind = 0;
        while (kind < EVIDENCE_COUNT && name &&
               strcmp(evidence_name((enum evidence)kind), name) != 0)
            kind++;
        if (!name || kind == EVIDENCE_COUNT)
            return failure_set(failure, -EINVAL, "%s: found_by: \"%s\" is no kind of evidence",
                               where, name ? name : "?");
        kinds |= 1U << kind;
    }
    *ret = kinds;
    return 0;
}

/* Pixels per cm; 0: not said. The unit "none" gives an aspect ratio only. */
static double pixels_per_cm(const struct image_info *info) {
    double unit_cm = info->resolution_unit == 3 ? 1 : info->resolution_unit == 2 ? 2.54 : 0;
    bool square =
        fabs(info->x_resolution - info->y_resolution) <= SQUARE_PIXELS * fabs(info->x_resolution);
    return unit_cm > 0 && square && info->x_resolution > 0 && isfinite(info->x_resolution)
               ? info->x_resolution / unit_cm
               : 0;
}

double evidence_pixel_size(const struct image_info *pre, const struct image_info *post) {
    double pre_density = pixels_per_cm(pre), post_density = pixels_per_cm(post);
    if (pre_density <= 0 || post_density <= 0)
        return 0;
    double ratio = pre_density / post_density;
    return ratio >= LEAST_RATIO && ratio <= 1 / LEAST_RATIO ? ratio : 0;
}
