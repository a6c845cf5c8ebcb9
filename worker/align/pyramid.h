/* One image's signal at every reduction: any region of any level, as float.
 *
 * Level L is the signal reduced 2^L times by means of 2 x 2, partial blocks at the right and bottom
 * edge left out: floor(size / 2^L) px, and the centre of its pixel x lies at
 * (x + 0.5) 2^L - 0.5 of the full image. Levels 2 and up stand in a file, row by row, as uint16 of
 * the signal times a factor; levels 0 and 1 are read from the image itself. So nothing in memory
 * grows with the image but a row.
 */
#ifndef WORKER_ALIGN_PYRAMID_H
#define WORKER_ALIGN_PYRAMID_H

#include "worker/align/signal.h"

enum { PYRAMID_FIRST_LEVEL = 2, PYRAMID_MAX_LEVELS = 16, PYRAMID_LEAST_SIDE = 48 };

struct pyramid_layout {
    uint32_t width, height; /* of the full image */
    int last_level;         /* 1 when the image is too small for a stored level */
    double factor;          /* stored value = signal * factor */
};

struct pyramid_size {
    int width, height;
};

/* Which levels are stored: from 2 up while the longer side keeps PYRAMID_LEAST_SIDE px. */
void pyramid_plan(uint32_t width, uint32_t height, double signal_max, struct pyramid_layout *ret);
struct pyramid_size pyramid_level_size(const struct pyramid_layout *layout, int level);

/* Writes the file from the rows of level 2, top to bottom. */
struct pyramid_writer;
MUST_USE int pyramid_writer_open(const char *path, const struct pyramid_layout *layout,
                                 struct pyramid_writer **ret, struct failure *failure);
MUST_USE int pyramid_writer_row(struct pyramid_writer *writer, const uint16_t *row,
                                struct failure *failure);
/* Gives the file its final name and frees. */
MUST_USE int pyramid_writer_publish(struct pyramid_writer *writer, struct failure *failure);
void pyramid_writer_abandon(struct pyramid_writer *writer); /* NULL is fine */

/* A reader, for one thread. image may be NULL when only stored levels are read. Borrows image,
 * copies path. cache_bytes: of decoded blocks of the image. */
struct pyramid;
struct pyramid_source {
    struct image *image;
    const char *path;
    struct pyramid_layout layout;
    struct signal signal;
    uint64_t cache_bytes;
};
MUST_USE int pyramid_open(const struct pyramid_source *source, struct pyramid **ret,
                          struct failure *failure);
void pyramid_close(struct pyramid *pyramid); /* NULL is fine */

/* The region's signal; what lies outside the level is zero. ret: height rows of width floats. */
struct pyramid_region {
    int level, x, y, width, height;
};
MUST_USE int pyramid_read(struct pyramid *pyramid, const struct pyramid_region *region, float *ret,
                          struct failure *failure);

#endif
