/* An image's tiles through a map, in threads: rendered as those of aligned_pre.tiff are, and
 * written in one fixed order, so that a file's bytes depend neither on threads nor on memory.
 */
#ifndef WORKER_APPLY_APPLY_TILES_H
#define WORKER_APPLY_APPLY_TILES_H

#include "worker/output/tile_render.h"
#include "worker/tiff/tiff_writer.h"

struct progress;

/* task: without a post image. Borrows everything; the writer is neither published nor abandoned. */
struct apply_tiles_job {
    const struct tile_render_task *task;
    const struct tiff_writer_options *picture;
    struct tiff_writer *writer;
    int threads;
    struct progress *progress;
};

/* ret_covered: pixels of the canvas that the image covers. */
MUST_USE int apply_tiles_run(const struct apply_tiles_job *job, uint64_t *ret_covered,
                             struct failure *failure);

#endif
