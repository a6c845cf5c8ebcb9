/* TIFF's Orientation tag: which stored pixel stands where in the image as displayed.
 *
 * TIFF 6.0, section 8: the value names the visual sides that row 0 and column 0 are at, 1 being top
 * and left; from 5 on rows and columns change places.
 */
#ifndef WORKER_TIFF_ORIENTATION_H
#define WORKER_TIFF_ORIENTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct orientation_rect {
    uint32_t x, y, width, height;
};

bool orientation_swaps_axes(uint32_t orientation);

/* The stored rectangle that the upright one shows. stored_width and stored_height: the image's. */
struct orientation_rect orientation_to_stored(uint32_t orientation, uint32_t stored_width,
                                              uint32_t stored_height,
                                              struct orientation_rect upright);

/* Turns the pixels of a stored rectangle (as orientation_to_stored gives it, without gaps between
 * its rows) into those of the upright one, width x height px. */
void orientation_apply(uint32_t orientation, size_t pixel_bytes, const void *stored, uint32_t width,
                       uint32_t height, void *upright, size_t stride_bytes);

/* Mirrors a row of pixels in place: orientation 2. */
void orientation_mirror_row(size_t pixel_bytes, void *row, uint32_t width);

#endif
