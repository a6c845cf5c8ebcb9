/* What an image may ask for. Sizes in files are hostile: these limits keep any file, whatever its
 * header says, below 256 MiB of memory, and real microscopy far inside them.
 */
#ifndef WORKER_TIFF_TIFF_LIMITS_H
#define WORKER_TIFF_TIFF_LIMITS_H

enum {
    TIFF_LIMIT_SIDE_PX = 1000000,
    TIFF_LIMIT_SAMPLES = 64,
    TIFF_LIMIT_DIRECTORIES = 4096,
    /* Rows are read in windows of at least 64 rows: this is what a window may take. */
    TIFF_LIMIT_WINDOW_BYTES = 96 << 20,
    TIFF_LIMIT_ROW_BYTES = TIFF_LIMIT_WINDOW_BYTES / 64,
    /* A tile is decoded whole. */
    TIFF_LIMIT_BLOCK_BYTES = 48 << 20,
    /* Blocks above this are not worth decoding for the sake of a small region: a tiled copy is made
     * (1,182 px square in RGB8; the tiles of common scanners have 256 to 1,024 px). */
    TIFF_LIMIT_RANDOM_BLOCK_BYTES = 4 << 20,
    /* Compressed strips above this are mapped, not read whole into memory. */
    TIFF_LIMIT_READ_BYTES = 16 << 20,
    /* One allocation inside libtiff. */
    TIFF_LIMIT_LIBTIFF_BYTES = 64 << 20,
    /* Bytes of pixels per byte of the file that not even a blank image reaches (deflate: 1,032,
     * ZSTD: 32,768). Looked at only in images above TIFF_LIMIT_DENSE_BYTES. */
    TIFF_LIMIT_EXPANSION = 40000,
    TIFF_LIMIT_DENSE_BYTES = 512 << 20,
};

#endif
