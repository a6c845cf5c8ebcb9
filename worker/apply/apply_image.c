/* See apply_image.h. The canvas is the frame that things are put into; its places in the image are
 * those of the map, or of its inverse, which for a projective map is a map as well. */
#include "worker/apply/apply_image.h"

#include "common/footprint.h"
#include "common/names.h"
#include "common/protocol.h"
#include "common/units.h"
#include "worker/align/transform_inverse.h"
#include "worker/memory/tracked.h"
#include "worker/output/painter.h"
#include "worker/output/tile_plan.h"
#include "worker/stage/progress.h"
#include "worker/tiff/image.h"

#include <errno.h>
#include <math.h>
#include <tiffio.h>

static const double copy_share = 0.5; /* of the time, where a tiled copy is made first */

/* Magnifications nearer to 1 than this are the stages' and the scanners' own error: the resolution
 * is then that of the image. */
static const double same_scale = 0.01;

/* --- what goes together --- */

static int check_size(const struct apply_task *task, const struct apply_map *map,
                      const struct image_info *info, struct failure *failure) {
    const bool back = task->is_inverse;
    const uint32_t width = back ? map->post_width : map->pre_width;
    const uint32_t height = back ? map->post_height : map->pre_height;
    const uint32_t other_width = back ? map->pre_width : map->post_width;
    const uint32_t other_height = back ? map->pre_height : map->post_height;
    const char *from = back ? "post" : "pre";
    char hint[160];
    if (info->width == width && info->height == height)
        return 0;
    if (info->width == other_width && info->height == other_height)
        (void)snprintf(hint, sizeof(hint), "it has the %s image's size, which %s takes",
                       back ? "pre" : "post", back ? "apply without --inverse" : "--inverse");
    else
        (void)snprintf(hint, sizeof(hint),
                       "give an image of the same field at full resolution, neither cropped nor "
                       "reduced");
    return failure_set(failure, -EINVAL, "%s has %u x %u px, and the %s image of %s %u x %u px; %s",
                       task->image, info->width, info->height, from, task->transform, width, height,
                       hint);
}

static int check_numbers(const struct apply_task *task, const struct image_info *info,
                         struct failure *failure) {
    const bool is_mixed = task->params.interpolation != PARAMS_INTERPOLATION_NEAREST;
    if (!is_mixed || info->sample_format == SAMPLEFORMAT_IEEEFP ||
        (info->sample_format == SAMPLEFORMAT_UINT && info->bits < 32))
        return 0;
    return failure_set(
        failure, -ENOTSUP, "%s has %s numbers of %u bit, as label masks have; give --labels",
        task->image, info->sample_format == SAMPLEFORMAT_INT ? "signed" : "whole", info->bits);
}

static int set_budget(const struct apply_task *task, struct failure *failure) {
    if (task->memory_bytes < FOOTPRINT_LEAST_CAP_BYTES)
        return failure_set(failure, -ENOMEM,
                           "a memory cap of %llu bytes is too small; give at least 192 MiB",
                           (unsigned long long)task->memory_bytes);
    tracked_set_budget(task->memory_bytes - FOOTPRINT_BASE_BYTES);
    return 0;
}

/* --- the map, from the canvas to the image --- */

struct way {
    struct transform to_image;
    struct transform_inverse inverse;
    struct tile_render_task task; /* points into this */
};

static int find_way(const struct apply_task *task, const struct apply_map *map, struct image *image,
                    struct way *ret, struct failure *failure) {
    const bool back = task->is_inverse;
    ret->to_image = map->post_to_pre;
    ret->task = (struct tile_render_task){
        .pre = image,
        .post_to_pre = &ret->to_image,
        .frame_width = back ? map->pre_width : map->post_width,
        .frame_height = back ? map->pre_height : map->post_height,
        .interpolation = task->params.interpolation,
        .pad = (uint32_t)task->params.pad,
    };
    if (back && !transform_inverse_make(&map->post_to_pre, map->post_width, map->post_height,
                                        &ret->inverse))
        return failure_set(
            failure, -EINVAL,
            "%s: its map cannot be inverted (it folds, or is flat somewhere); it can "
            "be applied without --inverse alone",
            task->transform);
    if (back) {
        ret->to_image = (struct transform){.map = ret->inverse.back};
        if (transform_has_grid(&map->post_to_pre))
            ret->task.inverse = &ret->inverse;
    }
    return tile_render_check(&ret->task, failure);
}

/* --- the picture --- */

/* A pixel of the canvas is so many px of the image as the map says; turned by a right angle, across
 * is down. */
static void set_resolution(const struct way *way, const struct image_info *info,
                           struct tiff_writer_options *picture) {
    const struct tile_render_task *task = &way->task;
    const double *h = way->to_image.map.h;
    double scale =
        sqrt(fabs(map_det(&way->to_image.map, task->frame_width / 2.0, task->frame_height / 2.0)));
    const bool is_turned = fabs(h[1]) > fabs(h[0]);
    if (!isfinite(scale) || scale <= 0 || fabs(scale - 1) < same_scale)
        scale = 1;
    picture->x_resolution = (is_turned ? info->y_resolution : info->x_resolution) / scale;
    picture->y_resolution = (is_turned ? info->x_resolution : info->y_resolution) / scale;
    picture->resolution_unit = info->resolution_unit;
}

static int write_picture(const struct apply_task *task, const struct way *way,
                         struct progress *progress, struct apply_image_result *ret,
                         struct failure *failure) {
    const struct image_info *info = image_get_info(way->task.pre);
    CLEANUP_FREE char *path = names_format("%s/%s", task->out, PROTOCOL_IMAGE_NAME);
    struct tiff_writer_options picture = {
        .width = tile_render_canvas_width(&way->task),
        .height = tile_render_canvas_height(&way->task),
        .samples = info->samples,
        .bits = info->bits,
        .is_float = info->sample_format == SAMPLEFORMAT_IEEEFP,
        .is_signed = info->sample_format == SAMPLEFORMAT_INT,
        .compression = task->params.compression,
        .description = task->is_inverse ? "registrar: an image of the post frame in the pre frame"
                                        : "registrar: an image of the pre frame in the post frame",
    };
    set_resolution(way, info, &picture);
    const struct picture_set set = {
        .n = 1, .pictures = {{.kind = PICTURE_PRE, .shape = tiff_writer_shape(&picture)}}};
    const struct tile_walk walk =
        tile_plan_walk(&way->task, (picture.width - 1) / TILE_RENDER_PX + 1,
                       (picture.height - 1) / TILE_RENDER_PX + 1, 1);
    struct tiff_writer *writer = NULL;
    struct painter_counts counts;
    if (!path)
        return failure_set(failure, -ENOMEM, "no memory for a path below %s", task->out);
    int r = tiff_writer_open(path, &picture, &writer, failure);
    if (r < 0)
        return r;
    const struct painter_job job = {.task = &way->task,
                                    .set = &set,
                                    .compression = picture.compression,
                                    .walk = &walk,
                                    .writers = &writer,
                                    .threads = task->threads,
                                    .progress = progress};
    r = painter_run(&job, &counts, failure);
    if (r < 0) {
        tiff_writer_abandon(writer);
        return r;
    }
    *ret = (struct apply_image_result){.width = picture.width,
                                       .height = picture.height,
                                       .covered = (double)counts.overlap_pixels /
                                                  ((double)picture.width * picture.height)};
    return tiff_writer_publish(writer, failure);
}

/* --- the image --- */

static int skip_band(void *context, const struct image_band *band, struct failure *failure) {
    (void)context; /* the copy alone is wanted */
    (void)band;
    (void)failure;
    return 0;
}

/* Where regions cannot be read from the file itself. */
static int copy_image(const struct apply_task *task, struct image *image, struct progress *progress,
                      struct failure *failure) {
    struct image_identity identity;
    CLEANUP_FREE char *path = names_format("%s/%s", task->out, PROTOCOL_SCRATCH_NAME);
    if (!path)
        return failure_set(failure, -ENOMEM, "no memory for a path below %s", task->out);
    progress_begin(progress, "copy", 0, copy_share);
    return image_stream(image, path, skip_band, NULL, progress, &identity, failure);
}

int apply_image_run(const struct apply_task *task, const struct apply_map *map,
                    struct progress *progress, struct apply_image_result *ret,
                    struct failure *failure) {
    struct image *image = NULL;
    struct way way = {0};
    int r = set_budget(task, failure);
    if (r == 0)
        r = image_open_any(task->image, &image, failure);
    if (r < 0)
        return r;
    const struct image_info *info = image_get_info(image);
    r = check_size(task, map, info, failure);
    if (r == 0)
        r = check_numbers(task, info, failure);
    if (r == 0)
        r = find_way(task, map, image, &way, failure);
    if (r == 0 && info->needs_scratch)
        r = copy_image(task, image, progress, failure);
    progress_begin(progress, "warp", info->needs_scratch ? copy_share : 0, 1);
    if (r == 0)
        r = write_picture(task, &way, progress, ret, failure);
    image_close(image);
    return r;
}
