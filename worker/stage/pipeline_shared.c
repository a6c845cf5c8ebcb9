/* See pipeline_shared.h. Sharing spares work and is never needed: where a file cannot have a second
 * name (another kernel's sandbox, a file system without links), each variant makes its own. */
#include "worker/stage/pipeline_shared.h"

#include "worker/output/warp.h"
#include "worker/stage/pipeline_finish.h"
#include "worker/stage/pipeline_key.h"
#include "worker/stage/shared_stage.h"

#include <errno.h>

static int no_memory(const struct pipeline *pipeline, struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory for a path below %s", pipeline->task->shared);
}

static char *folder_of(const struct pipeline *pipeline, enum stage stage,
                       enum pipeline_key_use use) {
    char key[CHECKPOINT_KEY_BYTES];
    const char *name = use == PIPELINE_KEY_PIXELS ? "pixels" : pipeline_key_stage_name(stage);
    return shared_stage_folder(pipeline->task->shared, name,
                               pipeline_key(pipeline, stage, use, key));
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
    CLEANUP_FREE char *folder = folder_of(pipeline, STAGE_SCALE, PIPELINE_KEY_SHARED);
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

/* The task's picture gets its own name first, so that it stays whatever becomes of the other. One
 * of the same pixels is only read, and stays where it is. */
static int open_picture(const struct pipeline *pipeline, const char *folder, bool is_final,
                        struct image **ret, struct failure *failure) {
    CLEANUP_FREE char *from = join(folder, PICTURE_ALIGNED_NAME);
    CLEANUP_FREE char *to = join(pipeline->task->out, PICTURE_ALIGNED_NAME ".tmp");
    if (!from || !to)
        return no_memory(pipeline, failure);
    int r = is_final ? shared_stage_link(from, to, failure) : 0;
    return r < 0 ? r : image_open(is_final ? to : from, ret, failure);
}

static bool has_picture(const struct pipeline *pipeline, enum pipeline_key_use use,
                        const char *folder) {
    char key[CHECKPOINT_KEY_BYTES];
    CLEANUP(checkpoint_clear) struct checkpoint done = {0};
    CLEANUP_FREE char *path = join(folder, SHARED_STAGE_CHECKPOINT);
    return path &&
           checkpoint_load(path, pipeline_key_stage_name(STAGE_WARP),
                           pipeline_key(pipeline, STAGE_WARP, use, key), &done, NULL) == 0 &&
           checkpoint_files_intact(done.files, folder, PICTURE_ALIGNED_NAME);
}

static bool take_picture(struct pipeline *pipeline, const struct tile_render_task *task,
                         enum pipeline_key_use use, struct pipeline_shared_picture *ret) {
    CLEANUP_FREE char *folder = folder_of(pipeline, STAGE_WARP, use);
    struct failure failure = {0};
    struct image *image = NULL;
    if (!folder || !has_picture(pipeline, use, folder))
        return false;
    bool is_final = use == PIPELINE_KEY_SHARED;
    int r = open_picture(pipeline, folder, is_final, &image, &failure);
    if (r == 0 && !is_alike(image, task))
        r = failure_set(&failure, -ESTALE, "the one in %s is not the picture that is wanted",
                        folder);
    if (r < 0) {
        pipeline_say(pipeline, "the aligned picture of another variant is not used: %s",
                     failure.text);
        image_close(image);
        return false;
    }
    pipeline->is_shared[STAGE_WARP] = true;
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
    CLEANUP_FREE char *folder = folder_of(pipeline, STAGE_WARP, PIPELINE_KEY_SHARED);
    if (!folder)
        return no_memory(pipeline, failure);
    if (take_picture(pipeline, task, PIPELINE_KEY_SHARED, ret))
        return 0;
    int r = shared_stage_claim(folder, pipeline->context.progress, &ret->claim, failure);
    if (r < 0)
        return r;
    if (take_picture(pipeline, task, PIPELINE_KEY_SHARED, ret)) {
        (void)close(ret->claim); /* a lock */
        ret->claim = -1;
    } else {
        (void)take_picture(pipeline, task, PIPELINE_KEY_PIXELS, ret); /* else it is rendered */
    }
    return 0;
}

static int give(const struct pipeline *pipeline, enum pipeline_key_use use,
                struct failure *failure) {
    char key[CHECKPOINT_KEY_BYTES];
    CLEANUP_FREE char *folder = folder_of(pipeline, STAGE_WARP, use);
    CLEANUP_FREE char *path = folder ? join(folder, SHARED_STAGE_CHECKPOINT) : NULL;
    CLEANUP_FREE char *to = folder ? join(folder, PICTURE_ALIGNED_NAME) : NULL;
    CLEANUP_FREE char *from = join(pipeline->task->out, PICTURE_ALIGNED_NAME);
    CLEANUP(checkpoint_clear)
    struct checkpoint done = {json_object(), json_array(), json_object()};
    if (!path || !to || !from || !done.object || !done.files || !done.measured)
        return no_memory(pipeline, failure);
    int r = shared_stage_link(from, to, failure);
    if (r == 0)
        r = checkpoint_add_file(done.files, folder, PICTURE_ALIGNED_NAME, failure);
    return r < 0 ? r
                 : checkpoint_save(path, pipeline_key_stage_name(STAGE_WARP),
                                   pipeline_key(pipeline, STAGE_WARP, use, key), &done, failure);
}

static int give_pixels(const struct pipeline *pipeline, struct failure *failure) {
    CLEANUP_CLOSE int claim = -1;
    CLEANUP_FREE char *folder = folder_of(pipeline, STAGE_WARP, PIPELINE_KEY_PIXELS);
    if (!folder)
        return no_memory(pipeline, failure);
    int r = shared_stage_claim(folder, pipeline->context.progress, &claim, failure);
    return r < 0 ? r : give(pipeline, PIPELINE_KEY_PIXELS, failure);
}

void pipeline_shared_picture_give(const struct pipeline *pipeline,
                                  const struct pipeline_shared_picture *picture) {
    struct failure failure = {0};
    if (picture->claim < 0)
        return;
    int r = give(pipeline, PIPELINE_KEY_SHARED, &failure);
    if (r == 0 && !picture->ready)
        r = give_pixels(pipeline, &failure);
    if (r < 0)
        pipeline_say(pipeline, "the aligned picture is not shared: %s", failure.text);
}

void pipeline_shared_picture_close(struct pipeline_shared_picture *picture) {
    image_close(picture->ready);
    if (picture->claim >= 0)
        (void)close(picture->claim); /* a lock */
}
