/* A tile is cut into pieces whose source box fits a fixed block: the box is read, turned into float
 * lanes with the image's edge repeated around it, and sampled row by row; see tile_render.h. */
#include "worker/output/tile_render.h"

#include "worker/memory/tracked.h"
#include "worker/output/lanes.h"
#include "worker/output/placement.h"
#include "worker/output/sampler.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    PIECE_PX = 128,       /* side of a piece at first: its float block stays in the L2 cache */
    BLOCK_PX = 256 * 256, /* a piece whose source box has more pixels is halved */
    HELD_PX = 448 * 448,  /* a tile whose source box has more is read piece by piece */
    TILE_PIXELS = TILE_RENDER_PX * TILE_RENDER_PX,
    MARGIN_PX = 256, /* on both sides of what a strip of tiles covers of the pre image */
    STEEPEST = 50,   /* px across per row: hardly less than a row */
};

/* Pre pixels that a piece touches: [x0, x1) x [y0, y1), margins included, perhaps off the image. */
struct box {
    int64_t x0, y0, x1, y1;
};

struct tile_render {
    struct tile_render_task task;
    struct placement placement;
    struct image_info pre, post;
    struct image_reader *pre_reader, *post_reader, *ready_reader;
    struct tile_render_tile tile;
    uint32_t x, y;     /* canvas position of the tile */
    uint8_t *box;      /* source box, native samples ... */
    struct box held;   /* ... of this part of the image */
    float *block;      /* the same as float lanes with margins */
    float *row;        /* one row of sampled lanes */
    double *positions; /* x of one row, then y */
};

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

static size_t pixel_bytes(const struct image_info *info) {
    return (size_t)info->samples * info->bits / 8;
}

struct image_info tile_render_frame(const struct tile_render_task *task) {
    return task->post
               ? *image_get_info(task->post)
               : (struct image_info){.width = task->frame_width, .height = task->frame_height};
}

uint32_t tile_render_canvas_width(const struct tile_render_task *task) {
    return tile_render_frame(task).width + 2 * task->pad;
}

uint32_t tile_render_canvas_height(const struct tile_render_task *task) {
    return tile_render_frame(task).height + 2 * task->pad;
}

uint64_t tile_render_bytes(const struct tile_render_task *task) {
    const struct image_info *pre = image_get_info(task->pre), post = tile_render_frame(task);
    uint64_t per_tile_pixel = pixel_bytes(pre) + pixel_bytes(&post) + 1 + 2 * sizeof(float) +
                              (task->ready ? pixel_bytes(pre) : 0);
    return TILE_PIXELS * per_tile_pixel + HELD_PX * pixel_bytes(pre) +
           BLOCK_PX * lanes_of(pre->samples) * sizeof(float);
}

static struct placement place(const struct tile_render_task *task) {
    const struct image_info *pre = image_get_info(task->pre), post = tile_render_frame(task);
    struct placement placement = placement_make(task->post_to_pre, task->pad, pre->width,
                                                pre->height, post.width, post.height);
    if (task->inverse)
        placement_turn_round(&placement, task->inverse);
    return placement;
}

int tile_render_check(const struct tile_render_task *task, struct failure *failure) {
    struct placement placement = place(task);
    return placement_check(&placement, failure);
}

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM,
                       "no memory for one output tile; raise --worker-memory or "
                       "lower --threads");
}

/* All but the readers. */
static int make(const struct tile_render_task *task, struct tile_render **ret,
                struct failure *failure) {
    struct tile_render *render = calloc(1, sizeof(*render));
    if (!render)
        return out_of_memory(failure);
    render->task = *task;
    render->placement = place(task);
    render->pre = *image_get_info(task->pre);
    render->post = tile_render_frame(task);
    size_t lanes = lanes_of(render->pre.samples);
    struct tile_render_tile *tile = &render->tile;
    render->box = tracked_alloc(HELD_PX, pixel_bytes(&render->pre), "source box");
    render->block = tracked_alloc(BLOCK_PX * lanes, sizeof(float), "source box as float");
    if (task->post)
        tile->post = tracked_alloc(TILE_PIXELS, pixel_bytes(&render->post), "post tile");
    tile->aligned = tracked_alloc(TILE_PIXELS, pixel_bytes(&render->pre), "aligned tile");
    tile->covered = tracked_alloc(TILE_PIXELS, 1, "coverage tile");
    tile->pre_signal = tracked_alloc(TILE_PIXELS, sizeof(float), "signal tiles");
    tile->post_signal = tracked_alloc(TILE_PIXELS, sizeof(float), "signal tiles");
    render->row = calloc(TILE_RENDER_PX * lanes, sizeof(float));
    render->positions = calloc(2 * TILE_RENDER_PX, sizeof(double));
    if (!render->box || !render->block || (task->post && !tile->post) || !tile->aligned ||
        !tile->covered || !tile->pre_signal || !tile->post_signal || !render->row ||
        !render->positions) {
        tile_render_close(render);
        return out_of_memory(failure);
    }
    *ret = render;
    return 0;
}

int tile_render_open(const struct tile_render_task *task, uint64_t cache_bytes,
                     struct tile_render **ret, struct failure *failure) {
    struct tile_render *render = NULL;
    int r = make(task, &render, failure);
    if (r == 0)
        r = image_reader_open(task->pre, cache_bytes, &render->pre_reader, failure);
    if (r == 0 && task->post)
        r = image_reader_open(task->post, cache_bytes, &render->post_reader, failure);
    if (r == 0 && task->ready) /* each tile is read once */
        r = image_reader_open(task->ready, 0, &render->ready_reader, failure);
    if (r < 0)
        tile_render_close(render);
    else
        *ret = render;
    return r;
}

int tile_render_open_beside(const struct tile_render *first, struct tile_render **ret,
                            struct failure *failure) {
    struct tile_render *render = NULL;
    int r = make(&first->task, &render, failure);
    if (r == 0)
        r = image_reader_open_beside(first->pre_reader, &render->pre_reader, failure);
    if (r == 0 && first->post_reader)
        r = image_reader_open_beside(first->post_reader, &render->post_reader, failure);
    if (r == 0 && first->ready_reader)
        r = image_reader_open(first->task.ready, 0, &render->ready_reader, failure);
    if (r < 0)
        tile_render_close(render);
    else
        *ret = render;
    return r;
}

uint64_t tile_render_read_pre(const struct tile_render *render) {
    return image_reader_read_bytes(render->pre_reader);
}

uint64_t tile_render_read_post(const struct tile_render *render) {
    return render->post_reader ? image_reader_read_bytes(render->post_reader) : 0;
}

void tile_render_close(struct tile_render *render) {
    if (!render)
        return;
    image_reader_close(render->pre_reader);
    image_reader_close(render->post_reader);
    image_reader_close(render->ready_reader);
    tracked_free(render->box);
    tracked_free(render->block);
    tracked_free(render->tile.post);
    tracked_free(render->tile.aligned);
    tracked_free(render->tile.covered);
    tracked_free(render->tile.pre_signal);
    tracked_free(render->tile.post_signal);
    free(render->row);
    free(render->positions);
    free(render);
}

/* False when nothing of the piece is covered. */
static bool box_of(const struct tile_render *render, const struct placement_piece *piece,
                   struct box *ret) {
    struct placement_extent extent;
    if (!placement_extent(&render->placement, piece, &extent))
        return false;
    *ret = (struct box){
        .x0 = (int64_t)floor(extent.low_x) - SAMPLER_BEFORE,
        .y0 = (int64_t)floor(extent.low_y) - SAMPLER_BEFORE,
        .x1 = (int64_t)floor(extent.high_x) + 2 + SAMPLER_AFTER,
        .y1 = (int64_t)floor(extent.high_y) + 2 + SAMPLER_AFTER,
    };
    return true;
}

/* Repeats one pixel's lanes over count pixels. */
static void repeat(const float *pixel, size_t lanes, size_t count, float *to) {
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * lanes, pixel, lanes * sizeof(float));
}

static int64_t clamp_i64(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* The part of the box that lies on the image. */
static struct box clip(const struct tile_render *render, const struct box *box) {
    return (struct box){
        .x0 = clamp_i64(box->x0, 0, render->pre.width - 1),
        .y0 = clamp_i64(box->y0, 0, render->pre.height - 1),
        .x1 = clamp_i64(box->x1, 1, render->pre.width),
        .y1 = clamp_i64(box->y1, 1, render->pre.height),
    };
}

static int64_t box_area(const struct box *box) { return (box->x1 - box->x0) * (box->y1 - box->y0); }

static bool box_holds(const struct box *outer, const struct box *inner) {
    return inner->x0 >= outer->x0 && inner->x1 <= outer->x1 && inner->y0 >= outer->y0 &&
           inner->y1 <= outer->y1;
}

/* A box on the image is read, unless what was read last holds it ... */
static int hold(struct tile_render *render, const struct box *box, struct failure *failure) {
    if (box_holds(&render->held, box))
        return 0;
    size_t stride = (size_t)(box->x1 - box->x0) * pixel_bytes(&render->pre);
    render->held = (struct box){0};
    int r = image_reader_read(render->pre_reader, (uint32_t)box->x0, (uint32_t)box->y0,
                              (uint32_t)(box->x1 - box->x0), (uint32_t)(box->y1 - box->y0),
                              render->box, stride, failure);
    if (r == 0)
        render->held = *box;
    return r;
}

/* All that a tile is made of, when it has room: its pieces' boxes overlap, and every row of every
 * read is a call of the kernel. */
static int hold_tile(struct tile_render *render, struct failure *failure) {
    struct placement_piece piece = {render->x, render->y, render->tile.width, render->tile.height};
    struct box box;
    if (!box_of(render, &piece, &box))
        return 0;
    box = clip(render, &box);
    return box_area(&box) <= HELD_PX ? hold(render, &box, failure) : 0;
}

/* ... and spread to float lanes, with its edge repeated around it. */
static void fill_block(struct tile_render *render, const struct box *box, const struct box *inside,
                       const struct lanes_format *format) {
    const struct box *held = &render->held;
    size_t held_width = (size_t)(held->x1 - held->x0);
    size_t lanes = lanes_of(render->pre.samples);
    size_t width = (size_t)(box->x1 - box->x0) * lanes;
    size_t count = (size_t)(inside->x1 - inside->x0);
    size_t left = (size_t)(inside->x0 - box->x0), right = (size_t)(box->x1 - inside->x1);
    for (int64_t y = box->y0; y < box->y1; y++) {
        float *to = render->block + (size_t)(y - box->y0) * width;
        if (y > box->y0 && (y <= inside->y0 || y >= inside->y1)) { /* above or below the image */
            memcpy(to, to - width, width * sizeof(float));
            continue;
        }
        size_t row = (size_t)(clamp_i64(y, inside->y0, inside->y1 - 1) - inside->y0);
        size_t at =
            ((size_t)(inside->y0 - held->y0) + row) * held_width + (size_t)(inside->x0 - held->x0);
        const uint8_t *from = render->box + at * pixel_bytes(&render->pre);
        float *middle = to + left * lanes;
        lanes_widen(format, from, count, middle);
        repeat(middle, lanes, left, to);
        repeat(middle + (count - 1) * lanes, lanes, right, middle + count * lanes);
    }
}

static void sample_rows(struct tile_render *render, const struct placement_piece *piece,
                        const struct box *box, const struct lanes_format *format) {
    int lanes = (int)lanes_of(render->pre.samples);
    struct sampler_source source = {
        .pixels = render->block,
        .lanes = lanes,
        .stride = (size_t)(box->x1 - box->x0) * (size_t)lanes,
        .x = (double)box->x0,
        .y = (double)box->y0,
        .width = (int)(box->x1 - box->x0),
        .height = (int)(box->y1 - box->y0),
    };
    for (uint32_t row = 0; row < piece->height; row++) {
        double *xs = render->positions, *ys = xs + TILE_RENDER_PX;
        uint32_t first, end = 0;
        placement_row(&render->placement, piece->x, piece->y + row, piece->width, xs, ys);
        while (placement_next_run(&render->placement, xs, ys, end, piece->width, &first, &end)) {
            sampler_run(render->task.interpolation, &source, xs + first, ys + first, end - first,
                        render->row);
            size_t at = (size_t)(piece->y - render->y + row) * TILE_RENDER_PX +
                        (piece->x - render->x) + first;
            lanes_narrow(format, render->row, end - first,
                         (uint8_t *)render->tile.aligned + at * pixel_bytes(&render->pre));
            memset(render->tile.covered + at, 1, end - first);
        }
    }
}

static int render_piece(struct tile_render *render, const struct placement_piece *piece,
                        struct failure *failure) {
    struct box box, inside;
    if (!box_of(render, piece, &box))
        return 0;
    if (box_area(&box) > BLOCK_PX && (piece->width > 1 || piece->height > 1)) {
        struct placement_piece halves[2] = {*piece, *piece};
        if (piece->width >= piece->height) {
            halves[0].width = piece->width / 2;
            halves[1].x += halves[0].width;
            halves[1].width -= halves[0].width;
        } else {
            halves[0].height = piece->height / 2;
            halves[1].y += halves[0].height;
            halves[1].height -= halves[0].height;
        }
        int r = render_piece(render, &halves[0], failure);
        return r < 0 ? r : render_piece(render, &halves[1], failure);
    }
    inside = clip(render, &box);
    int r = hold(render, &inside, failure);
    if (r < 0)
        return r;
    struct lanes_format format = {.samples = render->pre.samples, .bits = render->pre.bits};
    for (; format.first < format.samples; format.first += format.n) {
        size_t left = format.samples - format.first;
        format.n = left < LANES_MAX ? left : LANES_MAX;
        fill_block(render, &box, &inside, &format);
        sample_rows(render, piece, &box, &format);
    }
    return 0;
}

static int render_pieces(struct tile_render *render, struct failure *failure) {
    const struct tile_render_tile *tile = &render->tile;
    int r = hold_tile(render, failure);
    for (uint32_t y = 0; y < tile->height && r == 0; y += PIECE_PX)
        for (uint32_t x = 0; x < tile->width && r == 0; x += PIECE_PX) {
            struct placement_piece piece = {render->x + x, render->y + y,
                                            min_u32(PIECE_PX, tile->width - x),
                                            min_u32(PIECE_PX, tile->height - y)};
            r = render_piece(render, &piece, failure);
        }
    return r;
}

/* As render_pieces does, from the map alone. */
static void cover(struct tile_render *render) {
    const struct tile_render_tile *tile = &render->tile;
    struct placement_piece whole = {render->x, render->y, tile->width, tile->height};
    double *xs = render->positions, *ys = xs + TILE_RENDER_PX;
    if (placement_is_inside(&render->placement, &whole)) {
        for (uint32_t row = 0; row < tile->height; row++)
            memset(tile->covered + (size_t)row * TILE_RENDER_PX, 1, tile->width);
        return;
    }
    for (uint32_t row = 0; row < tile->height; row++)
        for (uint32_t x = 0; x < tile->width; x += PIECE_PX) { /* as they were when rendered */
            uint8_t *covered = tile->covered + (size_t)row * TILE_RENDER_PX + x;
            uint32_t width = min_u32(PIECE_PX, tile->width - x), first, end = 0;
            placement_row(&render->placement, render->x + x, render->y + row, width, xs, ys);
            while (placement_next_run(&render->placement, xs, ys, end, width, &first, &end))
                memset(covered + first, 1, end - first);
        }
}

static int read_ready(struct tile_render *render, struct failure *failure) {
    const struct tile_render_tile *tile = &render->tile;
    cover(render);
    return image_reader_read(render->ready_reader, render->x, render->y, tile->width, tile->height,
                             tile->aligned, TILE_RENDER_PX * pixel_bytes(&render->pre), failure);
}

/* The post image's part of the tile, and as signal; what lies outside it is no longer covered. */
static int read_post(struct tile_render *render, struct failure *failure) {
    struct tile_render_tile *tile = &render->tile;
    int64_t pad = render->task.pad, x = render->x - pad, y = render->y - pad;
    int64_t x0 = clamp_i64(x, 0, render->post.width);
    int64_t x1 = clamp_i64(x + tile->width, 0, render->post.width);
    int64_t y0 = clamp_i64(y, 0, render->post.height);
    int64_t y1 = clamp_i64(y + tile->height, 0, render->post.height);
    size_t width = (size_t)(x1 - x0), bytes = pixel_bytes(&render->post);
    size_t stride = TILE_RENDER_PX * bytes;
    uint8_t *post = tile->post;
    if (width < TILE_RENDER_PX || y1 - y0 < TILE_RENDER_PX)
        memset(post, 0, TILE_PIXELS * bytes);
    if (width > 0 && y1 > y0) {
        int r = image_reader_read(
            render->post_reader, (uint32_t)x0, (uint32_t)y0, (uint32_t)width, (uint32_t)(y1 - y0),
            post + (size_t)(y0 - y) * stride + (size_t)(x0 - x) * bytes, stride, failure);
        if (r < 0)
            return r;
    }
    for (int64_t row = 0; row < tile->height; row++) {
        uint8_t *covered = tile->covered + row * TILE_RENDER_PX;
        float *signal = tile->post_signal + row * TILE_RENDER_PX;
        bool inside = width > 0 && y + row >= y0 && y + row < y1;
        size_t first = inside ? (size_t)(x0 - x) : tile->width;
        size_t end = inside ? (size_t)(x1 - x) : tile->width;
        memset(covered, 0, first);
        memset(covered + end, 0, tile->width - end);
        memset(signal, 0, TILE_RENDER_PX * sizeof(float));
        if (inside)
            signal_extract(render->task.post_signal, post + (size_t)row * stride + first * bytes,
                           width, signal + first);
    }
    return 0;
}

static void finish_signals(struct tile_render *render) {
    struct tile_render_tile *tile = &render->tile;
    uint64_t n_covered = 0;
    for (size_t row = 0; row < tile->height; row++) {
        size_t at = row * TILE_RENDER_PX;
        if (render->task.post)
            signal_extract(render->task.pre_signal,
                           (const uint8_t *)tile->aligned + at * pixel_bytes(&render->pre),
                           tile->width, tile->pre_signal + at);
        for (size_t i = 0; i < tile->width; i++)
            n_covered += tile->covered[at + i];
    }
    tile->n_covered = n_covered;
}

/* A column of the canvas as a line on the pre image: x = at + slope y. */
struct line {
    double at, slope;
};

/* False when it lies along the rows. */
static bool line_of(const struct tile_render *render, uint32_t column, struct line *ret) {
    double x[2], y[2];
    uint32_t bottom = tile_render_canvas_height(&render->task) - 1;
    placement_row(&render->placement, column, 0, 1, &x[0], &y[0]);
    placement_row(&render->placement, column, bottom, 1, &x[1], &y[1]);
    ret->slope = (x[1] - x[0]) / (y[1] - y[0]);
    ret->at = x[0] - ret->slope * y[0];
    return fabs(ret->slope) < STEEPEST && isfinite(ret->at); /* a horizon: neither */
}

/* What the columns cover of the pre image, and a margin for a map that bends; all when that is not
 * bounded by two lines. */
static struct image_swath swath_of(const struct tile_render *render, uint32_t first_x,
                                   uint32_t end_x) {
    struct line left, right;
    if (!line_of(render, first_x, &left) || !line_of(render, end_x - 1, &right))
        return image_whole_rows;
    double middle = render->pre.height / 2.0;
    if (left.at + left.slope * middle > right.at + right.slope * middle) { /* upside down */
        struct line swapped = left;
        left = right;
        right = swapped;
    }
    return (struct image_swath){.left = left.at - MARGIN_PX * hypot(1, left.slope),
                                .left_slope = left.slope,
                                .right = right.at + MARGIN_PX * hypot(1, right.slope),
                                .right_slope = right.slope};
}

void tile_render_expect(struct tile_render *render, uint32_t first_x, uint32_t end_x) {
    bool is_all = first_x == 0 && end_x == tile_render_canvas_width(&render->task);
    const struct image_swath canvas = {.left = first_x, .right = end_x};
    const struct image_swath pre = is_all ? image_whole_rows : swath_of(render, first_x, end_x);
    const struct image_swath post = {.left = canvas.left - render->task.pad,
                                     .right = canvas.right - render->task.pad};
    if (render->ready_reader)
        image_reader_expect(render->ready_reader, &canvas);
    else
        image_reader_expect(render->pre_reader, &pre);
    if (render->post_reader)
        image_reader_expect(render->post_reader, is_all ? &image_whole_rows : &post);
}

int tile_render_run(struct tile_render *render, uint32_t tile_x, uint32_t tile_y,
                    const struct tile_render_tile **ret, struct failure *failure) {
    struct tile_render_tile *tile = &render->tile;
    render->x = tile_x * TILE_RENDER_PX;
    render->y = tile_y * TILE_RENDER_PX;
    tile->width = min_u32(TILE_RENDER_PX, tile_render_canvas_width(&render->task) - render->x);
    tile->height = min_u32(TILE_RENDER_PX, tile_render_canvas_height(&render->task) - render->y);
    memset(tile->aligned, 0, TILE_PIXELS * pixel_bytes(&render->pre));
    memset(tile->covered, 0, TILE_PIXELS);
    int r = render->ready_reader ? read_ready(render, failure) : render_pieces(render, failure);
    if (r == 0 && render->task.post)
        r = read_post(render, failure);
    if (r < 0)
        return r;
    finish_signals(render);
    *ret = tile;
    return 0;
}
