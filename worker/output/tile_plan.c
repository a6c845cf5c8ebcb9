/* Figures for the caches and the walk; see tile_plan.h. common/footprint.c forecasts with the same
 * ones. */
#include "worker/output/tile_plan.h"

#include "worker/memory/tracked.h"

enum {
    TILE_PIXELS = TILE_RENDER_PX * TILE_RENDER_PX,
    CACHED_TILES = 72,           /* two rows of a strip of 16 tiles, whatever the angle */
    LEAST_CACHE_BYTES = 4 << 20, /* with less, threads would decode all day */
    KERNEL_BYTES = 128 << 20, /* of an image that is read as it lies, in RAM still; see enforce.h */
};

static uint64_t pixel_bytes(const struct image_info *info) {
    return (uint64_t)info->samples * info->bits / 8;
}

static uint64_t wanted_cache_bytes(const struct tile_render_task *task) {
    uint64_t pre = pixel_bytes(image_get_info(task->pre));
    const struct image_info frame = tile_render_frame(task);
    uint64_t post = pixel_bytes(&frame);
    return (pre > post ? pre : post) * TILE_PIXELS * CACHED_TILES;
}

struct tile_plan tile_plan_make(const struct tile_render_task *task, int threads,
                                uint64_t extra_bytes) {
    uint64_t wanted = wanted_cache_bytes(task), budget = tracked_budget();
    if (budget == 0)
        return (struct tile_plan){.n_workers = threads, .cache_bytes = wanted};
    uint64_t now = tracked_now(), left = budget > now ? budget - now : 0;
    uint64_t each = tile_render_bytes(task) + extra_bytes;
    int n = threads;
    while (n > 1 && left < (uint64_t)n * each + 2 * (uint64_t)LEAST_CACHE_BYTES)
        n--;
    uint64_t fixed = (uint64_t)n * each, cache = left > fixed ? (left - fixed) / 2 : 0;
    return (struct tile_plan){.n_workers = n, .cache_bytes = cache < wanted ? cache : wanted};
}

static struct tile_walk_source source_of(const struct image_info *info, uint64_t cache_bytes) {
    uint64_t row_bytes = info->width * pixel_bytes(info);
    return (struct tile_walk_source){
        .right_x = 1,
        .down_y = 1,
        .block_width = info->block_width,
        .block_height = info->block_height,
        .width = info->width,
        .n_blocks = info->block_bytes ? (double)(cache_bytes / info->block_bytes)
                                      : (double)(KERNEL_BYTES / row_bytes),
    };
}

struct tile_walk tile_plan_walk(const struct tile_render_task *task, uint32_t columns,
                                uint32_t rows, uint32_t step) {
    const struct image_info *pre = image_get_info(task->pre), frame = tile_render_frame(task);
    const struct image_info *post = &frame;
    uint64_t cache_bytes = wanted_cache_bytes(task);
    struct tile_walk_source sources[] = {source_of(task->post ? post : pre, cache_bytes),
                                         source_of(pre, cache_bytes)};
    struct map local =
        transform_local(task->post_to_pre, post->width / 2.0, post->height / 2.0, TILE_RENDER_PX);
    struct map_point here = map_apply(&local, post->width / 2.0, post->height / 2.0);
    struct map_point right = map_apply(&local, post->width / 2.0 + 1, post->height / 2.0);
    struct map_point down = map_apply(&local, post->width / 2.0, post->height / 2.0 + 1);
    sources[1].right_x = right.x - here.x;
    sources[1].right_y = right.y - here.y;
    sources[1].down_x = down.x - here.x;
    sources[1].down_y = down.y - here.y;
    return tile_walk_choose(columns, rows, TILE_RENDER_PX * step, sources + !task->post,
                            task->post ? 2 : 1);
}
