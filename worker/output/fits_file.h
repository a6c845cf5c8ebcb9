/* One picture as a FITS file (FITS Standard 4.0): the primary array, x fastest, then y from the top
 * row on, then the channels, where there are several. Depths of 8 and 16 bit unsigned and float.
 *
 * The file is written at a path of its own, which is the caller's to publish. Its bytes depend on
 * nothing but what is put in: no date.
 */
#ifndef WORKER_OUTPUT_FITS_FILE_H
#define WORKER_OUTPUT_FITS_FILE_H

#include "worker/output/fits_library.h"

#include <stdbool.h>
#include <stdint.h>

struct fits_file_shape {
    uint32_t width, height, samples, bits; /* 8, 16, or 32 with is_float */
    bool is_float;
};

struct fits_file;

/* Borrows library. What stands at path is replaced. The space is reserved here: -ENOSPC. */
MUST_USE int fits_file_create(const struct fits_library *library, const char *path,
                              const struct fits_file_shape *shape, struct fits_file **ret,
                              struct failure *failure);

/* Cards of the header, before the first pixel. What a card cannot hold (it is ASCII) is written as
 * a question mark. An error is kept for the next call that can fail. */
void fits_file_put_text(struct fits_file *file, const char *name, const char *value,
                        const char *comment);
void fits_file_put_number(struct fits_file *file, const char *name, double value,
                          const char *comment);
void fits_file_put_integer(struct fits_file *file, const char *name, int64_t value,
                           const char *comment);
void fits_file_put_history(struct fits_file *file, const char *text);
void fits_file_put_comment(struct fits_file *file, const char *text);

/* count values of one channel from row y on; native byte order. */
MUST_USE int fits_file_write(struct fits_file *file, uint32_t channel, uint32_t y, uint64_t count,
                             const void *values, struct failure *failure);

/* Writes the checksums and frees; all is handed to the kernel. */
MUST_USE int fits_file_close(struct fits_file *file, struct failure *failure);
/* Frees; what was written stays, and is nothing. NULL is fine. */
void fits_file_abandon(struct fits_file *file);

#endif
