/* Writes an exposure of the scene as a TIFF in any layout that the worker must read. Memory: one
 * band of rows. */
#ifndef TESTS_TOOLS_SCENE_IMAGE_FILE_H
#define TESTS_TOOLS_SCENE_IMAGE_FILE_H

#include "common/failure.h"
#include "tests/tools/scene/render.h"

enum image_colour { IMAGE_GREY, IMAGE_RGB, IMAGE_BRIGHT_FIELD };
enum image_tiling { IMAGE_STRIPS, IMAGE_TILES, IMAGE_ONE_STRIP };

struct image_layout {
    uint32_t width, height; /* as displayed */
    int bits;               /* 8 or 16 */
    enum image_colour colour;
    double weights[3]; /* IMAGE_RGB: how much of the signal each channel gets; 0 stays black */
    enum image_tiling tiling;
    uint32_t rows_per_strip;
    uint16_t compression; /* libtiff's number */
    bool predictor, planar, big_endian, bigtiff;
    int orientation; /* 1 to 8 */
};

struct image_noise {
    double level;   /* standard deviation at full brightness; falls with the root of it */
    double read;    /* standard deviation everywhere */
    double photons; /* at full brightness: their number is Poisson's; 0: no such noise */
    uint64_t seed;
};

/* view->to_scene takes displayed pixels. Leaves no file behind on failure. */
MUST_USE int image_file_write(const char *path, const struct image_layout *layout,
                              const struct view *view, const struct image_noise *noise,
                              struct failure *failure);

#endif
