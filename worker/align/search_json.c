/* The search checkpoint, written and read back: each member is checked, since the file may be an
 * older version's or somebody's edit. */
#include "worker/align/search.h"

#include "common/json_read.h"
#include "worker/align/map_json.h"

#include <errno.h>

static const double DEGREES = 180 / 3.14159265358979323846;

static json_t *hypothesis_to_json(const struct search_hypothesis *hypothesis) {
    return json_pack("{s:f,s:f,s:f,s:i,s:o,s:o}", "score", hypothesis->score, "angle_deg",
                     hypothesis->angle_rad * DEGREES, "scale", hypothesis->scale, "contrast",
                     hypothesis->inverted ? -1 : 1, "post_to_pre", map_json_write(&hypothesis->map),
                     "found_by", evidence_write(hypothesis->found_by));
}

int search_write(const struct search_result *result, json_t **ret, struct failure *failure) {
    CLEANUP_JSON json_t *hypotheses = json_array();
    for (int i = 0; i < result->count; i++)
        if (json_array_append_new(hypotheses, hypothesis_to_json(&result->hypotheses[i])) < 0)
            return failure_set(failure, -ENOMEM, "no memory for the search's result");
    *ret = result->count > 0
               ? json_pack("{s:O,s:o}", "hypotheses", hypotheses, "mirrored",
                           hypothesis_to_json(&result->mirrored))
               : json_pack("{s:s,s:O}", "reason", result->reason, "hypotheses", hypotheses);
    return *ret ? 0 : failure_set(failure, -ENOMEM, "no memory for the search's result");
}

static int hypothesis_read(const json_t *value, struct search_hypothesis *ret,
                           struct failure *failure) {
    double angle_deg = 0;
    int64_t contrast = 1;
    int r = json_read_number(value, "score", "search", &ret->score, failure);
    if (r == 0)
        r = json_read_number(value, "angle_deg", "search", &angle_deg, failure);
    if (r == 0)
        r = json_read_number(value, "scale", "search", &ret->scale, failure);
    if (r == 0)
        r = map_json_read(json_object_get(value, "post_to_pre"), "search", &ret->map, failure);
    if (r == 0)
        r = json_read_int(value, "contrast", "search", -1, 1, &contrast, failure);
    if (r == 0)
        r = evidence_read(json_object_get(value, "found_by"), "search", &ret->found_by, failure);
    ret->inverted = contrast < 0;
    ret->angle_rad = angle_deg / DEGREES;
    return r;
}

int search_read(const json_t *checkpoint, struct search_result *ret, struct failure *failure) {
    struct search_result result = {0};
    const json_t *hypotheses = json_object_get(checkpoint, "hypotheses");
    if (!json_is_array(hypotheses) || json_array_size(hypotheses) > SEARCH_MAX_HYPOTHESES)
        return failure_set(failure, -EINVAL, "search: hypotheses must be a list of at most %d",
                           SEARCH_MAX_HYPOTHESES);
    for (size_t i = 0; i < json_array_size(hypotheses); i++) {
        int r = hypothesis_read(json_array_get(hypotheses, i), &result.hypotheses[result.count++],
                                failure);
        if (r < 0)
            return r;
    }
    const char *reason = json_string_value(json_object_get(checkpoint, "reason"));
    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason ? reason : "");
    if (result.count > 0) {
        int r = hypothesis_read(json_object_get(checkpoint, "mirrored"), &result.mirrored, failure);
        if (r < 0)
            return r;
    }
    *ret = result;
    return 0;
}
