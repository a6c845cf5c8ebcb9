/* The pictures (picture.h), in one pass over the canvas's tiles; then what is made of these: an
 * OME-TIFF's reduced levels, or FITS files.
 *
 * A difference pixel is post signal - scale x pre signal where both images cover it, else 0. The
 * pre signal is taken from the pixels as written, so that the pictures agree.
 *
 * A warp that is stopped (-ECANCELED) or killed leaves its files under their temporary names, and a
 * journal of the tiles that are on disk for good. The next warp with the same key takes these over
 * and renders the others.
 */
#ifndef WORKER_OUTPUT_WARP_H
#define WORKER_OUTPUT_WARP_H

#include "worker/output/fits_export.h"

struct warp_options {
    const struct tile_render_task *task; /* borrowed */
    const struct picture_set *set;       /* borrowed; those that are to be painted, perhaps none */
    json_t *ready; /* borrowed: paths of pictures that stand already, under temporary names */
    const struct fits_export_source *source; /* borrowed */
    enum params_compression compression;
    const char *folder;
    const char *journal; /* path */
    /* of all that the pictures depend on, whichever are painted; "": nothing is taken over */
    const char *key;
    int threads;
    struct progress *progress;
};

struct warp;

/* Renders and writes all tiles under temporary names. Caller owns *ret. */
MUST_USE int warp_run(const struct warp_options *options, struct warp **ret,
                      struct failure *failure);
struct warp_counts {
    uint64_t tiles, tiles_resumed; /* all; of them, those that an earlier warp made */
    uint64_t overlap_pixels;       /* canvas pixels that both images cover */
    /* by this warp alone: image_reader_read_bytes */
    uint64_t pre_read_bytes, post_read_bytes;
};
struct warp_counts warp_get_counts(const struct warp *warp);
/* Gives the files their final names, on disk, and frees. The journal stays: until the caller has
 * noted that the pictures are there, it spares the work after a death. */
MUST_USE int warp_publish(struct warp *warp, struct failure *failure);
/* Removes the temporary files and frees. NULL is fine. */
void warp_abandon(struct warp *warp);

/* Removes every picture of the folder, of any format, that is not in keep (an array of names; NULL:
 * none is kept). */
MUST_USE int warp_remove_others(const char *folder, const json_t *keep, struct failure *failure);

#endif
