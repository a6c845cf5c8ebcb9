/* Sequential rows; see tiff_rows.h.
 *
 * Compressed strips are decoded row by row, so that a strip as tall as the image needs no more
 * memory than one of a single row. Planes apart would make one decoder start over at every row:
 * each plane has a handle of its own.
 */
#include "worker/tiff/tiff_rows.h"

#include "worker/memory/tracked.h"
#include "worker/tiff/tiff_limits.h"
#include "worker/tiff/tiff_pixels.h"
#include "worker/tiff/tiff_raw.h"
#include "worker/tiff/tiff_tiles.h"

#include <errno.h>
#include <string.h>

/* A mapped file's pages are dropped after as many rows. */
enum { RELEASE_ROWS = 64 };

struct tiff_rows {
    const struct tiff_file *file;
    const struct tiff_layout *layout;
    struct tiff_handle *handles[TIFF_LIMIT_SAMPLES]; /* owned; one per plane in compressed strips */
    uint32_t n_handles;
    uint32_t y;
    void *tile;  /* owned; tiles only */
    void *spare; /* owned; stored samples that are not as delivered; NULL: not needed */
};

static int acquire(struct tiff_rows *rows, struct failure *failure) {
    const struct tiff_layout *layout = rows->layout;
    bool scanlines = !layout->raw && !layout->tiled;
    uint32_t n = scanlines && layout->planar ? layout->samples : 1;
    for (uint32_t i = 0; i < n; i++) {
        int r = tiff_handle_open_directory(rows->file, layout->mapped, layout->directory,
                                           &rows->handles[i], failure);
        if (r < 0)
            return r;
        rows->n_handles++;
    }
    size_t spare = 0;
    if (layout->tiled) {
        spare = tiff_tiles_spare_bytes(layout);
        rows->tile = tracked_alloc(tiff_layout_block_bytes(layout), 1, "tile");
        if (!rows->tile)
            return failure_set(failure, -ENOMEM, "%s: no memory for a tile", rows->file->path);
    } else if (scanlines) {
        spare = tiff_layout_stored_bytes(layout) * layout->width;
        tmsize_t line = TIFFScanlineSize(tiff_handle_tiff(rows->handles[0]));
        if (line < 0 || (size_t)line != spare)
            return tiff_handle_fail(rows->handles[0], "its rows have no clear size", failure);
    }
    if (spare) {
        rows->spare = tracked_alloc(spare, 1, "stored row");
        if (!rows->spare)
            return failure_set(failure, -ENOMEM, "%s: no memory for a row", rows->file->path);
    }
    return 0;
}

int tiff_rows_open(const struct tiff_file *file, const struct tiff_layout *layout,
                   struct tiff_rows **ret, struct failure *failure) {
    struct tiff_rows *rows = calloc(1, sizeof(*rows));
    if (!rows)
        return failure_set(failure, -ENOMEM, "%s: out of memory", file->path);
    rows->file = file;
    rows->layout = layout;
    int r = acquire(rows, failure);
    if (r < 0) {
        tiff_rows_close(rows);
        return r;
    }
    *ret = rows;
    return 0;
}

void tiff_rows_close(struct tiff_rows *rows) {
    if (!rows)
        return;
    for (uint32_t i = 0; i < rows->n_handles; i++)
        tiff_handle_close(rows->handles[i]);
    tracked_free(rows->tile);
    tracked_free(rows->spare);
    free(rows);
}

uint32_t tiff_rows_step(const struct tiff_rows *rows) {
    return rows->layout->tiled ? rows->layout->block_height : 1;
}

static int decode_line(struct tiff_rows *rows, uint32_t plane, void *bytes,
                       struct failure *failure) {
    struct tiff_handle *handle = rows->handles[plane];
    tiff_handle_forget(handle);
    if (TIFFReadScanline(tiff_handle_tiff(handle), bytes, rows->y, (uint16_t)plane) == 1 &&
        !tiff_handle_damaged(handle))
        return 0;
    char what[64];
    (void)snprintf(what, sizeof(what), "row %u cannot be decoded", rows->y);
    return tiff_handle_fail(handle, what, failure);
}

static int next_line(struct tiff_rows *rows, void *pixels, struct failure *failure) {
    const struct tiff_layout *layout = rows->layout;
    bool same = tiff_pixels_same_samples(layout);
    for (uint32_t plane = 0; plane < rows->n_handles; plane++) {
        int r = decode_line(rows, plane, same ? pixels : rows->spare, failure);
        if (r < 0)
            return r;
        if (layout->planar && !same)
            tiff_pixels_spread(layout, plane, rows->spare, pixels, layout->width);
        else if (!same)
            tiff_pixels_pick(layout, rows->spare, pixels, layout->width);
        if (layout->mapped && rows->y % RELEASE_ROWS == 0)
            tiff_handle_release(rows->handles[plane]);
    }
    tiff_pixels_invert(layout, pixels, layout->width);
    return 0;
}

static int next_tiles(struct tiff_rows *rows, uint32_t count, char *pixels,
                      struct failure *failure) {
    const struct tiff_layout *layout = rows->layout;
    size_t pixel = tiff_layout_pixel_bytes(layout);
    uint32_t tile_row = rows->y / layout->block_height;
    for (uint32_t column = 0, x = 0; x < layout->width; column++, x += layout->block_width) {
        int r = tiff_tiles_read(rows->handles[0], layout, column, tile_row, rows->tile, rows->spare,
                                failure);
        if (r < 0)
            return r;
        uint32_t left = layout->width - x;
        size_t used = (left < layout->block_width ? left : layout->block_width) * pixel;
        for (uint32_t i = 0; i < count; i++)
            memcpy(pixels + ((size_t)i * layout->width + x) * pixel,
                   (char *)rows->tile + (size_t)i * layout->block_width * pixel, used);
    }
    return 0;
}

int tiff_rows_next(struct tiff_rows *rows, uint32_t count, void *pixels, struct failure *failure) {
    const struct tiff_layout *layout = rows->layout;
    size_t row_bytes = tiff_layout_pixel_bytes(layout) * layout->width;
    char *at = pixels;
    int r = 0;
    if (layout->raw) {
        r = tiff_raw_read(rows->handles[0], rows->file, layout, 0, rows->y, layout->width, count,
                          pixels, row_bytes, failure);
        rows->y += r < 0 ? 0 : count;
        return r;
    }
    uint32_t step = tiff_rows_step(rows);
    for (uint32_t done = 0; done < count;) {
        uint32_t n = count - done < step ? count - done : step;
        r = layout->tiled ? next_tiles(rows, n, at, failure) : next_line(rows, at, failure);
        if (r < 0)
            return r;
        done += n;
        rows->y += n;
        at += n * row_bytes;
    }
    return 0;
}
