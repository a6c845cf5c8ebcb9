/* The refine checkpoint, read back: each member is checked, since the file may be an older
 * version's or somebody's edit. */
#include "worker/align/refine.h"

#include "common/json_read.h"
#include "worker/align/evidence.h"

#include <errno.h>
#include <string.h>

static int read_count(const json_t *object, const char *key, int *ret, struct failure *failure) {
    int64_t value = 0;
    int r = json_read_int(object, key, "refine", 0, INT32_MAX, &value, failure);
    *ret = (int)value;
    return r;
}

static int read_votes(const json_t *refine, struct refine_result *ret, struct failure *failure) {
    const json_t *referee = json_object_get(refine, "referee");
    const json_t *runner_up = json_object_get(refine, "runner_up");
    const json_t *mirrored = json_object_get(refine, "mirrored");
    int r = read_count(referee, "votes", &ret->votes, failure);
    if (r == 0)
        r = read_count(referee, "tiles", &ret->tiles, failure);
    if (r == 0)
        r = json_read_number(referee, "search_score", "refine", &ret->search_score, failure);
    if (r == 0)
        r = json_read_number(referee, "common", "refine", &ret->common, failure);
    if (r == 0)
        r = json_read_number(runner_up, "common", "refine", &ret->runner_up_common, failure);
    if (r == 0)
        r = read_count(runner_up, "votes", &ret->runner_up_votes, failure);
    if (r == 0)
        r = read_count(runner_up, "tiles", &ret->runner_up_tiles, failure);
    if (r == 0)
        r = json_read_number(runner_up, "search_score", "refine", &ret->search_runner_up, failure);
    if (r == 0)
        r = read_count(mirrored, "votes", &ret->mirrored_votes, failure);
    if (r == 0)
        r = read_count(mirrored, "tiles", &ret->mirrored_tiles, failure);
    return r;
}

static int read_look(const json_t *look, struct tile_look *ret, struct failure *failure) {
    ret->bent = json_is_true(json_object_get(look, "bent"));
    return json_read_number(look, "smooth_px", "refine", &ret->smooth_px, failure);
}

/* Whether a fit at full resolution was believed. The first level is the referee's, which uses all
 * cells, even where that is the full resolution already. */
static bool is_fine(const json_t *levels) {
    bool fine = false;
    for (size_t i = 1; i < json_array_size(levels); i++) {
        const json_t *level = json_array_get(levels, i);
        fine |= json_integer_value(json_object_get(level, "level")) == 0 &&
                json_is_true(json_object_get(level, "credible"));
    }
    return fine;
}

int refine_read(const json_t *checkpoint, struct refine_result *ret, struct failure *failure) {
    struct refine_result result = {0};
    const char *reason = NULL, *model = NULL;
    int64_t contrast = 1;
    int r = json_read_string(checkpoint, "reason", "refine", &reason, failure);
    if (r == 0)
        r = json_read_string(checkpoint, "model", "refine", &model, failure);
    if (r == 0)
        r = transform_read(checkpoint, "refine", &result.transform, failure);
    if (r == 0)
        r = read_count(checkpoint, "tile_px", &result.tile_px, failure);
    if (r == 0 && (result.tile_px > TILE_MAX_SIZE || result.tile_px % 4 != 0))
        r = failure_set(failure, -EINVAL, "refine: tile_px %d is no tile's size", result.tile_px);
    if (r == 0)
        r = read_look(json_object_get(checkpoint, "look"), &result.look, failure);
    if (r == 0)
        r = read_votes(checkpoint, &result, failure);
    if (r == 0)
        r = json_read_int(checkpoint, "contrast", "refine", -1, 1, &contrast, failure);
    if (r == 0)
        r = evidence_read(json_object_get(checkpoint, "found_by"), "refine", &result.found_by,
                          failure);
    if (r < 0)
        return r;
    if (transform_has_grid(&result.transform))
        model = fit_model_name(FIT_AFFINE);
    while (result.model < FIT_MODEL_COUNT && strcmp(fit_model_name(result.model), model) != 0)
        result.model++;
    if (result.model == FIT_MODEL_COUNT)
        return failure_set(failure, -EINVAL, "refine: \"%s\" is no model", model);
    result.inverted = contrast < 0;
    result.fine = is_fine(json_object_get(checkpoint, "levels")) ||
                  json_is_true(json_object_get(checkpoint, "joint"));
    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason);
    *ret = result;
    return 0;
}
