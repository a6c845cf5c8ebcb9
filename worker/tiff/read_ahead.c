/* See read_ahead.h. */
#include "worker/tiff/read_ahead.h"

#include "worker/tiff/tiff_tiles.h"

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

/* Rows that are stored together: a line. */
static uint32_t line_rows(const struct tiff_layout *layout) {
    return layout->raw ? 1 : layout->block_height;
}

/* Columns [left, right) of lines. */
static void announce(const struct source *source, uint32_t left, uint32_t right, uint32_t from,
                     uint32_t end) {
    const struct tiff_layout *layout = source->layout;
    const uint32_t y = from * line_rows(layout), below = layout->height - y;
    const uint64_t height = (uint64_t)(end - from) * line_rows(layout);
    const struct orientation_rect region = {left, y, right - left,
                                            height < below ? (uint32_t)height : below};
    if (layout->raw)
        tiff_raw_will_need(source->handle, source->file, layout, &region);
    else
        tiff_tiles_will_need(source->handle, source->file, layout, &region);
}

static void announce_line(const struct image_swath *swath, const struct source *source,
                          uint32_t line) {
    const uint32_t n = line_rows(source->layout), width = source->layout->width;
    const double y = (double)line * n, last = y + n - 1;
    double left = swath->left + fmin(swath->left_slope * y, swath->left_slope * last);
    double right = swath->right + fmax(swath->right_slope * y, swath->right_slope * last);
    uint32_t x = clamp_px(floor(left), width), end_x = clamp_px(ceil(right), width);
    if (x < end_x)
        announce(source, x, end_x, line, line + 1);
}

static void announce_lines(const struct image_swath *swath, const struct source *source,
                           uint32_t from, uint32_t end) {
    if (isinf(swath->left) && isinf(swath->right) && from < end) /* at once: they are one piece */
        announce(source, 0, source->layout->width, from, end);
    else
        for (uint32_t line = from; line < end; line++)
            announce_line(swath, source, line);
}

void read_ahead_region(struct read_ahead *ahead, struct tiff_handle *handle,
                       const struct tiff_file *file, const struct tiff_layout *layout,
                       const struct orientation_rect *region) {
    const struct source source = {handle, file, layout};
    const uint32_t rows = line_rows(layout), n_lines = (layout->height - 1) / rows + 1;
    const uint32_t more = (AHEAD_ROWS - 1) / rows + 1, remembered = REMEMBERED_ROWS / rows + more;
    const uint32_t line = region->y / rows, end = (region->y + region->height - 1) / rows + 1;
    if (!ahead->has_swath) {
        announce(&source, region->x, region->x + region->width, line, end);
        return;
    }
    if (line > ahead->to || end < ahead->from)
        ahead->from = ahead->to = line;
    if (line < ahead->from) {
        uint32_t first = line > more ? line - more : 0;
        announce_lines(&ahead->swath, &source, first, ahead->from);
        ahead->from = first;
        if (ahead->to - first > remembered)
            ahead->to = first + remembered;
    }
    if (end > ahead->to) {
        uint32_t last = n_lines - end < more ? n_lines : end + more;
        announce_lines(&ahead->swath, &source, ahead->to, last);
        ahead->to = last;
        if (last - ahead->from > remembered)
            ahead->from = last - remembered;
    }
}
