/* Which of a file's images is meant. */
#ifndef WORKER_TIFF_TIFF_DIRECTORY_H
#define WORKER_TIFF_TIFF_DIRECTORY_H

#include "worker/tiff/tiff_handle.h"

/* Goes to the largest full image: directories marked as reduced levels or masks are passed over; of
 * equals the first. A list of images that breaks off is an error unless the image that was found
 * is large and takes most of the file. handle has read no directory yet. */
MUST_USE int tiff_directory_choose(struct tiff_handle *handle, const struct tiff_file *file,
                                   struct failure *failure);

#endif
