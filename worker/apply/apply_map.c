/* See apply_map.h. */
#include "worker/apply/apply_map.h"

#include "common/json_read.h"
#include "worker/tiff/tiff_limits.h"

#include <errno.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20 }; /* a grid of the largest size has 40 kB */

static int read_size(const json_t *object, const char *key, const char *path, uint32_t *ret_width,
                     uint32_t *ret_height, struct failure *failure) {
    const json_t *size = json_object_get(object, key);
    const json_t *width = json_array_get(size, 0), *height = json_array_get(size, 1);
    const json_int_t w = json_integer_value(width), h = json_integer_value(height);
    if (json_array_size(size) != 2 || w < 1 || h < 1 || w > TIFF_LIMIT_SIDE_PX ||
        h > TIFF_LIMIT_SIDE_PX)
        return failure_set(failure, -EINVAL,
                           "%s: \"%s\" must be [width, height] in px, each from 1 to %d; is it a "
                           "transform.json of registrar run?",
                           path, key, TIFF_LIMIT_SIDE_PX);
    *ret_width = (uint32_t)w;
    *ret_height = (uint32_t)h;
    return 0;
}

static int check_status(const json_t *object, const char *path, struct apply_map *map,
                        struct failure *failure) {
    const char *status = NULL, *reason = "";
    int r = json_read_string(object, "status", path, &status, failure);
    if (r == 0)
        r = json_read_optional_string(object, "reason", path, &reason, failure);
    if (r < 0)
        return r;
    if (strcmp(status, "failed") == 0)
        return failure_set(failure, -EINVAL,
                           "%s is of a pair that failed (%.300s): there is no map to apply", path,
                           *reason ? reason : "no reason is given");
    if (strcmp(status, "aligned") != 0 && strcmp(status, "doubtful") != 0)
        return failure_set(failure, -EINVAL,
                           "%s: \"status\" is \"%.100s\"; it must be aligned, doubtful or failed",
                           path, status);
    map->is_doubtful = *status == 'd';
    (void)snprintf(map->reason, sizeof(map->reason), "%.400s", reason);
    return 0;
}

int apply_map_read(const char *path, struct apply_map *ret, struct failure *failure) {
    struct apply_map map = {0};
    CLEANUP_JSON json_t *object = NULL;
    int64_t version = 1;
    int r = json_read_file(path, MOST_BYTES, &object, failure);
    if (r == 0 && !json_is_object(object))
        r = failure_set(failure, -EINVAL, "%s is no JSON object; give a transform.json", path);
    if (r == 0)
        r = json_read_optional_int(object, "version", path, 1, 1, &version, failure);
    if (r == 0)
        r = check_status(object, path, &map, failure);
    if (r == 0)
        r = read_size(object, "pre_size", path, &map.pre_width, &map.pre_height, failure);
    if (r == 0)
        r = read_size(object, "post_size", path, &map.post_width, &map.post_height, failure);
    if (r == 0)
        r = transform_read(object, path, &map.post_to_pre, failure);
    if (r == 0)
        *ret = map;
    return r;
}
