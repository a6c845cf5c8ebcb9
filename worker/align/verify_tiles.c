/* See verify_tiles.h. */
#include "worker/align/verify_tiles.h"

#include <math.h>

json_t *verify_tiles_write(const struct verify_sample *sample, const struct transform *judged) {
    const struct tiles_grid *grid = &sample->grid;
    CLEANUP_JSON json_t *tiles = json_array();
    for (size_t i = 0; i < grid->count; i++) {
        const struct fit_match *match = &sample->matches[i];
        const struct tile_shift *shift = &sample->shifts[i];
        if (sample->answers[i] != VERIFY_UNMEASURED &&
            json_array_append_new(tiles, json_pack("[f,f,f,f,f,i]", match->x, match->y,
                                                   ldexp(shift->dx, grid->level),
                                                   ldexp(shift->dy, grid->level),
                                                   transform_known_residual(judged, match),
                                                   (int)sample->answers[i])) < 0)
            return NULL;
    }
    return json_pack("{s:f,s:O}", "size", ldexp(grid->size, grid->level), "tiles", tiles);
}

void verify_tiles_read(const json_t *verify, struct verify_tiles *ret) {
    const json_t *object = json_object_get(verify, VERIFY_TILES_MEMBER);
    const json_t *tiles = json_object_get(object, "tiles");
    ret->size_px = json_number_value(json_object_get(object, "size"));
    ret->count = 0;
    for (size_t i = 0; i < json_array_size(tiles) && ret->count < VERIFY_TILES_MOST; i++) {
        const json_t *tile = json_array_get(tiles, i);
        double values[5];
        bool finite = true;
        for (size_t k = 0; k < ARRAY_LEN(values); k++) {
            values[k] = json_number_value(json_array_get(tile, k));
            finite = finite && isfinite(values[k]);
        }
        json_int_t answer = json_integer_value(json_array_get(tile, ARRAY_LEN(values)));
        if (finite && answer > VERIFY_UNMEASURED && answer <= VERIFY_SILENT)
            ret->tiles[ret->count++] = (struct verify_tile){
                values[0], values[1], values[2], values[3], values[4], (enum verify_answer)answer};
    }
}
