/* Order matters here: inputs seen unchanged, old result.json and transform.json away, pictures to
 * their names, outdated pictures away, the JSON files, then the report. A death in between leaves
 * no result.json, and the next run does the rest. See pipeline_finish.h. */
#include "worker/stage/pipeline_finish.h"

#include "common/atomic_file.h"
#include "common/footprint.h"
#include "worker/align/transform.h"
#include "worker/output/result_file.h"
#include "worker/output/warp.h"
#include "worker/stage/pipeline_shared.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

void pipeline_say(const struct pipeline *pipeline, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "%s: ", *pipeline->task->name ? pipeline->task->name : "align");
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

uint64_t pipeline_peak_rss(void) {
    CLEANUP_FCLOSE FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kib = 0;
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmHWM: %llu", &kib) == 1)
            break;
    return (uint64_t)kib * 1024;
}

/* --- inputs --- */

int pipeline_look_at_input(struct pipeline_input *input, struct failure *failure) {
    struct stat status;
    if (stat(input->path, &status) < 0)
        return failure_set_errno(failure, -errno, "cannot open %s", input->path);
    input->size = (uint64_t)status.st_size;
    input->mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return 0;
}

static int check_inputs(const struct pipeline *pipeline, struct failure *failure) {
    for (int i = 0; i < 2; i++) {
        const struct pipeline_input *before = &pipeline->inputs[i];
        struct pipeline_input now = {.path = before->path};
        int r = pipeline_look_at_input(&now, failure);
        if (r < 0)
            return r;
        if (now.size != before->size || now.mtime_ns != before->mtime_ns)
            return failure_set(failure, -ESTALE,
                               "%s changed while it was read (%llu bytes before, %llu now); run "
                               "again when it is complete",
                               before->path, (unsigned long long)before->size,
                               (unsigned long long)now.size);
    }
    return 0;
}

static json_t *describe_inputs(const struct pipeline *pipeline) {
    json_t *inputs = json_array();
    for (int i = 0; i < 2; i++) {
        const struct pipeline_input *input = &pipeline->inputs[i];
        const json_t *identity = json_object_get(
            pipeline->done[i == 0 ? STAGE_SURVEY_PRE : STAGE_SURVEY_POST].object, "identity");
        const char *hash = json_string_value(json_object_get(identity, "hash"));
        json_array_append_new(inputs,
                              json_pack("{s:s,s:I,s:I,s:s}", "path", input->path, "size",
                                        (json_int_t)input->size, "mtime_ns",
                                        (json_int_t)input->mtime_ns, "hash", hash ? hash : ""));
    }
    return inputs;
}

/* --- the stages --- */

/* The map and the signals in the form the renderer takes; `task` points into this. */
struct render_inputs {
    struct transform transform;
    struct signal pre, post;
    struct tile_render_task task;
};

static int read_render_inputs(const struct pipeline *pipeline, struct render_inputs *ret,
                              struct failure *failure) {
    const json_t *verify = pipeline->done[STAGE_VERIFY].object;
    int r = transform_read(verify, "the verification's result", &ret->transform, failure);
    if (r == 0)
        r = signal_from_json(json_object_get(pipeline->done[STAGE_SURVEY_PRE].object, "signal"),
                             &ret->pre, failure);
    if (r == 0)
        r = signal_from_json(json_object_get(pipeline->done[STAGE_SURVEY_POST].object, "signal"),
                             &ret->post, failure);
    if (r < 0)
        return r;
    ret->task = (struct tile_render_task){
        .pre = pipeline->context.pre,
        .post = pipeline->context.post,
        .post_to_pre = &ret->transform,
        .pre_signal = &ret->pre,
        .post_signal = &ret->post,
        .interpolation = pipeline->task->params.interpolation,
        .pad = (uint32_t)pipeline->task->params.pad,
    };
    return tile_render_check(&ret->task, failure);
}

int pipeline_finish_scale(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    struct render_inputs inputs;
    int r = read_render_inputs(pipeline, &inputs, failure);
    if (r < 0)
        return r;
    struct background_counts *counts = NULL;
    r = pipeline_shared_count(pipeline, &inputs.task, &counts, failure);
    if (r == 0)
        r = background_scale_conclude(counts, &pipeline->task->params, ret, failure);
    background_counts_free(counts);
    return r;
}

static int remove_file(const char *folder, const char *name, struct failure *failure) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return failure_set(failure, -ENOMEM, "no memory for a path below %s", folder);
    if (unlink(path) < 0 && errno != ENOENT)
        return failure_set_errno(failure, -errno, "cannot remove the outdated %s", path);
    return 0;
}

static int remove_old_results(const struct pipeline *pipeline, struct failure *failure) {
    int r = remove_file(pipeline->task->out, "result.json", failure);
    return r < 0 ? r : remove_file(pipeline->task->out, "transform.json", failure);
}

/* Gives the pictures their names and removes those that do not belong to this set. */
static int publish(const struct pipeline *pipeline, struct warp *warp, const json_t *names,
                   struct failure *failure) {
    int r = check_inputs(pipeline, failure);
    if (r == 0)
        r = remove_old_results(pipeline, failure);
    if (r < 0) {
        warp_abandon(warp);
        return r;
    }
    r = warp_publish(warp, failure);
    return r < 0 ? r : warp_remove_others(pipeline->task->out, names, failure);
}

/* How often the image was decoded, on average over its pixels. */
static double reads(const struct image *image, uint64_t bytes) {
    const struct image_info *info = image_get_info(image);
    return (double)bytes / ((double)info->width * info->height * info->samples * info->bits / 8);
}

int pipeline_finish_warp(struct pipeline *pipeline, json_t **ret, struct failure *failure) {
    struct render_inputs inputs;
    int r = read_render_inputs(pipeline, &inputs, failure);
    if (r < 0)
        return r;
    const struct params *params = &pipeline->task->params;
    struct background_scale_difference differences[BACKGROUND_SCALE_MAX_DIFFERENCES];
    size_t n = params->has_difference
                   ? background_scale_differences(pipeline->done[STAGE_SCALE].object, differences)
                   : 0;
    struct picture_set set = picture_set_make(params->format, &inputs.task, differences, n);
    CLEANUP_JSON json_t *names = picture_set_names(&set);
    CLEANUP_JSON json_t *files = json_array();
    if (!names || !files)
        return failure_set(failure, -ENOMEM, "no memory for the outputs' names");
    CLEANUP(pipeline_shared_pictures_close) struct pipeline_shared_pictures shared;
    r = pipeline_shared_pictures_open(pipeline, &inputs.task, &set, &shared, failure);
    if (r < 0)
        return r;
    inputs.task.ready = shared.aligned;
    const struct fits_export_source source = {.name = pipeline->task->name,
                                              .verify = pipeline->done[STAGE_VERIFY].object,
                                              .scale = pipeline->done[STAGE_SCALE].object,
                                              .params = pipeline->task->params_json,
                                              .frame = image_get_info(pipeline->context.post),
                                              .pre = pipeline->task->pre,
                                              .post = pipeline->task->post,
                                              .pad = inputs.task.pad};
    struct warp_options options = {.task = &inputs.task,
                                   .set = &set,
                                   .ready = shared.ready,
                                   .source = &source,
                                   .compression = params->compression,
                                   .folder = pipeline->task->out,
                                   .key = pipeline->key,
                                   .threads = pipeline->task->threads,
                                   .progress = pipeline->context.progress};
    CLEANUP_FREE char *journal = NULL;
    if (asprintf(&journal, "%s/%s", pipeline->task->out, PIPELINE_WARP_JOURNAL) < 0)
        return failure_set(failure, -ENOMEM, "no memory for a path below %s", pipeline->task->out);
    options.journal = journal;
    struct warp *warp = NULL;
    r = warp_run(&options, &warp, failure);
    if ((r == -ENOSPC || r == -EDQUOT) && shared.n_ahead > 0) {
        pipeline_shared_pictures_drop_ahead(&set, &shared);
        r = warp_run(&options, &warp, failure);
    }
    if (r < 0)
        return r;
    struct warp_counts counts = warp_get_counts(warp);
    if (set.n == 0)
        counts.overlap_pixels = shared.overlap_pixels;
    r = publish(pipeline, warp, names, failure);
    if (r == 0)
        pipeline_shared_pictures_give(pipeline, &set, &shared, counts.overlap_pixels);
    for (size_t i = 0; i < json_array_size(names) && r == 0; i++)
        r = checkpoint_add_file(files, pipeline->task->out,
                                json_string_value(json_array_get(names, i)), failure);
    if (r < 0)
        return r;
    *ret = json_pack("{s:I,s:I,s:I,s:f,s:f,s:O}", "overlap_pixels",
                     (json_int_t)counts.overlap_pixels, "tiles", (json_int_t)counts.tiles,
                     "tiles_resumed", (json_int_t)counts.tiles_resumed, "pre_reads",
                     reads(pipeline->context.pre, counts.pre_read_bytes), "post_reads",
                     reads(pipeline->context.post, counts.post_read_bytes), "files", files);
    return *ret ? 0 : failure_set(failure, -ENOMEM, "no memory for the warp's result");
}

/* --- the end --- */

static int write_json(const struct pipeline *pipeline, const char *name, json_t *value,
                      struct failure *failure) {
    CLEANUP_JSON json_t *owned = value;
    CLEANUP_FREE char *path = NULL;
    if (!owned || asprintf(&path, "%s/%s", pipeline->task->out, name) < 0)
        return failure_set(failure, -ENOMEM, "no memory to write %s", name);
    return atomic_file_write_json(path, owned, failure);
}

static int write_results(const struct pipeline *pipeline, json_t *inputs, struct failure *failure) {
    const json_t *verify = pipeline->done[STAGE_VERIFY].object;
    struct result_file_parts parts = {
        .task = pipeline->task->name,
        .verify = verify,
        .scale = pipeline->done[STAGE_SCALE].object,
        .warp = pipeline->done[STAGE_WARP].object,
        .pre_survey = pipeline->done[STAGE_SURVEY_PRE].object,
        .post_survey = pipeline->done[STAGE_SURVEY_POST].object,
        .inputs = inputs,
        .stages = pipeline->stages,
        .params = pipeline->task->params_json,
        .threads = pipeline->task->threads,
        .cap_bytes = pipeline->task->memory_bytes,
    };
    int r = write_json(pipeline, "transform.json",
                       result_file_transform(verify, image_get_info(pipeline->context.pre),
                                             image_get_info(pipeline->context.post)),
                       failure);
    if (r < 0)
        return r;
    return write_json(pipeline, "result.json", result_file_result(&parts), failure);
}

/* Level and scratch files are large, and of no use once the pair is done: the JSON checkpoints
 * alone let a later run make the pictures again. Those that variants share are the supervisor's to
 * remove, which knows who still needs them. */
static int remove_survey_files(const struct pipeline *pipeline, struct failure *failure) {
    static const char *const names[] = {PIPELINE_PRE_LEVELS, PIPELINE_POST_LEVELS,
                                        PIPELINE_PRE_SCRATCH, PIPELINE_POST_SCRATCH};
    int r = remove_file(pipeline->task->out, PIPELINE_WARP_JOURNAL, failure);
    for (size_t i = 0; i < ARRAY_LEN(names) && r == 0 && !pipeline->task->shared; i++)
        r = remove_file(pipeline->checkpoints, names[i], failure);
    return r;
}

static int report_result(const struct pipeline *pipeline, json_t *inputs, struct failure *failure) {
    CLEANUP_JSON json_t *outputs = json_array();
    const json_t *verify = pipeline->done[STAGE_VERIFY].object;
    if (pipeline->done[STAGE_WARP].files)
        json_array_extend(outputs, pipeline->done[STAGE_WARP].files);
    int r = checkpoint_add_file(outputs, pipeline->task->out, "transform.json", failure);
    if (r == 0)
        r = checkpoint_add_file(outputs, pipeline->task->out, "result.json", failure);
    if (r < 0)
        return r;
    (void)fprintf(stderr, "%s: %s\n", json_string_value(json_object_get(verify, "status")),
                  json_string_value(json_object_get(verify, "reason"))); /* the log */
    r = report_send(pipeline->report,
                    json_pack("{s:s,s:O,s:O?,s:O,s:O,s:o}", "event", "result", "status",
                              json_object_get(verify, "status"), "reason",
                              json_object_get(verify, "reason"), "inputs", inputs, "outputs",
                              outputs, "peak", result_file_peak()));
    return r < 0 ? failure_set_errno(failure, r, "cannot report the result") : 0;
}

int pipeline_finish(struct pipeline *pipeline, struct failure *failure) {
    CLEANUP_JSON json_t *inputs = describe_inputs(pipeline);
    int r = check_inputs(pipeline, failure);
    if (r == 0 && !pipeline->done[STAGE_WARP].object) { /* failed: no old picture may remain */
        r = remove_old_results(pipeline, failure);
        if (r == 0)
            r = warp_remove_others(pipeline->task->out, NULL, failure);
    }
    if (r == 0)
        r = write_results(pipeline, inputs, failure);
    if (r == 0)
        r = remove_survey_files(pipeline, failure);
    return r < 0 ? r : report_result(pipeline, inputs, failure);
}

uint64_t pipeline_finish_disk_bytes(const struct pipeline *pipeline) {
    struct background_scale_difference differences[BACKGROUND_SCALE_MAX_DIFFERENCES];
    const json_t *scale = pipeline->done[STAGE_SCALE].object;
    size_t n_differences = scale ? background_scale_differences(scale, differences) : 1;
    struct footprint_pair pair = {
        .threads = (uint32_t)pipeline->task->threads,
        .cap_bytes = pipeline->task->memory_bytes,
        .pad = (uint32_t)pipeline->task->params.pad,
        .n_differences = pipeline->task->params.has_difference ? (uint32_t)n_differences : 0,
        .format = pipeline->task->params.format};
    struct footprint_image *const images[2] = {&pair.pre, &pair.post};
    struct image *const opened[2] = {pipeline->context.pre, pipeline->context.post};
    for (int i = 0; i < 2 && opened[i]; i++) {
        const struct image_info *info = image_get_info(opened[i]);
        *images[i] = (struct footprint_image){.width = info->width,
                                              .height = info->height,
                                              .samples = info->samples,
                                              .bits = info->bits,
                                              .scratch = info->needs_scratch};
    }
    return footprint_align_disk(&pair);
}
