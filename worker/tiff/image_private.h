/* What the parts of image.h share among themselves; nobody else includes this. */
#ifndef WORKER_TIFF_IMAGE_PRIVATE_H
#define WORKER_TIFF_IMAGE_PRIVATE_H

#include "worker/tiff/image.h"
#include "worker/tiff/scratch.h"
#include "worker/tiff/tiff_layout.h"

/* Read-only once it was streamed: readers of several threads share it. */
struct image {
    struct tiff_file file;
    struct tiff_layout layout;
    struct image_info info;
    struct scratch *scratch; /* owned; NULL: none attached */
};

/* The buffers of image_stream, libtiff's included. */
uint64_t image_stream_bytes(const struct tiff_layout *layout);

#endif
