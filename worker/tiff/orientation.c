/* Orientation; see orientation.h. Every value is the choice of three switches: are rows and columns
 * exchanged, do stored columns run backwards, do stored rows. */
#include "worker/tiff/orientation.h"

#include <string.h>

static const struct {
    bool swap, back_columns, back_rows;
} turns[9] = {
    [1] = {false, false, false}, [2] = {false, true, false}, [3] = {false, true, true},
    [4] = {false, false, true},  [5] = {true, false, false}, [6] = {true, false, true},
    [7] = {true, true, true},    [8] = {true, true, false},
};

bool orientation_swaps_axes(uint32_t orientation) { return turns[orientation].swap; }

struct orientation_rect orientation_to_stored(uint32_t orientation, uint32_t stored_width,
                                              uint32_t stored_height,
                                              struct orientation_rect upright) {
    struct orientation_rect stored = upright;
    if (turns[orientation].swap)
        stored = (struct orientation_rect){
            .x = upright.y, .y = upright.x, .width = upright.height, .height = upright.width};
    if (turns[orientation].back_columns)
        stored.x = stored_width - stored.x - stored.width;
    if (turns[orientation].back_rows)
        stored.y = stored_height - stored.y - stored.height;
    return stored;
}

/* Walks the upright rows; step and row_step are the stored distances of one pixel to the right and
 * one row down. A constant pixel size makes the copies single instructions. */
#define TURN(size)                                                                                 \
    do {                                                                                           \
        for (uint32_t y = 0; y < height; y++) {                                                    \
            const char *source = first + (ptrdiff_t)y * row_step;                                  \
            char *target = (char *)upright + y * stride_bytes;                                     \
            for (uint32_t x = 0; x < width; x++, source += step, target += (size))                 \
                memcpy(target, source, (size));                                                    \
        }                                                                                          \
    } while (0)

void orientation_apply(uint32_t orientation, size_t pixel_bytes, const void *stored, uint32_t width,
                       uint32_t height, void *upright, size_t stride_bytes) {
    bool swap = turns[orientation].swap;
    ptrdiff_t columns = swap ? height : width, rows = swap ? width : height;
    ptrdiff_t across = (ptrdiff_t)pixel_bytes, down = columns * across;
    const char *first = stored;
    if (turns[orientation].back_columns) {
        first += (columns - 1) * across;
        across = -across;
    }
    if (turns[orientation].back_rows) {
        first += (rows - 1) * down;
        down = -down;
    }
    ptrdiff_t step = swap ? down : across, row_step = swap ? across : down;
    switch (pixel_bytes) {
    case 1:
        TURN(1);
        break;
    case 2:
        TURN(2);
        break;
    case 3:
        TURN(3);
        break;
    case 6:
        TURN(6);
        break;
    default:
        TURN(pixel_bytes);
    }
}

void orientation_mirror_row(size_t pixel_bytes, void *row, uint32_t width) {
    char pixel[256]; /* TIFF_LIMIT_SAMPLES of 32 bit */
    char *left = row, *right = left + (width - 1) * pixel_bytes;
    for (; left < right; left += pixel_bytes, right -= pixel_bytes) {
        memcpy(pixel, left, pixel_bytes);
        memcpy(left, right, pixel_bytes);
        memcpy(right, pixel, pixel_bytes);
    }
}
