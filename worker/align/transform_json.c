/* The JSON form of transform.h. What is read may be an older version's or somebody's edit. */
#include "worker/align/map_json.h"
#include "worker/align/transform.h"

#include "common/json_read.h"

#include <errno.h>
#include <math.h>

static json_t *controls_json(const struct bspline *grid, const double *controls) {
    CLEANUP_JSON json_t *rows = json_array();
    for (int row = 0; row < grid->rows; row++) {
        json_t *values = json_array();
        for (int column = 0; column < grid->columns; column++)
            json_array_append_new(values, json_real(controls[row * grid->columns + column]));
        if (json_array_size(values) != (size_t)grid->columns) {
            json_decref(values);
            return NULL;
        }
        json_array_append_new(rows, values);
    }
    return json_array_size(rows) == (size_t)grid->rows ? STEAL_PTR(rows) : NULL;
}

int transform_write(const struct transform *transform, json_t *object, struct failure *failure) {
    const struct bspline *grid = &transform->grid;
    int r = json_object_set_new(object, "post_to_pre", map_json_write(&transform->map));
    if (r == 0 && transform_has_grid(transform))
        r = json_object_set_new(object, "grid",
                                json_pack("{s:[f,f],s:f,s:i,s:i,s:o,s:o}", "origin", grid->x,
                                          grid->y, "spacing", grid->step, "columns", grid->columns,
                                          "rows", grid->rows, "dx", controls_json(grid, grid->dx),
                                          "dy", controls_json(grid, grid->dy)));
    return r == 0 ? 0 : failure_set(failure, -ENOMEM, "no memory for the map");
}

static int read_controls(const json_t *object, const char *key, const char *where,
                         const struct bspline *grid, double *ret, struct failure *failure) {
    const json_t *rows = json_object_get(object, key);
    for (int row = 0; row < grid->rows; row++) {
        const json_t *values = json_array_get(rows, (size_t)row);
        for (int column = 0; column < grid->columns; column++) {
            const json_t *value = json_array_get(values, (size_t)column);
            if (!json_is_number(value) || !isfinite(json_number_value(value)))
                return failure_set(failure, -EINVAL,
                                   "%s: the grid's %s must be %d rows of %d finite numbers", where,
                                   key, grid->rows, grid->columns);
            ret[row * grid->columns + column] = json_number_value(value);
        }
    }
    return 0;
}

static int read_grid(const json_t *object, const char *where, struct bspline *ret,
                     struct failure *failure) {
    const json_t *origin = json_object_get(object, "origin");
    int64_t columns = 0, rows = 0;
    int r = json_read_int(object, "columns", where, 4, BSPLINE_MOST_SIDE, &columns, failure);
    if (r == 0)
        r = json_read_int(object, "rows", where, 4, BSPLINE_MOST_SIDE, &rows, failure);
    if (r == 0)
        r = json_read_number(object, "spacing", where, &ret->step, failure);
    if (r < 0)
        return r;
    ret->columns = (int)columns;
    ret->rows = (int)rows;
    ret->x = json_number_value(json_array_get(origin, 0));
    ret->y = json_number_value(json_array_get(origin, 1));
    if (!(ret->step > 0) || !isfinite(ret->step) || !isfinite(ret->x) || !isfinite(ret->y))
        return failure_set(failure, -EINVAL, "%s: the grid's origin and spacing must be finite",
                           where);
    r = read_controls(object, "dx", where, ret, ret->dx, failure);
    return r < 0 ? r : read_controls(object, "dy", where, ret, ret->dy, failure);
}

int transform_read(const json_t *object, const char *where, struct transform *ret,
                   struct failure *failure) {
    struct transform transform = {0};
    const json_t *grid = json_object_get(object, "grid");
    int r = map_json_read(json_object_get(object, "post_to_pre"), where, &transform.map, failure);
    if (r == 0 && grid && (transform.map.h[6] != 0 || transform.map.h[7] != 0))
        r = failure_set(failure, -EINVAL, "%s: a map with a grid must be affine", where);
    if (r == 0 && grid)
        r = read_grid(grid, where, &transform.grid, failure);
    if (r == 0)
        *ret = transform;
    return r;
}
