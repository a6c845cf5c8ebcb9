/* See pipeline_shared.h. Sharing spares work and is never needed: where a file cannot have a second
 * name (another kernel's sandbox, a file system without links), each variant makes its own. */
#include "worker/stage/pipeline_shared.h"

#include "worker/output/warp.h"
#include "worker/stage/pipeline_finish.h"
#include "worker/stage/pipeline_key.h"
#include "worker/stage/shared_stage.h"

#include <errno.h>

#define COMPRESSION "compression"

static int no_memory(const struct pipeline *pipeline, struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory for a path below %s", pipeline->task->shared);
}

static char *folder_of(const struct pipeline *pipeline, enum stage stage) {
    char key[CHECKPOINT_KEY_BYTES];
    return shared_stage_folder(pipeline->task->shared, pipeline_key_stage_name(stage),
                               pipeline_key_shared(pipeline, stage, key));
}

static char *join(const char *folder, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* ---- the counts ---- */

static int take_counts(struct pipeline *pipeline, const char *path,
                       struct background_counts **ret) {
    int r = background_counts_load(path, ret, NULL);
    pipeline->is_shared[STAGE_SCALE] |= r == 0;
    return r;
}

static int make_counts(const struct pipeline *pipeline, const struct tile_render_task *task,
                       struct background_counts **ret, struct failure *failure) {
    return background_scale_count(task, pipeline->task->threads, pipeline->context.progress, ret,
                                  failure);
}

int pipeline_shared_count(struct pipeline *pipeline, const struct tile_render_task *task,
                          struct background_counts **ret, struct failure *failure) {
    if (!pipeline->task->shared)
        return make_counts(pipeline, task, ret, failure);
    CLEANUP_FREE char *folder = folder_of(pipeline, STAGE_SCALE);
    CLEANUP_FREE char *path = folder ? join(folder, "counts") : NULL;
    CLEANUP_CLOSE int claim = -1;
    if (!path)
        return no_memory(pipeline, failure);
    if (take_counts(pipeline, path, ret) == 0)
        return 0;
    int r = shared_stage_claim(folder, pipeline->context.progress, &claim, failure);
    if (r < 0 || take_counts(pipeline, path, ret) == 0)
        return r;
    r = make_counts(pipeline, task, ret, failure);
    if (r == 0 && (r = background_counts_save(*ret, path, failure)) < 0)
        background_counts_free(STEAL_PTR(*ret));
    return r;
}

/* ---- the picture ---- */

static bool is_alike(const struct image *image, const struct tile_render_task *task) {
    const struct image_info *info = image_get_info(image), *pre = image_get_info(task->pre);
    return info->width == tile_render_canvas_width(task) &&
           info->height == tile_render_canvas_height(task) && info->samples == pre->samples &&
           info->bits == pre->bits && !info->needs_scratch;
}

static json_t *compression_of(const struct pipeline *pipeline) {
    return json_object_get(pipeline->task->params_json, COMPRESSION);
}

/* Its own name first, so that it stays whatever becomes of the other. */
static bool take_picture(struct pipeline *pipeline, const struct tile_render_task *task,
                         struct pipeline_shared_picture *ret) {
    const char *folder = ret->folder;
    char key[CHECKPOINT_KEY_BYTES];
    CLEANUP(checkpoint_clear) struct checkpoint done = {0};
    CLEANUP_FREE char *path = join(folder, SHARED_STAGE_CHECKPOINT);
    CLEANUP_FREE char *from = join(folder, PICTURE_ALIGNED_NAME);
    CLEANUP_FREE char *to = join(pipeline->task->out, PICTURE_ALIGNED_NAME ".tmp");
    struct failure failure = {0};
    struct image *image = NULL;
    if (!path || !from || !to ||
        checkpoint_load(path, pipeline_key_stage_name(STAGE_WARP),
                        pipeline_key_shared(pipeline, STAGE_WARP, key), &done, NULL) < 0 ||
        !checkpoint_files_intact(done.files, folder, PICTURE_ALIGNED_NAME))
        return false;
    bool is_final = json_equal(json_object_get(done.object, COMPRESSION), compression_of(pipeline));
    int r = is_final ? shared_stage_link(from, to, &failure) : 0;
    if (r == 0)
        r = image_open(is_final ? to : from, &image, &failure);
    if (r == 0 && !is_alike(image, task))
        r = failure_set(&failure, -ESTALE, "%s is not the picture that is wanted", from);
    if (r < 0) {
        pipeline_say(pipeline, "the aligned picture of another variant is not used: %s",
                     failure.text);
        image_close(image);
        return false;
    }
    pipeline->is_shared[STAGE_WARP] |= is_final;
    ret->ready = image;
    ret->is_final = is_final;
    return true;
}

int pipeline_shared_picture_open(struct pipeline *pipeline, const struct tile_render_task *task,
                                 struct pipeline_shared_picture *ret, struct failure *failure) {
    *ret = (struct pipeline_shared_picture){.claim = -1};
    const struct params *params = &pipeline->task->params;
    if (!pipeline->task->shared || !pipeline->task->may_link ||
        params->format != PARAMS_FORMAT_TIFF || !params->has_difference)
        return 0;
    ret->folder = folder_of(pipeline, STAGE_WARP);
    if (!ret->folder)
        return no_memory(pipeline, failure);
    if (take_picture(pipeline, task, ret))
        return 0;
    int r = shared_stage_claim(ret->folder, pipeline->context.progress, &ret->claim, failure);
    if (r < 0)
        return r;
    if (take_picture(pipeline, task, ret)) {
        (void)close(ret->claim); /* a lock */
        ret->claim = -1;
    }
    return 0;
}

void pipeline_shared_picture_give(const struct pipeline *pipeline,
                                  const struct pipeline_shared_picture *picture) {
    char key[CHECKPOINT_KEY_BYTES];
    struct failure failure = {0};
    if (picture->claim < 0)
        return;
    CLEANUP_FREE char *path = join(picture->folder, SHARED_STAGE_CHECKPOINT);
    CLEANUP_FREE char *to = join(picture->folder, PICTURE_ALIGNED_NAME);
    CLEANUP_FREE char *from = join(pipeline->task->out, PICTURE_ALIGNED_NAME);
    const struct checkpoint done = {json_pack("{s:O}", COMPRESSION, compression_of(pipeline)),
                                    json_array(), json_object()};
    int r = path && from && to && done.object && done.files && done.measured
                ? shared_stage_link(from, to, &failure)
                : no_memory(pipeline, &failure);
    if (r == 0)
        r = checkpoint_add_file(done.files, picture->folder, PICTURE_ALIGNED_NAME, &failure);
    if (r == 0)
        r = checkpoint_save(path, pipeline_key_stage_name(STAGE_WARP),
                            pipeline_key_shared(pipeline, STAGE_WARP, key), &done, &failure);
    json_decref(done.object);
    json_decref(done.files);
    json_decref(done.measured);
    if (r < 0)
        pipeline_say(pipeline, "the aligned picture is not shared: %s", failure.text);
}

void pipeline_shared_picture_close(struct pipeline_shared_picture *picture) {
    image_close(picture->ready);
    free(picture->folder);
    if (picture->claim >= 0)
        (void)close(picture->claim); /* a lock */
}
