/* See read_ahead.h. */
#include "worker/tiff/read_ahead.h"

#include <math.h>

enum {
    AHEAD_ROWS = 256,       /* a row of output tiles: read while the one before is made */
    REMEMBERED_ROWS = 8192, /* what was announced long ago may be gone again */
};

struct source {
    struct tiff_handle *handle;
    const struct tiff_file *file;
    const struct tiff_layout *layout;
};

static uint32_t clamp_px(double value, uint32_t most) {
    return value > 0 ? value < most ? (uint32_t)value : most : 0;
}

static void announce_row(const struct image_swath *swath, const struct source *source, uint32_t y) {
    uint32_t width = source->layout->width;
    uint32_t left = clamp_px(floor(swath->left + swath->left_slope * y), width);
    uint32_t right = clamp_px(ceil(swath->right + swath->right_slope * y), width);
    if (left < right)
        tiff_raw_will_need(source->handle, source->file, source->layout,
                           &(struct orientation_rect){left, y, right - left, 1});
}

static void announce_rows(const struct image_swath *swath, const struct source *source,
                          uint32_t from, uint32_t end) {
    if (isinf(swath->left) && isinf(swath->right) && from < end) /* at once: they are one piece */
        tiff_raw_will_need(source->handle, source->file, source->layout,
                           &(struct orientation_rect){0, from, source->layout->width, end - from});
    else
        for (uint32_t y = from; y < end; y++)
            announce_row(swath, source, y);
}

void read_ahead_region(struct read_ahead *ahead, struct tiff_handle *handle,
                       const struct tiff_file *file, const struct tiff_layout *layout,
                       const struct orientation_rect *region) {
    const struct source source = {handle, file, layout};
    uint32_t y = region->y, end = y + region->height;
    if (!ahead->has_swath) {
        tiff_raw_will_need(handle, file, layout, region);
        return;
    }
    if (y > ahead->to || end < ahead->from)
        ahead->from = ahead->to = y;
    if (y < ahead->from) {
        uint32_t first = y > AHEAD_ROWS ? y - AHEAD_ROWS : 0;
        announce_rows(&ahead->swath, &source, first, ahead->from);
        ahead->from = first;
        if (ahead->to - first > REMEMBERED_ROWS)
            ahead->to = first + REMEMBERED_ROWS;
    }
    if (end > ahead->to) {
        uint32_t left = layout->height - end, last = end + (left < AHEAD_ROWS ? left : AHEAD_ROWS);
        announce_rows(&ahead->swath, &source, ahead->to, last);
        ahead->to = last;
        if (last - ahead->from > REMEMBERED_ROWS)
            ahead->from = last - REMEMBERED_ROWS;
    }
}
