/* Decoding tiles; see tiff_tiles.h. libtiff swaps bytes and undoes the predictor; what is left is
 * arranging the samples. */
#include "worker/tiff/tiff_tiles.h"

#include "worker/tiff/tiff_pixels.h"

#include <string.h>

static size_t stored_block_bytes(const struct tiff_layout *layout) {
    return tiff_layout_stored_bytes(layout) * layout->block_width * layout->block_height;
}

size_t tiff_tiles_spare_bytes(const struct tiff_layout *layout) {
    return tiff_pixels_same_samples(layout) ? 0 : stored_block_bytes(layout);
}

static int decode(struct tiff_handle *handle, const struct tiff_layout *layout, uint32_t column,
                  uint32_t row, uint32_t plane, void *bytes, struct failure *failure) {
    TIFF *tiff = tiff_handle_tiff(handle);
    uint32_t x = column * layout->block_width, y = row * layout->block_height;
    uint32_t tile = TIFFComputeTile(tiff, x, y, 0, (uint16_t)plane);
    tmsize_t size = (tmsize_t)stored_block_bytes(layout);
    tiff_handle_forget(handle);
    if (TIFFReadEncodedTile(tiff, tile, bytes, size) == size && !tiff_handle_damaged(handle))
        return 0;
    char what[96];
    (void)snprintf(what, sizeof(what), "the tile at x %u, y %u cannot be decoded", x, y);
    return tiff_handle_fail(handle, what, failure);
}

int tiff_tiles_read(struct tiff_handle *handle, const struct tiff_layout *layout, uint32_t column,
                    uint32_t row, void *pixels, void *spare, struct failure *failure) {
    size_t count = (size_t)layout->block_width * layout->block_height;
    bool same = tiff_pixels_same_samples(layout);
    uint32_t n_planes = layout->planar ? layout->samples : 1;
    for (uint32_t plane = 0; plane < n_planes; plane++) {
        int r = decode(handle, layout, column, row, plane, same ? pixels : spare, failure);
        if (r < 0)
            return r;
        if (layout->planar && !same)
            tiff_pixels_spread(layout, plane, spare, pixels, count);
        else if (!same)
            tiff_pixels_pick(layout, spare, pixels, count);
    }
    tiff_pixels_invert(layout, pixels, count);
    return 0;
}

void tiff_tiles_will_need(struct tiff_handle *handle, const struct tiff_file *file,
                          const struct tiff_layout *layout, const struct orientation_rect *region) {
    const uint32_t width = layout->block_width, height = layout->block_height;
    const uint64_t most = stored_block_bytes(layout);
    TIFF *tiff = tiff_handle_tiff(handle);
    for (uint32_t plane = 0; plane < (layout->planar ? layout->samples : 1); plane++)
        for (uint32_t y = region->y / height * height; y < region->y + region->height; y += height)
            for (uint32_t x = region->x / width * width; x < region->x + region->width;
                 x += width) {
                uint32_t tile = TIFFComputeTile(tiff, x, y, 0, (uint16_t)plane);
                uint64_t at = TIFFGetStrileOffset(tiff, tile);
                uint64_t size = TIFFGetStrileByteCount(tiff, tile); /* as claimed */
                tiff_file_will_need(file, at, at + (size < most ? size : most));
            }
}
