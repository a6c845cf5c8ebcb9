/* See map_json.h. */
#include "worker/align/map_json.h"

#include <errno.h>
#include <math.h>

json_t *map_json_write(const struct map *map) {
    double h[9];
    for (int i = 0; i < 9; i++)
        h[i] = map->h[i] / map->h[8];
    return json_pack("[[f,f,f],[f,f,f],[f,f,f]]", h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
                     1.0);
}

int map_json_read(const json_t *rows, const char *where, struct map *ret, struct failure *failure) {
    struct map map;
    for (size_t i = 0; i < 9; i++) {
        const json_t *value = json_array_get(json_array_get(rows, i / 3), i % 3);
        if (!json_is_number(value) || !isfinite(json_number_value(value)))
            return failure_set(failure, -EINVAL,
                               "%s: a map must be three rows of three finite numbers", where);
        map.h[i] = json_number_value(value);
    }
    if (map.h[8] == 0)
        return failure_set(failure, -EINVAL, "%s: the map's last number must not be 0", where);
    *ret = map;
    return 0;
}
