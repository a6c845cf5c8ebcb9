/* Streaming an image; see image.h.
 *
 * Rows pass through a window: filled by the source's own step (the height of a tile), emptied in
 * multiples of 64 rows. Images whose stored rows run from top to bottom are delivered in that pass.
 * The others are first copied to the scratch file as they are stored, and then delivered from it,
 * turned; so are those whose tiles are too large for a window. The hash of the file is taken in
 * step with the first pass.
 */
#include "worker/memory/tracked.h"
#include "worker/stage/progress.h"
#include "worker/tiff/file_hash.h"
#include "worker/tiff/image_private.h"
#include "worker/tiff/orientation.h"
#include "worker/tiff/tiff_rows.h"
#include "worker/tiff/tiff_tiles.h"

#include <errno.h>
#include <string.h>

enum {
    BAND_ROWS = 64,             /* bands are multiples of this (image.h) */
    LARGEST_BAND_ROWS = 256,    /* and at most this, where the source's step allows */
    BAND_BYTES = 8 << 20,       /* aimed at */
    READ_AHEAD_BYTES = 4 << 20, /* how far the hash runs before the pixels */
};

struct pass {
    struct image *image;
    image_band_cb band; /* NULL: only the copy is made */
    void *context;
    struct scratch *scratch; /* NULL: no copy */
    struct file_hash *hash;
    struct progress *progress;
    double from, share; /* of the whole progress */
};

static uint32_t band_rows_for(size_t row_bytes) {
    size_t rows = BAND_BYTES / row_bytes / BAND_ROWS * BAND_ROWS;
    if (rows > LARGEST_BAND_ROWS)
        return LARGEST_BAND_ROWS;
    return rows < BAND_ROWS ? BAND_ROWS : (uint32_t)rows;
}

/* Rows filled at once: whole steps of the source. */
static uint32_t fill_rows_for(uint32_t step, size_t row_bytes) {
    uint32_t rows = band_rows_for(row_bytes);
    return step > rows ? step : rows / step * step;
}

/* Rows of the window: what is left of a band waits in it for the next rows. */
static uint32_t room_rows_for(uint32_t fill) {
    return fill % BAND_ROWS ? fill + BAND_ROWS - 1 : fill;
}

static bool is_turned(const struct tiff_layout *layout) {
    return layout->orientation > ORIENTATION_TOPRIGHT || !tiff_layout_fits_window(layout);
}

uint64_t image_stream_bytes(const struct tiff_layout *layout) {
    size_t pixel = tiff_layout_pixel_bytes(layout);
    uint64_t decoding = layout->width * pixel;
    if (layout->tiled)
        decoding = tiff_layout_block_bytes(layout) + tiff_tiles_spare_bytes(layout);
    decoding += layout->largest_read * (layout->planar && !layout->tiled ? layout->samples : 1);
    uint32_t step = layout->tiled ? layout->block_height : 1;
    uint64_t first = 0, second = 0;
    if (tiff_layout_fits_window(layout))
        first = room_rows_for(fill_rows_for(step, layout->width * pixel)) * layout->width * pixel;
    if (is_turned(layout)) {
        size_t row_bytes =
            pixel * (orientation_swaps_axes(layout->orientation) ? layout->height : layout->width);
        second = band_rows_for(row_bytes) * row_bytes;
    }
    return decoding + first > second ? decoding + first : second;
}

static int advance(const struct pass *pass, double fraction, struct failure *failure) {
    if (pass->hash) {
        uint64_t until = (uint64_t)(fraction * (double)pass->image->file.size) + READ_AHEAD_BYTES;
        int r = file_hash_advance(pass->hash, until, failure);
        if (r < 0)
            return r;
    }
    int r = progress_set(pass->progress, pass->from + pass->share * fraction);
    return r < 0 ? failure_set(failure, r, "%s: stopped while reading", pass->image->file.path) : 0;
}

/* Hands the first `ready` rows of the window to the copy and to the caller. */
static int deliver(const struct pass *pass, uint32_t y, uint32_t ready, char *window,
                   struct failure *failure) {
    const struct tiff_layout *layout = &pass->image->layout;
    size_t pixel = tiff_layout_pixel_bytes(layout), stride = layout->width * pixel;
    int r = 0;
    if (pass->scratch)
        r = scratch_put(pass->scratch, 0, y, layout->width, ready, window, stride, failure);
    if (r < 0 || !pass->band)
        return r;
    if (layout->orientation == ORIENTATION_TOPRIGHT) {
        for (uint32_t i = 0; i < ready; i++)
            orientation_mirror_row(pixel, window + i * stride, layout->width);
    }
    struct image_band band = {.y = y, .rows = ready, .pixels = window, .stride_bytes = stride};
    return pass->band(pass->context, &band, failure);
}

/* The stored image, rows from top to bottom. */
static int pass_rows(const struct pass *pass, struct tiff_rows *rows, struct failure *failure) {
    const struct tiff_layout *layout = &pass->image->layout;
    size_t row_bytes = tiff_layout_pixel_bytes(layout) * layout->width;
    uint32_t step = tiff_rows_step(rows), height = layout->height;
    uint32_t fill = fill_rows_for(step, row_bytes), room = room_rows_for(fill);
    CLEANUP_TRACKED char *window = tracked_alloc(room, row_bytes, "stream window");
    if (!window)
        return failure_set(failure, -ENOMEM,
                           "%s: no memory for %u rows of %zu bytes; give the worker more memory",
                           pass->image->file.path, room, row_bytes);
    uint32_t y = 0, have = 0; /* the window holds rows y to y + have */
    while (y < height) {
        uint32_t left = height - y - have, n = left < fill ? left : fill;
        int r = advance(pass, (double)(y + have) / height, failure);
        if (r == 0)
            r = tiff_rows_next(rows, n, window + have * row_bytes, failure);
        if (r < 0)
            return r;
        have += n;
        uint32_t ready = n == left ? have : have / BAND_ROWS * BAND_ROWS;
        r = ready ? deliver(pass, y, ready, window, failure) : 0;
        if (r < 0)
            return r;
        memmove(window, window + ready * row_bytes, (have - ready) * row_bytes);
        y += ready;
        have -= ready;
    }
    return 0;
}

/* The stored image, tile by tile, to the copy alone: for tiles too large for a window. */
static int pass_tiles(const struct pass *pass, struct tiff_handle *handle,
                      struct failure *failure) {
    const struct tiff_layout *layout = &pass->image->layout;
    uint32_t across = (layout->width - 1) / layout->block_width + 1;
    uint32_t down = (layout->height - 1) / layout->block_height + 1;
    size_t stride = tiff_layout_pixel_bytes(layout) * layout->block_width;
    size_t spare_bytes = tiff_tiles_spare_bytes(layout);
    CLEANUP_TRACKED void *tile = tracked_alloc(tiff_layout_block_bytes(layout), 1, "tile");
    CLEANUP_TRACKED void *spare = spare_bytes ? tracked_alloc(spare_bytes, 1, "stored tile") : NULL;
    if (!tile || (spare_bytes && !spare))
        return failure_set(failure, -ENOMEM, "%s: no memory for a tile of %zu bytes",
                           pass->image->file.path, tiff_layout_block_bytes(layout));
    for (uint32_t row = 0; row < down; row++) {
        uint32_t y = row * layout->block_height, left_y = layout->height - y;
        uint32_t h = left_y < layout->block_height ? left_y : layout->block_height;
        for (uint32_t column = 0; column < across; column++) {
            uint32_t x = column * layout->block_width, left_x = layout->width - x;
            uint32_t w = left_x < layout->block_width ? left_x : layout->block_width;
            double done = ((double)row * across + column) / ((double)down * across);
            int r = advance(pass, done, failure);
            if (r == 0)
                r = tiff_tiles_read(handle, layout, column, row, tile, spare, failure);
            if (r == 0)
                r = scratch_put(pass->scratch, x, y, w, h, tile, stride, failure);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int pass_stored(const struct pass *pass, struct failure *failure) {
    const struct image *image = pass->image;
    int r = 0;
    if (tiff_layout_fits_window(&image->layout)) {
        struct tiff_rows *rows = NULL;
        r = tiff_rows_open(&image->file, &image->layout, &rows, failure);
        if (r == 0)
            r = pass_rows(pass, rows, failure);
        tiff_rows_close(rows);
    } else {
        struct tiff_handle *handle = NULL;
        r = tiff_handle_open_directory(&image->file, false, image->layout.directory, &handle,
                                       failure);
        if (r == 0)
            r = pass_tiles(pass, handle, failure);
        tiff_handle_close(handle);
    }
    return r;
}

/* The upright image from the copy, in columns as wide as the reader turns at once. */
static int pass_copy(const struct pass *pass, struct image_reader *reader,
                     struct failure *failure) {
    const struct image_info *info = &pass->image->info;
    size_t row_bytes = tiff_layout_pixel_bytes(&pass->image->layout) * info->width;
    uint32_t at_once = band_rows_for(row_bytes);
    CLEANUP_TRACKED void *window = tracked_alloc(at_once, row_bytes, "stream window");
    if (!window)
        return failure_set(failure, -ENOMEM,
                           "%s: no memory for %u rows of %zu bytes; give the worker more memory",
                           pass->image->file.path, at_once, row_bytes);
    for (uint32_t y = 0, n; y < info->height; y += n) {
        n = info->height - y < at_once ? info->height - y : at_once;
        struct image_band band = {.y = y, .rows = n, .pixels = window, .stride_bytes = row_bytes};
        int r = advance(pass, (double)y / info->height, failure);
        if (r == 0)
            r = image_reader_read(reader, 0, y, info->width, n, window, row_bytes, failure);
        if (r == 0)
            r = pass->band(pass->context, &band, failure);
        if (r < 0)
            return r;
    }
    return 0;
}

/* First pass, the copy published and attached, and where needed the second. */
static int stream(struct image *image, struct pass *pass, const char *scratch_path,
                  struct failure *failure) {
    image_band_cb band = pass->band;
    bool copied = image->info.needs_scratch;
    bool turned = is_turned(&image->layout);
    int r = 0;
    if (copied)
        r = scratch_create(scratch_path, &image->file, &image->layout, &pass->scratch, failure);
    pass->band = turned ? NULL : band;
    pass->share = turned ? 0.6 : 1;
    if (r == 0)
        r = pass_stored(pass, failure);
    if (r == 0 && copied)
        r = scratch_publish(pass->scratch, failure);
    if (r < 0) {
        scratch_close(pass->scratch);
        return r;
    }
    if (copied) {
        scratch_close(image->scratch);
        image->scratch = pass->scratch;
    }
    if (!turned)
        return 0;
    struct pass second = {.image = image,
                          .band = band,
                          .context = pass->context,
                          .progress = pass->progress,
                          .from = pass->share,
                          .share = 1 - pass->share};
    struct image_reader *reader = NULL;
    r = image_reader_open(image, 0, &reader, failure);
    if (r == 0)
        r = pass_copy(&second, reader, failure);
    image_reader_close(reader);
    return r;
}

int image_stream(struct image *image, const char *scratch_path, image_band_cb band, void *context,
                 struct progress *progress, struct image_identity *ret_identity,
                 struct failure *failure) {
    if (image->info.needs_scratch && !scratch_path)
        return failure_set(failure, -EINVAL, "%s: it needs a place for its tiled copy",
                           image->file.path);
    struct pass pass = {.image = image, .band = band, .context = context, .progress = progress};
    struct image_identity identity = {.size = image->file.size, .mtime_ns = image->file.mtime_ns};
    int r = file_hash_open(&image->file, &pass.hash, failure);
    if (r == 0)
        r = stream(image, &pass, scratch_path, failure);
    if (r == 0)
        r = file_hash_finish(pass.hash, identity.hash, failure);
    if (r == 0)
        r = tiff_file_check_unchanged(&image->file, failure);
    file_hash_close(pass.hash);
    if (r < 0)
        return r;
    r = progress_set(progress, 1);
    if (r < 0)
        return failure_set(failure, r, "%s: stopped while reading", image->file.path);
    *ret_identity = identity;
    return 0;
}
