/* See pipeline_key.h. */
#include "worker/stage/pipeline_key.h"

#include <string.h>

/* Parameters that a stage looks at and none before it does. One that begins to look at another must
 * say so here, or a resumed task would not notice its change. */
static const struct {
    const char *name;
    const char *params[5];
} stages[STAGE_COUNT] = {
    [STAGE_SURVEY_PRE] = {"survey-pre", {"channel"}},
    [STAGE_SURVEY_POST] = {"survey-post", {"channel"}},
    [STAGE_SEARCH] = {"search", {"angle_range", "scale_min", "scale_max"}},
    [STAGE_REFINE] = {"refine", {"model", "seed"}},
    [STAGE_VERIFY] = {"verify", {"max_residual", "min_tiles"}},
    [STAGE_SCALE] = {"scale", {"scale_percentile", "manual_scale"}},
    [STAGE_WARP] = {"warp", {"interpolation", "pad", "compression", "format", "difference"}},
    [STAGE_QC] = {"qc", {NULL}},
};

/* Of these, what chooses among scales and changes no count and no pixel of the aligned picture. */
static bool chooses_scale(const char *name) {
    return strcmp(name, "scale_percentile") == 0 || strcmp(name, "manual_scale") == 0;
}

static bool is_asked(const char *name, enum pipeline_key_use use) {
    return use == PIPELINE_KEY_OWN || (!chooses_scale(name) && (use == PIPELINE_KEY_SHARED ||
                                                                strcmp(name, "compression") != 0));
}

const char *pipeline_key_stage_name(enum stage stage) { return stages[stage].name; }

static bool is_survey(enum stage stage) { return stage <= STAGE_SURVEY_POST; }

/* From the map on, it alone matters, and not how it was found. */
static bool starts_from_map(enum stage stage) {
    return stage == STAGE_SCALE || stage == STAGE_WARP;
}

/* NULL: out of memory, here and below. */
static json_t *relevant_params(const struct pipeline *pipeline, enum stage stage,
                               enum pipeline_key_use use) {
    CLEANUP_JSON json_t *params = json_object();
    int first = is_survey(stage) ? (int)stage : starts_from_map(stage) ? STAGE_SCALE : 0;
    for (int s = first; s <= (int)stage; s++)
        for (size_t i = 0; i < ARRAY_LEN(stages[s].params) && stages[s].params[i]; i++) {
            const char *name = stages[s].params[i];
            if (!is_asked(name, use))
                continue;
            if (json_object_set(params, name, json_object_get(pipeline->task->params_json, name)) <
                0)
                return NULL;
        }
    return STEAL_PTR(params);
}

/* A survey depends on its own image only. */
static json_t *relevant_inputs(const struct pipeline *pipeline, enum stage stage) {
    json_t *inputs = json_array();
    for (int i = 0; i < 2; i++)
        if (!is_survey(stage) || i == (int)stage)
            json_array_append_new(inputs, json_pack("[I,I]", (json_int_t)pipeline->inputs[i].size,
                                                    (json_int_t)pipeline->inputs[i].mtime_ns));
    return inputs;
}

static json_t *signal_of(const struct pipeline *pipeline, enum stage survey) {
    return json_object_get(pipeline->done[survey].object, "signal");
}

static json_t *results_before(const struct pipeline *pipeline, enum stage stage,
                              enum pipeline_key_use use) {
    const json_t *map = pipeline->done[STAGE_VERIFY].object;
    if (starts_from_map(stage))
        return json_pack(
            "[O?,O?,O?,O?,O?]", json_object_get(map, "post_to_pre"), json_object_get(map, "grid"),
            signal_of(pipeline, STAGE_SURVEY_PRE), signal_of(pipeline, STAGE_SURVEY_POST),
            stage == STAGE_WARP && use == PIPELINE_KEY_OWN ? pipeline->done[STAGE_SCALE].object
                                                           : NULL);
    json_t *before = json_array();
    for (int s = 0; s < (int)stage && !is_survey(stage); s++) {
        char hash[CHECKPOINT_KEY_BYTES];
        json_array_append_new(before, json_string(checkpoint_key(pipeline->done[s].object, hash)));
    }
    return before;
}

const char *pipeline_key(const struct pipeline *pipeline, enum stage stage,
                         enum pipeline_key_use use, char key[CHECKPOINT_KEY_BYTES]) {
    CLEANUP_JSON json_t *params = relevant_params(pipeline, stage, use);
    char method[PARAMS_FINGERPRINT_BYTES];
    CLEANUP_JSON json_t *all =
        json_pack("{s:s,s:s,s:O,s:o,s:o}", "stage", stages[stage].name, "method",
                  params_fingerprint(params, method), "params", params, "inputs",
                  relevant_inputs(pipeline, stage), "before", results_before(pipeline, stage, use));
    key[0] = '\0';
    return all ? checkpoint_key(all, key) : key;
}

const char *pipeline_key_difference(const struct pipeline *pipeline,
                                    const struct background_scale_difference *difference,
                                    char key[CHECKPOINT_KEY_BYTES]) {
    char aligned[CHECKPOINT_KEY_BYTES];
    CLEANUP_JSON json_t *all =
        json_pack("{s:s,s:s,s:f}", "aligned",
                  pipeline_key(pipeline, STAGE_WARP, PIPELINE_KEY_SHARED, aligned), "kind",
                  difference->kind, "scale", difference->scale);
    key[0] = '\0';
    return all ? checkpoint_key(all, key) : key;
}
