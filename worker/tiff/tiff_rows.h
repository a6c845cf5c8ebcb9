/* The stored rows of an image, once through from top to bottom, whatever they lie in. */
#ifndef WORKER_TIFF_TIFF_ROWS_H
#define WORKER_TIFF_TIFF_ROWS_H

#include "worker/tiff/tiff_layout.h"

struct tiff_rows;

/* Borrows file and layout. */
MUST_USE int tiff_rows_open(const struct tiff_file *file, const struct tiff_layout *layout,
                            struct tiff_rows **ret, struct failure *failure);
void tiff_rows_close(struct tiff_rows *rows); /* NULL is fine */

/* Rows come in multiples of this (the last ones excepted): the height of a tile, else 1. */
uint32_t tiff_rows_step(const struct tiff_rows *rows);

/* The next count rows as delivered pixels, one after the other without gaps. */
MUST_USE int tiff_rows_next(struct tiff_rows *rows, uint32_t count, void *pixels,
                            struct failure *failure);

#endif
