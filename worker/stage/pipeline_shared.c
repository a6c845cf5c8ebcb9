/* See pipeline_shared.h. Sharing spares work and is never needed: where a file cannot have a second
 * name (another kernel's sandbox, a file system without links), each variant makes its own. */
#include "worker/stage/pipeline_shared.h"

#include "common/atomic_file.h"
#include "worker/stage/pipeline_finish.h"
#include "worker/stage/pipeline_key.h"
#include "worker/stage/shared_stage.h"

#include <errno.h>

static int no_memory(const struct pipeline *pipeline, struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory for a path below %s", pipeline->task->shared);
}

static char *join(const char *folder, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* ---- the counts ---- */

/* Where they stand, and the file. The caller owns both; NULL: out of memory. */
static char *counts_folder(const struct pipeline *pipeline) {
    char key[CHECKPOINT_KEY_BYTES];
    return shared_stage_folder(pipeline->task->shared, pipeline_key_stage_name(STAGE_SCALE),
                               pipeline_key(pipeline, STAGE_SCALE, PIPELINE_KEY_SHARED, key));
}

static char *counts_path(const struct pipeline *pipeline) {
    CLEANUP_FREE char *folder = counts_folder(pipeline);
    return folder ? join(folder, "counts") : NULL;
}

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
    CLEANUP_FREE char *folder = counts_folder(pipeline);
    CLEANUP_FREE char *path = counts_path(pipeline);
    CLEANUP_CLOSE int claim = -1;
    if (!folder || !path)
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

/* ---- the pictures ---- */

/* One in the store. */
struct shared_picture {
    const char *stage; /* as its checkpoint is called */
    char key[CHECKPOINT_KEY_BYTES];
    char *folder; /* owned */
    const char *name;
};

static void free_shared(struct shared_picture *shared) { free(shared->folder); }

static int find_aligned(const struct pipeline *pipeline, enum pipeline_key_use use,
                        struct shared_picture *ret, struct failure *failure) {
    ret->stage = pipeline_key_stage_name(STAGE_WARP);
    (void)pipeline_key(pipeline, STAGE_WARP, use, ret->key);
    ret->folder = shared_stage_folder(pipeline->task->shared,
                                      use == PIPELINE_KEY_PIXELS ? "pixels" : ret->stage, ret->key);
    ret->name = PICTURE_ALIGNED_NAME;
    return ret->folder ? 0 : no_memory(pipeline, failure);
}

static int find(const struct pipeline *pipeline, const struct picture *picture,
                struct shared_picture *ret, struct failure *failure) {
    if (picture->kind == PICTURE_PRE)
        return find_aligned(pipeline, PIPELINE_KEY_SHARED, ret, failure);
    ret->stage = "difference";
    (void)pipeline_key_difference(pipeline, picture->difference, ret->key);
    ret->folder = shared_stage_folder(pipeline->task->shared, ret->stage, ret->key);
    ret->name = "difference.tiff";
    return ret->folder ? 0 : no_memory(pipeline, failure);
}

static bool stands(const struct shared_picture *shared, uint64_t *overlap_pixels) {
    CLEANUP(checkpoint_clear) struct checkpoint done = {0};
    CLEANUP_FREE char *path = join(shared->folder, SHARED_STAGE_CHECKPOINT);
    if (!path || checkpoint_load(path, shared->stage, shared->key, &done, NULL) < 0 ||
        !checkpoint_files_intact(done.files, shared->folder, shared->name))
        return false;
    *overlap_pixels = (uint64_t)json_integer_value(json_object_get(done.object, "overlap_pixels"));
    return true;
}

static bool is_alike(const struct image *image, const struct tile_render_task *task) {
    const struct image_info *info = image_get_info(image), *pre = image_get_info(task->pre);
    return info->width == tile_render_canvas_width(task) &&
           info->height == tile_render_canvas_height(task) && info->samples == pre->samples &&
           info->bits == pre->bits && !info->needs_scratch;
}

static int open_aligned(const char *path, const struct tile_render_task *task, struct image **ret,
                        struct failure *failure) {
    struct image *image = NULL;
    int r = image_open(path, &image, failure);
    if (r == 0 && !is_alike(image, task))
        r = failure_set(failure, -ESTALE, "%s is not the picture that is wanted", path);
    if (r < 0)
        image_close(image);
    else
        *ret = image;
    return r;
}

/* The task's picture gets its own name first, so that it stays whatever becomes of the other. */
static int link_picture(const struct pipeline *pipeline, const struct shared_picture *shared,
                        const struct tile_render_task *task, const struct picture_set *set,
                        size_t i, struct pipeline_shared_pictures *ret, struct failure *failure) {
    const struct picture *picture = &set->pictures[i];
    CLEANUP_FREE char *from = join(shared->folder, shared->name);
    CLEANUP_FREE char *path = join(pipeline->task->out, set->files[picture->file]);
    CLEANUP_FREE char *to = path ? atomic_file_temporary_name(path) : NULL;
    if (!from || !to)
        return no_memory(pipeline, failure);
    int r = shared_stage_link(from, to, failure);
    if (r == 0 && picture->kind == PICTURE_PRE)
        r = open_aligned(to, task, &ret->aligned, failure);
    if (r == 0 && json_array_append_new(ret->ready, json_string(path)) < 0)
        r = no_memory(pipeline, failure);
    return r;
}

static bool take(struct pipeline *pipeline, const struct shared_picture *shared,
                 const struct tile_render_task *task, const struct picture_set *set, size_t i,
                 struct pipeline_shared_pictures *ret) {
    struct failure failure = {0};
    if (!stands(shared, &ret->overlap_pixels))
        return false;
    if (link_picture(pipeline, shared, task, set, i, ret, &failure) < 0) {
        pipeline_say(pipeline, "a picture of another variant is not used: %s", failure.text);
        return false;
    }
    pipeline->is_shared[STAGE_WARP] = true;
    return true;
}

/* One of the same pixels is only read, and stays where it is. */
static bool read_same_pixels(struct pipeline *pipeline, const struct shared_picture *shared,
                             const struct tile_render_task *task,
                             struct pipeline_shared_pictures *ret) {
    CLEANUP_FREE char *path = join(shared->folder, shared->name);
    if (!path || !stands(shared, &ret->overlap_pixels) ||
        open_aligned(path, task, &ret->aligned, NULL) < 0)
        return false;
    pipeline->is_shared[STAGE_WARP] = true;
    return true;
}

/* Else it is rendered, for those with another compression too. */
static int read_or_claim_pixels(struct pipeline *pipeline, const struct tile_render_task *task,
                                struct pipeline_shared_pictures *ret, struct failure *failure) {
    CLEANUP(free_shared) struct shared_picture shared = {0};
    CLEANUP_CLOSE int claim = -1;
    int r = find_aligned(pipeline, PIPELINE_KEY_PIXELS, &shared, failure);
    if (r < 0 || read_same_pixels(pipeline, &shared, task, ret))
        return r;
    r = shared_stage_claim(shared.folder, pipeline->context.progress, &claim, failure);
    if (r == 0 && !read_same_pixels(pipeline, &shared, task, ret))
        ret->claims[ret->n_claims++] = STEAL_FD(claim);
    return r;
}

/* Claims are taken in one order: the aligned picture, its pixels, the differences by kind. So no
 * two workers wait for each other. */
static int take_or_claim(struct pipeline *pipeline, const struct tile_render_task *task,
                         const struct picture_set *set, size_t i,
                         struct pipeline_shared_pictures *ret, bool *taken,
                         struct failure *failure) {
    CLEANUP(free_shared) struct shared_picture shared = {0};
    CLEANUP_CLOSE int claim = -1;
    int r = find(pipeline, &set->pictures[i], &shared, failure);
    if (r < 0 || (*taken = take(pipeline, &shared, task, set, i, ret)))
        return r;
    r = shared_stage_claim(shared.folder, pipeline->context.progress, &claim, failure);
    if (r < 0 || (*taken = take(pipeline, &shared, task, set, i, ret)))
        return r;
    ret->claims[ret->n_claims++] = STEAL_FD(claim);
    return set->pictures[i].kind == PICTURE_PRE ? read_or_claim_pixels(pipeline, task, ret, failure)
                                                : 0;
}

static bool may_share(const struct pipeline *pipeline) {
    return pipeline->task->shared && pipeline->task->may_link &&
           pipeline->task->params.format == PARAMS_FORMAT_TIFF;
}

/* ---- of variants to come ---- */

/* A file system may not give a file a second name; then nobody could take what is made here. */
static bool can_link(const struct pipeline *pipeline, const char *path) {
    CLEANUP_FREE char *second = join(pipeline->task->out, "checkpoints/counts.tmp");
    bool linked = second && shared_stage_link(path, second, NULL) == 0;
    if (linked)
        (void)unlink(second); /* small, and the next one takes its place */
    return linked;
}

/* The background scales that they will come to. None where that cannot be told: then each makes its
 * own pictures. */
static json_t *scales_to_come(const struct pipeline *pipeline) {
    CLEANUP_FREE char *path = counts_path(pipeline);
    struct background_counts *counts = NULL;
    json_t *scales = json_array();
    if (!path || !can_link(pipeline, path) || background_counts_load(path, &counts, NULL) < 0)
        counts = NULL;
    for (size_t i = 0; counts && i < json_array_size(pipeline->task->variants); i++) {
        const json_t *variant = json_array_get(pipeline->task->variants, i);
        struct params params;
        json_t *scale = NULL;
        if (params_parse(variant, &params, NULL) == 0 &&
            background_scale_conclude(counts, &params, &scale, NULL) == 0)
            (void)json_array_append_new(scales, scale);
    }
    background_counts_free(counts);
    return scales;
}

/* Unless it stands, or somebody makes it: this task itself, perhaps. Nobody is waited for. */
static int add_ahead(const struct pipeline *pipeline,
                     const struct background_scale_difference *difference, struct picture_set *set,
                     struct pipeline_shared_pictures *ret, struct failure *failure) {
    const struct picture picture = {.kind = PICTURE_DIFFERENCE, .difference = difference};
    CLEANUP(free_shared) struct shared_picture shared = {0};
    uint64_t overlap_pixels;
    int r = find(pipeline, &picture, &shared, failure);
    if (r < 0 || stands(&shared, &overlap_pixels))
        return r;
    r = shared_stage_try_claim(shared.folder, &ret->claims[ret->n_claims], failure);
    if (r < 0)
        return r == -EWOULDBLOCK ? 0 : r;
    ret->n_claims++;
    ret->ahead[ret->n_ahead].difference = *difference;
    ret->ahead[ret->n_ahead].folder = STEAL_PTR(shared.folder);
    picture_set_add_ahead(set, &ret->ahead[ret->n_ahead].difference,
                          ret->ahead[ret->n_ahead].folder, shared.name);
    ret->n_ahead++;
    return 0;
}

static int add_all_ahead(const struct pipeline *pipeline, struct picture_set *set,
                         struct pipeline_shared_pictures *ret, struct failure *failure) {
    int r = 0;
    ret->scales = scales_to_come(pipeline);
    for (size_t i = 0; i < json_array_size(ret->scales) && r == 0; i++) {
        struct background_scale_difference differences[BACKGROUND_SCALE_MAX_DIFFERENCES];
        size_t n = background_scale_differences(json_array_get(ret->scales, i), differences);
        for (size_t k = 0; k < n && r == 0 && ret->n_ahead < PICTURE_MOST_AHEAD; k++)
            r = add_ahead(pipeline, &differences[k], set, ret, failure);
    }
    return r;
}

void pipeline_shared_pictures_drop_ahead(struct picture_set *set,
                                         struct pipeline_shared_pictures *pictures) {
    picture_set_drop_ahead(set, pictures->n_ahead);
    for (; pictures->n_ahead > 0; pictures->n_ahead--) {
        free(pictures->ahead[pictures->n_ahead - 1].folder);
        (void)close(pictures->claims[--pictures->n_claims]); /* a lock */
    }
}

/* ---- the set ---- */

int pipeline_shared_pictures_open(struct pipeline *pipeline, const struct tile_render_task *task,
                                  struct picture_set *set, struct pipeline_shared_pictures *ret,
                                  struct failure *failure) {
    *ret = (struct pipeline_shared_pictures){.ready = json_array()};
    int r = ret->ready ? 0 : no_memory(pipeline, failure);
    for (size_t i = 0; r == 0 && may_share(pipeline) && i < set->n;) {
        bool taken = false;
        r = take_or_claim(pipeline, task, set, i, ret, &taken, failure);
        if (taken)
            picture_set_remove(set, i);
        else
            i++;
    }
    /* with nothing to be written it is not worth a pass */
    if (r == 0 && set->n > 0 && may_share(pipeline) && pipeline->task->params.has_difference &&
        json_array_size(pipeline->task->variants) > 0)
        r = add_all_ahead(pipeline, set, ret, failure);
    return r;
}

/* The picture stands in the store, and is right. */
static int give(const struct pipeline *pipeline, const struct shared_picture *shared,
                uint64_t overlap_pixels, struct failure *failure) {
    CLEANUP_FREE char *path = join(shared->folder, SHARED_STAGE_CHECKPOINT);
    CLEANUP(checkpoint_clear)
    struct checkpoint done = {json_pack("{s:I}", "overlap_pixels", (json_int_t)overlap_pixels),
                              json_array(), json_object()};
    if (!path || !done.object || !done.files || !done.measured)
        return no_memory(pipeline, failure);
    int r = checkpoint_add_file(done.files, shared->folder, shared->name, failure);
    return r < 0 ? r : checkpoint_save(path, shared->stage, shared->key, &done, failure);
}

/* The picture stands in the task's folder. */
static int link_and_give(const struct pipeline *pipeline, const struct shared_picture *shared,
                         const char *name, uint64_t overlap_pixels, struct failure *failure) {
    CLEANUP_FREE char *to = join(shared->folder, shared->name);
    CLEANUP_FREE char *from = join(pipeline->task->out, name);
    CLEANUP_FREE char *unfinished = to ? atomic_file_temporary_name(to) : NULL;
    if (!unfinished || !from)
        return no_memory(pipeline, failure);
    (void)unlink(unfinished); /* of one who died as it made this ahead; there is seldom any */
    int r = shared_stage_link(from, to, failure);
    return r < 0 ? r : give(pipeline, shared, overlap_pixels, failure);
}

static int give_pixels(const struct pipeline *pipeline, uint64_t overlap_pixels,
                       struct failure *failure) {
    CLEANUP(free_shared) struct shared_picture shared = {0};
    int r = find_aligned(pipeline, PIPELINE_KEY_PIXELS, &shared, failure);
    return r < 0 ? r
                 : link_and_give(pipeline, &shared, PICTURE_ALIGNED_NAME, overlap_pixels, failure);
}

void pipeline_shared_pictures_give(const struct pipeline *pipeline, const struct picture_set *set,
                                   const struct pipeline_shared_pictures *pictures,
                                   uint64_t overlap_pixels) {
    struct failure failure = {0};
    int r = 0;
    for (size_t i = 0; i < set->n && r == 0 && may_share(pipeline); i++) {
        CLEANUP(free_shared) struct shared_picture shared = {0};
        const struct picture *picture = &set->pictures[i];
        r = find(pipeline, picture, &shared, &failure);
        if (r == 0)
            r = set->folders[picture->file]
                    ? give(pipeline, &shared, overlap_pixels, &failure)
                    : link_and_give(pipeline, &shared, set->files[picture->file], overlap_pixels,
                                    &failure);
        if (r == 0 && picture->kind == PICTURE_PRE && !pictures->aligned)
            r = give_pixels(pipeline, overlap_pixels, &failure);
    }
    if (r < 0)
        pipeline_say(pipeline, "the pictures are not shared: %s", failure.text);
}

void pipeline_shared_pictures_close(struct pipeline_shared_pictures *pictures) {
    image_close(pictures->aligned);
    json_decref(pictures->ready);
    json_decref(pictures->scales);
    for (size_t i = 0; i < pictures->n_ahead; i++)
        free(pictures->ahead[i].folder);
    for (size_t i = 0; i < pictures->n_claims; i++)
        (void)close(pictures->claims[i]); /* a lock */
}
