/* What is done when, and what need not be done again; see pipeline.h. What a stage does stands in
 * worker/align and worker/output; what is written at the end, in pipeline_finish.c. */
#include "worker/stage/pipeline.h"

#include "common/atomic_file.h"
#include "common/clock.h"
#include "common/footprint.h"
#include "common/units.h"
#include "worker/memory/tracked.h"
#include "worker/output/warp.h"
#include "worker/qc/reduced.h"
#include "worker/stage/disk_space.h"
#include "worker/stage/memory_report.h"
#include "worker/stage/pipeline_finish.h"
#include "worker/stage/pipeline_key.h"
#include "worker/stage/pipeline_qc.h"
#include "worker/stage/pipeline_state.h"
#include "worker/stage/shared_stage.h"

#include <errno.h>
#include <string.h>

struct stage_row {
    const char *name;
    double share; /* of the task's time, measured */
    int (*run)(struct pipeline *pipeline, json_t **ret, struct failure *failure);
};

/* With the reduced image that the pictures are drawn from: of all files that a survey leaves it
 * alone stays. */
static int run_survey(struct pipeline *pipeline, const char *which, json_t **ret,
                      struct failure *failure) {
    CLEANUP_JSON json_t *survey = NULL;
    int r = align_survey(&pipeline->context, which, &survey, failure);
    if (r == 0)
        r = reduced_make(&pipeline->context, which, survey, failure);
    if (r == 0)
        *ret = STEAL_PTR(survey);
    return r;
}

static int run_survey_pre(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    return run_survey(pipeline, "pre", ret, failure);
}

static int run_survey_post(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    return run_survey(pipeline, "post", ret, failure);
}

static int run_search(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    return align_search(&pipeline->context, pipeline->done[STAGE_SURVEY_PRE].object,
                        pipeline->done[STAGE_SURVEY_POST].object, ret, failure);
}

static int run_refine(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    return align_refine(&pipeline->context, pipeline->done[STAGE_SURVEY_PRE].object,
                        pipeline->done[STAGE_SURVEY_POST].object,
                        pipeline->done[STAGE_SEARCH].object, ret, failure);
}

static int run_verify(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    return align_verify(&pipeline->context, pipeline->done[STAGE_SURVEY_PRE].object,
                        pipeline->done[STAGE_SURVEY_POST].object,
                        pipeline->done[STAGE_SEARCH].object, pipeline->done[STAGE_REFINE].object,
                        ret, failure);
}

static const struct stage_row rows[STAGE_COUNT] = {
    [STAGE_SURVEY_PRE] = {"survey-pre", 0.08, run_survey_pre},
    [STAGE_SURVEY_POST] = {"survey-post", 0.08, run_survey_post},
    [STAGE_SEARCH] = {"search", 0.25, run_search},
    [STAGE_REFINE] = {"refine", 0.14, run_refine},
    [STAGE_VERIFY] = {"verify", 0.08, run_verify},
    [STAGE_SCALE] = {"scale", 0.05, pipeline_finish_scale},
    [STAGE_WARP] = {"warp", 0.28, pipeline_finish_warp},
    [STAGE_QC] = {"qc", 0.04, pipeline_qc},
};

/* --- resuming --- */

static int checkpoint_path(const struct pipeline *pipeline, enum stage stage, char **ret,
                           struct failure *failure) {
    if (asprintf(ret, "%s/%s.json", pipeline->checkpoints, rows[stage].name) >= 0)
        return 0;
    *ret = NULL;
    return failure_set(failure, -ENOMEM, "no memory for a path below %s", pipeline->checkpoints);
}

/* Loads the stage's checkpoint to done[stage]; one that is not right is told of and counts as none.
 */
static bool load(struct pipeline *pipeline, enum stage stage) {
    CLEANUP_FREE char *path = NULL;
    struct failure failure = {0};
    char key[CHECKPOINT_KEY_BYTES];
    if (checkpoint_path(pipeline, stage, &path, NULL) < 0)
        return false;
    int r = checkpoint_load(path, rows[stage].name,
                            pipeline_key(pipeline, stage, PIPELINE_KEY_OWN, key),
                            &pipeline->done[stage], &failure);
    if (r < 0 && r != -ENOENT)
        pipeline_say(pipeline, "%s is done anew: %s", rows[stage].name, failure.text);
    return r == 0;
}

/* Scale and warp have their own ways to share (pipeline_shared.h). */
static bool is_shared_whole(const struct pipeline *pipeline, enum stage stage) {
    return pipeline->task->shared && stage <= STAGE_VERIFY;
}

/* Where variants of the pair have the stage's result. The caller owns it. */
static char *shared_folder(const struct pipeline *pipeline, enum stage stage) {
    char key[CHECKPOINT_KEY_BYTES];
    return shared_stage_folder(pipeline->task->shared, rows[stage].name,
                               pipeline_key(pipeline, stage, PIPELINE_KEY_SHARED, key));
}

static char *shared_path(const struct pipeline *pipeline, enum stage stage) {
    CLEANUP_FREE char *folder = shared_folder(pipeline, stage);
    char *path = NULL;
    return folder && asprintf(&path, "%s/" SHARED_STAGE_CHECKPOINT, folder) >= 0 ? path : NULL;
}

/* As load, of what another variant made. */
static bool load_shared(struct pipeline *pipeline, enum stage stage) {
    char key[CHECKPOINT_KEY_BYTES];
    if (!is_shared_whole(pipeline, stage))
        return false;
    CLEANUP_FREE char *path = shared_path(pipeline, stage);
    return path && checkpoint_load(path, rows[stage].name,
                                   pipeline_key(pipeline, stage, PIPELINE_KEY_OWN, key),
                                   &pipeline->done[stage], NULL) == 0;
}

static bool pair_failed(const struct pipeline *pipeline) {
    const char *status =
        json_string_value(json_object_get(pipeline->done[STAGE_VERIFY].object, "status"));
    return status && strcmp(status, "failed") == 0;
}

static bool outputs_stand(const struct pipeline *pipeline) {
    return checkpoint_files_intact(pipeline->done[STAGE_WARP].files, pipeline->task->out, NULL);
}

static bool pictures_stand(const struct pipeline *pipeline) {
    return checkpoint_files_intact(pipeline->done[STAGE_QC].files, pipeline->task->out, NULL);
}

/* Looks ahead: up to which stage do the checkpoints stand? The surveys' level and scratch files are
 * removed at the end of a task and needed only while something later is still to be done. */
static void look_ahead(struct pipeline *pipeline) {
    int stage = 0;
    while (stage < STAGE_COUNT &&
           (load(pipeline, (enum stage)stage) || load_shared(pipeline, (enum stage)stage))) {
        if (stage == STAGE_VERIFY && pair_failed(pipeline))
            stage = STAGE_QC - 1; /* nothing comes between */
        else if (stage == STAGE_WARP && !outputs_stand(pipeline))
            break;
        else if (stage == STAGE_QC && !pictures_stand(pipeline))
            break;
        stage++;
    }
    pipeline->levels_needed = stage <= STAGE_VERIFY;
    pipeline->pixels_needed = stage < STAGE_COUNT;
    pipeline->reduced_needed = stage < STAGE_COUNT;
    for (int s = 0; s < STAGE_COUNT; s++) /* each is loaded again when its turn comes */
        checkpoint_clear(&pipeline->done[s]);
}

static bool survey_files_stand(struct pipeline *pipeline, enum stage stage) {
    bool is_pre = stage == STAGE_SURVEY_PRE;
    const json_t *files = pipeline->done[stage].files;
    const char *folder = pipeline->survey_folders[stage];
    struct image *image = is_pre ? pipeline->context.pre : pipeline->context.post;
    if (pipeline->levels_needed &&
        !checkpoint_files_intact(files, folder,
                                 is_pre ? PIPELINE_PRE_LEVELS : PIPELINE_POST_LEVELS))
        return false;
    if (pipeline->reduced_needed &&
        !checkpoint_files_intact(files, folder,
                                 is_pre ? PIPELINE_PRE_REDUCED : PIPELINE_POST_REDUCED))
        return false;
    if (!pipeline->pixels_needed || !image_get_info(image)->needs_scratch)
        return true;
    const char *name = is_pre ? PIPELINE_PRE_SCRATCH : PIPELINE_POST_SCRATCH;
    CLEANUP_FREE char *path = NULL;
    struct failure failure = {0};
    if (!checkpoint_files_intact(files, folder, name) || asprintf(&path, "%s/%s", folder, name) < 0)
        return false;
    return image_attach_scratch(image, path, &failure) == 0;
}

static bool is_right(struct pipeline *pipeline, enum stage stage) {
    if (stage == STAGE_WARP)
        return outputs_stand(pipeline);
    if (stage == STAGE_QC)
        return pictures_stand(pipeline);
    return stage > STAGE_SURVEY_POST || survey_files_stand(pipeline, stage);
}

static bool stands(struct pipeline *pipeline, enum stage stage) {
    if (!load(pipeline, stage))
        return false;
    bool right = is_right(pipeline, stage);
    if (!right) {
        pipeline_say(pipeline, "%s is done anew: its files are gone or changed", rows[stage].name);
        checkpoint_clear(&pipeline->done[stage]);
    }
    return right;
}

/* As stands, of what another variant made; noted as this task's own too, with where it is from. */
static bool take_shared(struct pipeline *pipeline, enum stage stage) {
    CLEANUP_FREE char *path = NULL;
    char key[CHECKPOINT_KEY_BYTES];
    if (!load_shared(pipeline, stage))
        return false;
    if (!is_right(pipeline, stage)) {
        checkpoint_clear(&pipeline->done[stage]);
        return false;
    }
    pipeline->is_shared[stage] = true;
    json_object_set_new(pipeline->done[stage].measured, "shared", json_true());
    if (checkpoint_path(pipeline, stage, &path, NULL) == 0) /* unnoted, it is taken again */
        (void)!checkpoint_save(path, rows[stage].name,
                               pipeline_key(pipeline, stage, PIPELINE_KEY_OWN, key),
                               &pipeline->done[stage], NULL);
    return true;
}

/* --- running --- */

/* The files that belong to a stage's result; warp and qc list their own. */
static int list_files(struct pipeline *pipeline, enum stage stage, json_t *files,
                      struct failure *failure) {
    if (stage > STAGE_SURVEY_POST)
        return 0;
    bool is_pre = stage == STAGE_SURVEY_PRE;
    const char *folder = pipeline->survey_folders[stage];
    struct image *image = is_pre ? pipeline->context.pre : pipeline->context.post;
    int r = checkpoint_add_file(files, folder, is_pre ? PIPELINE_PRE_LEVELS : PIPELINE_POST_LEVELS,
                                failure);
    if (r == 0)
        r = checkpoint_add_file(files, folder,
                                is_pre ? PIPELINE_PRE_REDUCED : PIPELINE_POST_REDUCED, failure);
    if (r == 0 && image_get_info(image)->needs_scratch)
        r = checkpoint_add_file(files, folder,
                                is_pre ? PIPELINE_PRE_SCRATCH : PIPELINE_POST_SCRATCH, failure);
    return r;
}

static int save(struct pipeline *pipeline, enum stage stage, json_t *object, double wall_s,
                struct failure *failure) {
    struct checkpoint *done = &pipeline->done[stage];
    CLEANUP_JSON json_t *files = json_array();
    json_t *own = json_object_get(object, "files"); /* warp, qc */
    if (own)
        json_array_extend(files, own);
    int r = list_files(pipeline, stage, files, failure);
    if (r < 0)
        return r;
    *done = (struct checkpoint){
        .object = json_incref(object),
        .files = json_incref(files),
        .measured = json_pack("{s:f,s:I,s:I,s:o*,s:O*,s:O*,s:O*,s:O*}", "wall_s", wall_s,
                              "peak_bytes", (json_int_t)tracked_take_stage_peak(), "rss_bytes",
                              (json_int_t)pipeline_peak_rss(), "shared",
                              pipeline->is_shared[stage] ? json_true() : NULL, /* a part of it */
                              "tiles", json_object_get(object, "tiles"), /* of warp, as the rest */
                              "tiles_resumed", json_object_get(object, "tiles_resumed"),
                              "pre_reads", json_object_get(object, "pre_reads"), "post_reads",
                              json_object_get(object, "post_reads")),
    };
    CLEANUP_FREE char *path = NULL;
    r = checkpoint_path(pipeline, stage, &path, failure);
    if (r == 0)
        r = checkpoint_save(path, rows[stage].name, pipeline->key, done, failure);
    return r;
}

static int run_stage(struct pipeline *pipeline, enum stage stage, struct failure *failure) {
    (void)tracked_take_stage_peak(); /* what came before is not this stage's */
    int64_t start_ns = clock_monotonic_ns();
    CLEANUP_JSON json_t *object = NULL;
    (void)pipeline_key(pipeline, stage, PIPELINE_KEY_OWN, pipeline->key);
    int r = rows[stage].run(pipeline, &object, failure);
    if (r < 0)
        return r;
    return save(pipeline, stage, object, (double)(clock_monotonic_ns() - start_ns) / 1e9, failure);
}

/* Makes it for all variants, or takes it from the one that made it meanwhile. The claim ends with
 * the descriptor. */
static int share_stage(struct pipeline *pipeline, enum stage stage, struct failure *failure) {
    CLEANUP_FREE char *folder = shared_folder(pipeline, stage);
    CLEANUP_FREE char *path = shared_path(pipeline, stage);
    CLEANUP_CLOSE int claim = -1;
    if (!folder || !path)
        return failure_set(failure, -ENOMEM, "no memory for a path below %s",
                           pipeline->task->shared);
    int r = shared_stage_claim(folder, pipeline->context.progress, &claim, failure);
    if (r < 0 || take_shared(pipeline, stage))
        return r;
    r = run_stage(pipeline, stage, failure);
    return r < 0 ? r
                 : checkpoint_save(path, rows[stage].name, pipeline->key, &pipeline->done[stage],
                                   failure);
}

/* For the log. */
static void log_stage_end(const struct pipeline *pipeline, enum stage stage, bool resumed) {
    const json_t *measured = pipeline->done[stage].measured;
    char time[UNITS_TEXT_BYTES], size[UNITS_TEXT_BYTES];
    double wall_s = json_number_value(json_object_get(measured, "wall_s"));
    json_int_t peak_bytes = json_integer_value(json_object_get(measured, "peak_bytes"));
    if (resumed)
        (void)fprintf(stderr, "%-12s was done before%s\n", rows[stage].name,
                      json_object_get(measured, "shared") ? ", by another variant" : "");
    else
        (void)fprintf(stderr, "%-12s %s, buffers of %s\n", rows[stage].name,
                      units_format_duration((int64_t)(1e3 * wall_s), time),
                      units_format_size((uint64_t)peak_bytes, size));
    json_int_t taken = json_integer_value(json_object_get(measured, "tiles_resumed"));
    if (!resumed && taken > 0)
        (void)fprintf(stderr, "%-12s %lld of %lld tiles were done before\n", rows[stage].name,
                      (long long)taken,
                      (long long)json_integer_value(json_object_get(measured, "tiles")));
}

static int tell_stage_end(struct pipeline *pipeline, enum stage stage, bool resumed,
                          struct failure *failure) {
    json_t *line = json_pack("{s:s,s:s,s:b}", "event", "stage_end", "stage", rows[stage].name,
                             "resumed", resumed);
    json_t *entry = json_pack("{s:s,s:b}", "stage", rows[stage].name, "resumed", resumed);
    if (json_object_update(line, pipeline->done[stage].measured) < 0 ||
        json_object_update(entry, pipeline->done[stage].measured) < 0 ||
        json_array_append(pipeline->stages, entry) < 0) {
        json_decref(line);
        json_decref(entry);
        return failure_set(failure, -ENOMEM, "no memory to report the end of %s", rows[stage].name);
    }
    json_decref(entry);
    if (resumed) /* the time it took then is no time of this attempt */
        json_object_set_new(line, "wall_s", json_real(0));
    log_stage_end(pipeline, stage, resumed);
    memory_report_send(pipeline->report);
    (void)report_send(pipeline->report, line); /* a vanished supervisor ends its workers itself */
    return 0;
}

static int run_stages(struct pipeline *pipeline, struct failure *failure) {
    double start = 0;
    for (int s = 0; s < STAGE_COUNT; s++) {
        enum stage stage = (enum stage)s;
        tracked_set_stage(rows[s].name);
        progress_begin(pipeline->context.progress, rows[s].name, start, start + rows[s].share);
        start += rows[s].share;
        bool resumed = stands(pipeline, stage) || take_shared(pipeline, stage);
        int r = progress_set(pipeline->context.progress, 0); /* stop between stages too */
        if (r == 0 && !resumed && is_shared_whole(pipeline, stage)) {
            r = share_stage(pipeline, stage, failure);
            resumed = pipeline->is_shared[stage];
        } else if (r == 0 && !resumed) {
            r = run_stage(pipeline, stage, failure);
        }
        if (r == 0)
            r = tell_stage_end(pipeline, stage, resumed, failure);
        if (r < 0)
            return r;
        if (stage == STAGE_VERIFY && pair_failed(pipeline)) {
            for (int skipped = STAGE_SCALE; skipped < STAGE_QC; skipped++)
                start += rows[skipped].share;
            s = STAGE_QC - 1;
        }
    }
    return 0;
}

/* --- the task --- */

static int set_budget(const struct align_task *task, struct failure *failure) {
    if (task->memory_bytes < FOOTPRINT_LEAST_CAP_BYTES) {
        char given[UNITS_TEXT_BYTES], least[UNITS_TEXT_BYTES];
        return failure_set(failure, -ENOMEM,
                           "a memory cap of %s is too small to align anything; give at least "
                           "--worker-memory %s",
                           units_format_size(task->memory_bytes, given),
                           units_format_size(FOOTPRINT_LEAST_CAP_BYTES, least));
    }
    tracked_set_budget(task->memory_bytes - FOOTPRINT_BASE_BYTES);
    return 0;
}

static int open_inputs(struct pipeline *pipeline, struct failure *failure) {
    const char *const paths[2] = {pipeline->task->pre, pipeline->task->post};
    struct image **const images[2] = {&pipeline->context.pre, &pipeline->context.post};
    for (int i = 0; i < 2; i++) {
        pipeline->inputs[i].path = paths[i];
        /* looked at before it is opened: a change in between is seen at the end */
        int r = pipeline_look_at_input(&pipeline->inputs[i], failure);
        if (r == 0)
            r = image_open(paths[i], images[i], failure);
        if (r < 0)
            return r;
    }
    return 0;
}

static int choose_survey_folders(struct pipeline *pipeline, struct failure *failure) {
    for (int i = 0; i < 2; i++) {
        enum stage stage = (enum stage)i;
        pipeline->survey_folders[i] =
            pipeline->task->shared ? shared_folder(pipeline, stage) : strdup(pipeline->checkpoints);
        if (!pipeline->survey_folders[i])
            return failure_set(failure, -ENOMEM, "no memory for a path below %s",
                               pipeline->checkpoints);
    }
    pipeline->context.pre_folder = pipeline->survey_folders[STAGE_SURVEY_PRE];
    pipeline->context.post_folder = pipeline->survey_folders[STAGE_SURVEY_POST];
    return 0;
}

static int prepare(struct pipeline *pipeline, struct failure *failure) {
    int r = set_budget(pipeline->task, failure);
    if (r == 0)
        r = open_inputs(pipeline, failure);
    if (r == 0 && (asprintf(&pipeline->checkpoints, "%s/checkpoints", pipeline->task->out) < 0)) {
        pipeline->checkpoints = NULL;
        r = failure_set(failure, -ENOMEM, "no memory for a path below %s", pipeline->task->out);
    }
    if (r == 0)
        r = atomic_file_make_folders(pipeline->checkpoints, failure);
    if (r == 0)
        r = choose_survey_folders(pipeline, failure);
    pipeline->stages = json_array();
    if (r == 0 && !pipeline->stages)
        r = failure_set(failure, -ENOMEM, "no memory for the stages' list");
    return r;
}

static void clear(struct pipeline *pipeline) {
    for (int s = 0; s < STAGE_COUNT; s++)
        checkpoint_clear(&pipeline->done[s]);
    image_close(pipeline->context.pre);
    image_close(pipeline->context.post);
    progress_close(pipeline->context.progress);
    json_decref(pipeline->stages);
    free(pipeline->checkpoints);
    for (int i = 0; i < 2; i++)
        free(pipeline->survey_folders[i]);
}

int pipeline_run(const struct align_task *task, struct report *report, struct failure *failure) {
    struct pipeline pipeline = {
        .task = task,
        .report = report,
        .context = {.params = &task->params,
                    .threads = task->threads,
                    .progress = progress_open(report)},
    };
    int r = pipeline.context.progress ? prepare(&pipeline, failure)
                                      : failure_set(failure, -ENOMEM, "no memory to begin");
    memory_report_watch(report);
    if (r == 0) {
        look_ahead(&pipeline);
        r = run_stages(&pipeline, failure);
    }
    memory_report_watch(NULL);
    if (r < 0) /* perhaps for want of memory */
        memory_report_send(report);
    if (r == 0)
        r = pipeline_finish(&pipeline, failure);
    if (r == -ENOSPC || r == -EDQUOT)
        disk_space_explain(task->out, pipeline_finish_disk_bytes(&pipeline), failure);
    clear(&pipeline);
    return r;
}

bool pipeline_is_environment(int code) {
    static const int codes[] = {-ENOSPC,    -EDQUOT, -EIO,    -ENOMEM, -EACCES, -EPERM,
                                -EROFS,     -ENOENT, -EMFILE, -ENFILE, -EAGAIN, -ESTALE,
                                -ETIMEDOUT, -EBUSY,  -ENXIO,  -ENODEV, -EPIPE,  -EFBIG};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i] == code)
            return true;
    return false;
}
