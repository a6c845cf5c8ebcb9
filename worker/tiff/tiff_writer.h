/* A tiled BigTIFF, written tile by tile from any thread under a temporary name and published whole.
 *
 * Uncompressed tiles have fixed places and are put in any order; compressed ones stand one behind
 * the other in the order in which they are appended. A file holds one image or several, each with
 * reduced levels of itself where they are asked for; whoever asks puts their tiles too.
 */
#ifndef WORKER_TIFF_TIFF_WRITER_H
#define WORKER_TIFF_TIFF_WRITER_H

#include "common/failure.h"
#include "worker/tiff/tile_codec.h"

#include <stdint.h>

enum { TIFF_WRITER_TILE_PX = 256 };

struct tiff_writer_options {
    uint32_t width, height, samples;
    uint32_t bits; /* 8, 16 or 32 */
    bool is_float; /* 32 bit */
    bool is_signed;
    double x_resolution, y_resolution; /* 0: no tag */
    uint32_t resolution_unit;
    const char *description; /* ImageDescription; NULL: none */
    enum params_compression compression;
    bool is_read_back;                      /* soon: it stays in the page cache */
    uint32_t n_levels;                      /* reduced ones; in all images of a file as many */
    const struct tiff_writer_options *next; /* image of the file; NULL: none */
};

/* Of its tiles, for tile_codec. */
static inline struct tile_codec_shape tiff_writer_shape(const struct tiff_writer_options *options) {
    return (struct tile_codec_shape){.width = TIFF_WRITER_TILE_PX,
                                     .height = TIFF_WRITER_TILE_PX,
                                     .samples = options->samples,
                                     .bits = options->bits,
                                     .is_float = options->is_float};
}

/* Each level has half the side of the one before, rounded up; level 0 is the image itself. */
static inline uint32_t tiff_writer_level_px(uint32_t px, size_t level) {
    return (uint32_t)(((uint64_t)px + (1ULL << level) - 1) >> level);
}

/* Where a tile stands. */
struct tiff_writer_place {
    uint32_t image, level, x, y; /* x, y: in the grid of tiles */
};

struct tiff_writer;

MUST_USE int tiff_writer_open(const char *path, const struct tiff_writer_options *options,
                              struct tiff_writer **ret, struct failure *failure);
/* Goes on with a file that was suspended, or left by a kill: the one with this inode, under its
 * temporary name or, from a publication that was cut short, its final one. n_written tiles of every
 * image are taken as written, at level 0, the last image's one with index `last` after all others.
 * -ESTALE when there is no such file. */
MUST_USE int tiff_writer_reopen(const char *path, const struct tiff_writer_options *options,
                                uint64_t inode, uint64_t n_written, uint64_t last,
                                struct tiff_writer **ret, struct failure *failure);
/* Tells the file from one that takes its place later. */
MUST_USE int tiff_writer_get_inode(const struct tiff_writer *writer, uint64_t *ret,
                                   struct failure *failure);
/* For a file of one image. pixels: a full TIFF_WRITER_TILE_PX square, interleaved, native byte
 * order; what lies beyond the image's edge must be zero. Each tile exactly once, in any order. Safe
 * from several threads. For files without compression. */
MUST_USE int tiff_writer_put(struct tiff_writer *writer, uint32_t tile_x, uint32_t tile_y,
                             const void *pixels, struct failure *failure);
/* What tile_codec made of such a tile, to the place behind the one before; a tile that is not
 * compressed, to its fixed place. One call at a time. */
MUST_USE int tiff_writer_append(struct tiff_writer *writer, const struct tiff_writer_place *place,
                                const void *bytes, size_t size, struct failure *failure);
/* A tile that was put, as it stands in the file: for tile_codec. Safe from several threads. */
MUST_USE int tiff_writer_read(const struct tiff_writer *writer,
                              const struct tiff_writer_place *place, void *bytes, size_t room,
                              size_t *ret_size, struct failure *failure);
/* What was put before is on disk when this returns, and no longer in RAM unless it is to be read
 * back. Safe from several threads. */
MUST_USE int tiff_writer_sync(struct tiff_writer *writer, struct failure *failure);
/* Syncs, renames, frees. On an error nothing stands under the final name. */
MUST_USE int tiff_writer_publish(struct tiff_writer *writer, struct failure *failure);
/* Removes the temporary file and frees. NULL is fine. */
void tiff_writer_abandon(struct tiff_writer *writer);
/* Frees, and leaves the temporary file for tiff_writer_reopen. NULL is fine. */
void tiff_writer_suspend(struct tiff_writer *writer);

#endif
