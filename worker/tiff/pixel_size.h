/* What an ImageDescription says of the size of a pixel: OME-XML (PhysicalSizeX and Y of the Pixels
 * element with this size; openmicroscopy.org), Aperio's "MPP = ", and ImageJ's "unit=", which tells
 * what the resolution tags count in. The text comes from a file: nothing in it is taken for
 * granted.
 */
#ifndef WORKER_TIFF_PIXEL_SIZE_H
#define WORKER_TIFF_PIXEL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* As stored. The resolutions are those of the tags, in px per unit of no kind; 0: no tag. False
 * when the text says nothing of it, or nothing that can be. */
struct pixel_size_image {
    uint32_t width, height;
    double x_resolution, y_resolution;
};
bool pixel_size_read(const char *description, const struct pixel_size_image *image,
                     double *ret_x_um, double *ret_y_um);

#endif
