/* Reading uncompressed strips; see tiff_raw.h.
 *
 * Where stored and delivered pixels are alike, bytes go from the page cache to the caller's buffer
 * in one step: a segment per row, or a whole strip at once for rows of full width. Otherwise they
 * pass through a small buffer. Byte order and inversion are put right in place.
 */
#include "worker/tiff/tiff_raw.h"

#include "worker/tiff/tiff_pixels.h"

enum {
    PIECE_BYTES = 32 * 1024, /* on the stack */
};

static uint64_t place_of(struct tiff_handle *handle, const struct tiff_layout *layout,
                         uint32_t plane, uint32_t x, uint32_t y) {
    uint32_t per_plane = (layout->height - 1) / layout->block_height + 1;
    uint32_t strip = plane * per_plane + y / layout->block_height;
    uint64_t row_bytes = (uint64_t)layout->width * tiff_layout_stored_bytes(layout);
    return TIFFGetStrileOffset(tiff_handle_tiff(handle), strip) +
           y % layout->block_height * row_bytes + x * (uint64_t)tiff_layout_stored_bytes(layout);
}

/* One row, in pieces: extra samples are dropped, planes interleaved. */
static int read_arranged(struct tiff_handle *handle, const struct tiff_file *file,
                         const struct tiff_layout *layout, uint32_t x, uint32_t y, uint32_t width,
                         char *pixels, struct failure *failure) {
    _Alignas(64) char piece[PIECE_BYTES];
    size_t stored = tiff_layout_stored_bytes(layout), delivered = tiff_layout_pixel_bytes(layout);
    uint32_t at_once = (uint32_t)(sizeof(piece) / stored);
    uint32_t n_planes = layout->planar ? layout->samples : 1;
    for (uint32_t plane = 0; plane < n_planes; plane++) {
        uint64_t place = place_of(handle, layout, plane, x, y);
        for (uint32_t done = 0; done < width;) {
            uint32_t count = width - done < at_once ? width - done : at_once;
            int r = tiff_file_read(file, place + done * (uint64_t)stored, piece, count * stored,
                                   failure);
            if (r < 0)
                return r;
            if (layout->planar)
                tiff_pixels_spread(layout, plane, piece, pixels + done * delivered, count);
            else
                tiff_pixels_pick(layout, piece, pixels + done * delivered, count);
            done += count;
        }
    }
    return 0;
}

int tiff_raw_read(struct tiff_handle *handle, const struct tiff_file *file,
                  const struct tiff_layout *layout, uint32_t x, uint32_t y, uint32_t width,
                  uint32_t height, void *pixels, size_t stride_bytes, struct failure *failure) {
    char *at = pixels;
    size_t row_bytes = width * tiff_layout_pixel_bytes(layout);
    bool same = tiff_pixels_same_samples(layout);
    bool whole_rows = same && width == layout->width && stride_bytes == row_bytes;
    for (uint32_t done = 0, rows; done < height; done += rows, at += rows * stride_bytes) {
        uint32_t left_in_strip = layout->block_height - (y + done) % layout->block_height;
        rows = !whole_rows ? 1 : height - done < left_in_strip ? height - done : left_in_strip;
        int r = same ? tiff_file_read(file, place_of(handle, layout, 0, x, y + done), at,
                                      rows * row_bytes, failure)
                     : read_arranged(handle, file, layout, x, y + done, width, at, failure);
        if (r < 0)
            return r;
        tiff_pixels_swap(layout, at, (size_t)rows * width);
        tiff_pixels_invert(layout, at, (size_t)rows * width);
    }
    return 0;
}

void tiff_raw_will_need(struct tiff_handle *handle, const struct tiff_file *file,
                        const struct tiff_layout *layout, const struct orientation_rect *region) {
    size_t stored = tiff_layout_stored_bytes(layout);
    bool whole_rows = region->width == layout->width;
    for (uint32_t plane = 0; plane < (layout->planar ? layout->samples : 1); plane++) {
        uint64_t from = 0, end = 0; /* a run of pieces that follow each other */
        for (uint32_t done = 0, rows; done < region->height; done += rows) {
            uint32_t y = region->y + done, left = region->height - done;
            uint32_t left_in_strip = layout->block_height - y % layout->block_height;
            rows = !whole_rows ? 1 : left < left_in_strip ? left : left_in_strip;
            uint64_t place = place_of(handle, layout, plane, region->x, y);
            if (place != end) {
                tiff_file_will_need(file, from, end);
                from = place;
            }
            end = place + rows * (uint64_t)region->width * stored;
        }
        tiff_file_will_need(file, from, end);
    }
}
