/* See result_file.h. Where memory runs out on the way, jansson returns NULL from the next call that
 * is given a NULL, so only the last result is looked at. */
#include "worker/output/result_file.h"

#include "worker/align/verify_tiles.h"
#include "worker/memory/tracked.h"

enum { VERSION = 1 };

static json_t *size_json(const struct image_info *info) {
    return json_pack("[I,I]", (json_int_t)info->width, (json_int_t)info->height);
}

json_t *result_file_transform(const json_t *verify, const struct image_info *pre,
                              const struct image_info *post) {
    static const char *const first[] = {"status", "reason", "model", "post_to_pre", "grid"};
    CLEANUP_JSON json_t *transform = json_pack("{s:i}", "version", VERSION);
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        json_t *value = json_object_get(verify, first[i]);
        if (value && json_object_set(transform, first[i], value) < 0)
            return NULL;
    }
    if (json_object_set_new(transform, "pre_size", size_json(pre)) < 0 ||
        json_object_set_new(transform, "post_size", size_json(post)) < 0 ||
        json_object_update_missing(transform, (json_t *)verify) < 0) /* which only reads verify */
        return NULL;
    (void)json_object_del(transform, VERIFY_TILES_MEMBER); /* for pictures; may be missing */
    return STEAL_PTR(transform);
}

json_t *result_file_peak(void) {
    struct tracked_peak peak;
    tracked_get_peak(&peak);
    CLEANUP_JSON json_t *buffers = json_array();
    for (size_t i = 0; i < peak.n_buffers; i++)
        if (json_array_append_new(buffers, json_pack("{s:s,s:I}", "label", peak.buffers[i].label,
                                                     "bytes", (json_int_t)peak.buffers[i].bytes)))
            return NULL;
    return json_pack("{s:I,s:s,s:O}", "bytes", (json_int_t)peak.bytes, "stage",
                     peak.stage ? peak.stage : "", "buffers", buffers);
}

/* The chosen channels of both images. */
static json_t *channel_json(const struct result_file_parts *parts) {
    return json_pack("{s:O?,s:O?}", "pre", json_object_get(parts->pre_survey, "signal"), "post",
                     json_object_get(parts->post_survey, "signal"));
}

static json_t *statistics_json(const struct result_file_parts *parts) {
    json_t *statistics = json_deep_copy(json_object_get(parts->scale, "statistics"));
    json_t *overlap = json_object_get(parts->warp, "overlap_pixels");
    if (statistics && overlap && json_object_set(statistics, "overlap_pixels", overlap) < 0) {
        json_decref(statistics);
        return NULL;
    }
    return statistics;
}

json_t *result_file_result(const struct result_file_parts *parts) {
    static const char *const of_scale[] = {"scale", "scale_kind", "scales", "moffat"};
    CLEANUP_JSON json_t *result =
        json_pack("{s:i,s:s,s:O?,s:O?}", "version", VERSION, "task", parts->task, "status",
                  json_object_get(parts->verify, "status"), "reason",
                  json_object_get(parts->verify, "reason"));
    if (!result)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(of_scale) && parts->scale; i++)
        if (json_object_set(result, of_scale[i], json_object_get(parts->scale, of_scale[i])) < 0)
            return NULL;
    json_t *memory =
        json_pack("{s:I,s:I,s:o}", "cap_bytes", (json_int_t)parts->cap_bytes, "budget_bytes",
                  (json_int_t)tracked_budget(), "peak", result_file_peak());
    json_t *rest = json_pack("{s:o,s:o,s:O,s:O,s:o,s:O,s:i}", "channel", channel_json(parts),
                             "statistics", parts->scale ? statistics_json(parts) : json_null(),
                             "inputs", parts->inputs, "stages", parts->stages, "memory", memory,
                             "params", parts->params, "threads", parts->threads);
    if (!rest)
        return NULL;
    int r = json_object_update_new(result, rest);
    return r < 0 ? NULL : STEAL_PTR(result);
}
