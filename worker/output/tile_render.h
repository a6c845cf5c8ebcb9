/* One canvas tile of the aligned pre image, and both images' signals there.
 *
 * Canvas: the post frame with `pad` px more on every side; canvas pixel (x, y) is post pixel
 * (x - pad, y - pad). A canvas pixel is covered when the map takes its centre into the pre image's
 * area, [-0.5, width - 0.5) x [-0.5, height - 0.5); pixels that are not covered are 0. Near the
 * image's edge the kernel sees the edge pixels repeated.
 *
 * A renderer belongs to one thread; its buffers have a fixed size, whatever the map and the images.
 */
#ifndef WORKER_OUTPUT_TILE_RENDER_H
#define WORKER_OUTPUT_TILE_RENDER_H

#include "worker/align/signal.h"
#include "worker/align/transform.h"
#include "worker/tiff/image.h"

#include <stdbool.h>

enum { TILE_RENDER_PX = 256 };

/* What is rendered. Borrows everything. */
struct tile_render_task {
    struct image *pre, *post; /* post may be NULL: then ... */
    struct image *ready; /* the aligned image of this task, made before: read, not rendered; or NULL
                          */
    uint32_t frame_width, frame_height;      /* ... the canvas is this and its padding */
    const struct transform_inverse *inverse; /* NULL, or see placement_turn_round */
    const struct transform *post_to_pre;
    const struct signal *pre_signal, *post_signal; /* without post: not looked at */
    enum params_interpolation interpolation;
    uint32_t pad;
};

/* One rendered tile. Rows are TILE_RENDER_PX pixels apart; only width x height of them count and
 * the rest is zero. Owned by the renderer, overwritten by its next call. */
struct tile_render_tile {
    uint32_t width, height;
    void *aligned;      /* pre's samples and depth, interleaved */
    void *post;         /* post's; 0 outside the post image */
    uint8_t *covered;   /* 1: in both the pre image and the post image; else 0 */
    float *pre_signal;  /* of `aligned`, as written: rounded */
    float *post_signal; /* 0 outside the post image */
    uint64_t n_covered; /* ones in `covered` */
};

struct tile_render;

/* Of the post image; without one the frame's size, with no samples. */
struct image_info tile_render_frame(const struct tile_render_task *task);
uint32_t tile_render_canvas_width(const struct tile_render_task *task);
uint32_t tile_render_canvas_height(const struct tile_render_task *task);

/* Bytes of one renderer's own buffers, caches not counted. */
uint64_t tile_render_bytes(const struct tile_render_task *task);

/* -ERANGE when the map has no finite value somewhere on the canvas (a horizon crosses it). */
MUST_USE int tile_render_check(const struct tile_render_task *task, struct failure *failure);

/* cache_bytes: for each of the two images' decoded blocks. */
MUST_USE int tile_render_open(const struct tile_render_task *task, uint64_t cache_bytes,
                              struct tile_render **ret, struct failure *failure);
/* For another thread: the same task with the caches of `first`, which is closed after it. */
MUST_USE int tile_render_open_beside(const struct tile_render *first, struct tile_render **ret,
                                     struct failure *failure);
void tile_render_close(struct tile_render *render); /* NULL is fine */

/* Pixel bytes that it read so far (image_reader_read_bytes). */
uint64_t tile_render_read_pre(const struct tile_render *render);
uint64_t tile_render_read_post(const struct tile_render *render);

/* A hint: the tiles to come will cover the canvas columns [first_x, end_x) (px) from top to bottom.
 */
void tile_render_expect(struct tile_render *render, uint32_t first_x, uint32_t end_x);
/* Renders tile (tile_x, tile_y) of the canvas; *ret is borrowed from the renderer. */
MUST_USE int tile_render_run(struct tile_render *render, uint32_t tile_x, uint32_t tile_y,
                             const struct tile_render_tile **ret, struct failure *failure);

#endif
