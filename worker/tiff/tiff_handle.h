/* libtiff's view of a tiff_file: one per thread, with its own error messages.
 *
 * Nothing is printed; what libtiff complains of is kept for the sentence of the failure. Memory
 * that a header asks for is limited (tiff_limits.h).
 */
#ifndef WORKER_TIFF_TIFF_HANDLE_H
#define WORKER_TIFF_TIFF_HANDLE_H

#include "worker/tiff/tiff_file.h"

#include <stdbool.h>
#include <tiffio.h>

struct tiff_handle;

/* Opens the header alone: no directory is read yet. Borrows file. With mapped, compressed data is
 * decoded from a mapping of the file; see tiff_handle_release. */
MUST_USE int tiff_handle_open(const struct tiff_file *file, bool mapped, struct tiff_handle **ret,
                              struct failure *failure);
/* The same, and goes to the directory at this offset. JPEG YCbCr comes out as RGB from here on. */
MUST_USE int tiff_handle_open_directory(const struct tiff_file *file, bool mapped, uint64_t offset,
                                        struct tiff_handle **ret, struct failure *failure);
void tiff_handle_close(struct tiff_handle *handle); /* NULL is fine */

TIFF *tiff_handle_tiff(struct tiff_handle *handle); /* borrowed */

/* The last error since tiff_handle_forget (what stopped libtiff), else the first such warning; ""
 * when there was none. */
const char *tiff_handle_message(const struct tiff_handle *handle);
/* libtiff went on with invented pixels: a warning that is an error to us, or a mapped file that was
 * cut short. */
bool tiff_handle_damaged(const struct tiff_handle *handle);
void tiff_handle_forget(struct tiff_handle *handle);

/* The failure for what libtiff could not do: `what` says where ("row 17 cannot be decoded"). A read
 * error of the disk keeps its errno, a file that was changed meanwhile is -ESTALE, damage in it
 * -EBADMSG. */
int tiff_handle_fail(const struct tiff_handle *handle, const char *what, struct failure *failure);

/* Gives the mapped pages that were read so far back to the kernel. */
void tiff_handle_release(struct tiff_handle *handle);

#endif
