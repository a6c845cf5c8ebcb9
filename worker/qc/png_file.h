/* Writes PNG files (W3C PNG specification, third edition): 8 bits, RGB, or grey where no pixel has
 * a colour. The same pixels give the same bytes. */
#ifndef WORKER_QC_PNG_FILE_H
#define WORKER_QC_PNG_FILE_H

#include "common/failure.h"

#include <stdint.h>

/* pixels: 0xrrggbb, the highest byte is ignored; row after row. The file appears whole or not at
 * all. */
MUST_USE int png_file_write(const char *path, const uint32_t *pixels, uint32_t width,
                            uint32_t height, struct failure *failure);

#endif
