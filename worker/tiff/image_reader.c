/* Reading regions; see image.h.
 *
 * Three sources: uncompressed strips (straight from the file; the page cache is the cache), tiles
 * decoded by libtiff, and the scratch file's tiles; the latter two behind a cache of blocks. All
 * know stored coordinates; orientations other than 1 are turned piece by piece on top.
 */
#include "worker/memory/tracked.h"
#include "worker/tiff/block_cache.h"
#include "worker/tiff/image_private.h"
#include "worker/tiff/orientation.h"
#include "worker/tiff/read_ahead.h"
#include "worker/tiff/tiff_raw.h"
#include "worker/tiff/tiff_tiles.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { TURN_PX = 256 /* side of the squares that are turned at once */ };

struct image_reader {
    const struct image *image;  /* borrowed */
    struct tiff_handle *handle; /* owned; NULL: all comes from the scratch file */
    struct block_cache *cache;  /* NULL: uncompressed strips */
    bool owns_cache;
    void *spare; /* owned; for tiff_tiles_read */
    char *turn;  /* owned; NULL: orientation 1 */
    uint32_t block_width, block_height, columns;
    struct read_ahead ahead;
    size_t pixel_bytes;
    uint64_t read_bytes;
};

/* How big the cache is to be, or whose it is. */
struct cache_source {
    uint64_t bytes;
    struct block_cache *shared;
};

/* Never for more blocks than the image has. */
static int acquire_cache(struct image_reader *reader, size_t block_bytes,
                         const struct cache_source *source, struct failure *failure) {
    const struct tiff_layout *layout = &reader->image->layout;
    uint64_t cache_bytes = source->bytes;
    reader->columns = (layout->width - 1) / reader->block_width + 1;
    reader->cache = source->shared;
    if (reader->cache)
        return 0;
    reader->owns_cache = true;
    uint64_t rows = (layout->height - 1) / reader->block_height + 1;
    uint64_t all_bytes = rows * reader->columns * block_bytes;
    reader->cache = block_cache_new(block_bytes, cache_bytes < all_bytes ? cache_bytes : all_bytes);
    if (!reader->cache)
        return failure_set(failure, -ENOMEM,
                           "%s: no memory for a cache of %llu bytes; give the worker more memory",
                           reader->image->file.path, (unsigned long long)cache_bytes);
    return 0;
}

static int acquire_source(struct image_reader *reader, const struct cache_source *cache,
                          struct failure *failure) {
    const struct image *image = reader->image;
    const struct tiff_layout *layout = &image->layout;
    if (image->scratch) {
        reader->block_width = SCRATCH_TILE_WIDTH;
        reader->block_height = SCRATCH_TILE_HEIGHT;
        return acquire_cache(reader, scratch_tile_bytes(image->scratch), cache, failure);
    }
    if (image->info.needs_scratch)
        return failure_set(failure, -EINVAL, "%s: its tiled copy was not made yet",
                           image->file.path);
    int r = tiff_handle_open_directory(&image->file, false, layout->directory, &reader->handle,
                                       failure);
    if (r < 0 || layout->raw)
        return r;
    reader->block_width = layout->block_width;
    reader->block_height = layout->block_height;
    size_t spare = tiff_tiles_spare_bytes(layout);
    if (spare) {
        reader->spare = tracked_alloc(spare, 1, "stored tile");
        if (!reader->spare)
            return failure_set(failure, -ENOMEM, "%s: no memory for a tile of %zu bytes",
                               image->file.path, spare);
    }
    return acquire_cache(reader, tiff_layout_block_bytes(layout), cache, failure);
}

static int open_reader(const struct image *image, const struct cache_source *cache,
                       struct image_reader **ret, struct failure *failure) {
    struct image_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return failure_set(failure, -ENOMEM, "%s: out of memory", image->file.path);
    reader->image = image;
    reader->pixel_bytes = tiff_layout_pixel_bytes(&image->layout);
    int r = tiff_file_check_unchanged(&image->file, failure);
    if (r == 0)
        r = acquire_source(reader, cache, failure);
    if (r == 0 && image->layout.orientation != ORIENTATION_TOPLEFT) {
        reader->turn = tracked_alloc(TURN_PX * TURN_PX, reader->pixel_bytes, "turned square");
        if (!reader->turn)
            r = failure_set(failure, -ENOMEM, "%s: no memory to turn it", image->file.path);
    }
    if (r < 0) {
        image_reader_close(reader);
        return r;
    }
    *ret = reader;
    return 0;
}

int image_reader_open(struct image *image, uint64_t cache_bytes, struct image_reader **ret,
                      struct failure *failure) {
    return open_reader(image, &(struct cache_source){.bytes = cache_bytes}, ret, failure);
}

int image_reader_open_beside(const struct image_reader *first, struct image_reader **ret,
                             struct failure *failure) {
    return open_reader(first->image, &(struct cache_source){.shared = first->cache}, ret, failure);
}

void image_reader_close(struct image_reader *reader) {
    if (!reader)
        return;
    tiff_handle_close(reader->handle);
    if (reader->owns_cache)
        block_cache_free(reader->cache);
    tracked_free(reader->spare);
    tracked_free(reader->turn);
    free(reader);
}

/* The block is to be given back to the cache. */
static int get_block(struct image_reader *reader, uint32_t column, uint32_t row, char **ret_pixels,
                     struct failure *failure) {
    bool fresh = false;
    char *pixels = block_cache_get(reader->cache, (uint64_t)row * reader->columns + column, &fresh);
    int r = 0;
    if (fresh && reader->handle)
        r = tiff_tiles_read(reader->handle, &reader->image->layout, column, row, pixels,
                            reader->spare, failure);
    else if (fresh)
        r = scratch_read_tile(reader->image->scratch, column, row, pixels, failure);
    if (fresh)
        reader->read_bytes +=
            (uint64_t)reader->block_width * reader->block_height * reader->pixel_bytes;
    if (r < 0)
        block_cache_release(reader->cache, pixels, false);
    else
        *ret_pixels = pixels;
    return r;
}

/* The part of the rectangle that lies in each block, copied row by row. */
static int read_blocks(struct image_reader *reader, struct orientation_rect rect, char *pixels,
                       size_t stride_bytes, struct failure *failure) {
    const uint32_t width = reader->block_width, height = reader->block_height;
    const uint32_t right = rect.x + rect.width, bottom = rect.y + rect.height;
    const size_t pixel = reader->pixel_bytes;
    for (uint32_t y = rect.y, rows; y < bottom; y += rows) {
        uint32_t in_y = y % height;
        rows = bottom - y < height - in_y ? bottom - y : height - in_y;
        for (uint32_t x = rect.x, columns; x < right; x += columns) {
            uint32_t in_x = x % width;
            columns = right - x < width - in_x ? right - x : width - in_x;
            char *block = NULL;
            int r = get_block(reader, x / width, y / height, &block, failure);
            if (r < 0)
                return r;
            const char *from = block + ((size_t)in_y * width + in_x) * pixel;
            char *to = pixels + (y - rect.y) * stride_bytes + (x - rect.x) * pixel;
            for (uint32_t i = 0; i < rows; i++, from += width * pixel, to += stride_bytes)
                memcpy(to, from, columns * pixel);
            block_cache_release(reader->cache, block, true);
        }
    }
    return 0;
}

static int read_stored(struct image_reader *reader, struct orientation_rect rect, char *pixels,
                       size_t stride_bytes, struct failure *failure) {
    if (reader->handle && (!reader->cache || reader->ahead.has_swath)) /* else a copy; a tile */
        read_ahead_region(&reader->ahead, reader->handle, &reader->image->file,
                          &reader->image->layout, &rect);
    if (reader->cache)
        return read_blocks(reader, rect, pixels, stride_bytes, failure);
    reader->read_bytes += (uint64_t)rect.width * rect.height * reader->pixel_bytes;
    return tiff_raw_read(reader->handle, &reader->image->file, &reader->image->layout, rect.x,
                         rect.y, rect.width, rect.height, pixels, stride_bytes, failure);
}

static int read_turned(struct image_reader *reader, struct orientation_rect rect, char *pixels,
                       size_t stride_bytes, struct failure *failure) {
    const struct tiff_layout *layout = &reader->image->layout;
    const size_t pixel = reader->pixel_bytes;
    for (uint32_t y = 0; y < rect.height; y += TURN_PX) {
        for (uint32_t x = 0; x < rect.width; x += TURN_PX) {
            struct orientation_rect piece = {
                .x = rect.x + x,
                .y = rect.y + y,
                .width = rect.width - x < TURN_PX ? rect.width - x : TURN_PX,
                .height = rect.height - y < TURN_PX ? rect.height - y : TURN_PX};
            struct orientation_rect stored =
                orientation_to_stored(layout->orientation, layout->width, layout->height, piece);
            int r = read_stored(reader, stored, reader->turn, stored.width * pixel, failure);
            if (r < 0)
                return r;
            orientation_apply(layout->orientation, pixel, reader->turn, piece.width, piece.height,
                              pixels + y * stride_bytes + x * pixel, stride_bytes);
        }
    }
    return 0;
}

int image_reader_read(struct image_reader *reader, uint32_t x, uint32_t y, uint32_t width,
                      uint32_t height, void *pixels, size_t stride_bytes, struct failure *failure) {
    const struct image_info *info = &reader->image->info;
    struct orientation_rect rect = {.x = x, .y = y, .width = width, .height = height};
    if (x > info->width || width > info->width - x || y > info->height || height > info->height - y)
        return failure_set(failure, -EINVAL, "%s: %u x %u px at %u, %u are not inside %u x %u px",
                           reader->image->file.path, width, height, x, y, info->width,
                           info->height);
    if (width == 0 || height == 0)
        return 0;
    return reader->turn ? read_turned(reader, rect, pixels, stride_bytes, failure)
                        : read_stored(reader, rect, pixels, stride_bytes, failure);
}

void image_reader_expect(struct image_reader *reader, const struct image_swath *swath) {
    /* a turned image's lines are not the file's */
    const struct image_swath *lines = reader->turn ? &image_whole_rows : swath;
    /* whole rows of tiles are much, and not read one after the other */
    reader->ahead =
        (struct read_ahead){.swath = *lines, .has_swath = !reader->cache || !isinf(lines->left)};
}

uint64_t image_reader_read_bytes(const struct image_reader *reader) { return reader->read_bytes; }
