/* The pictures that a warp makes, and the files that they stand in.
 *
 *   tiff       aligned_pre.tiff, difference.tiff, difference_<kind>.tiff
 *   ome-tiff   aligned.ome.tiff: pre and post, then the differences
 *   fits       aligned_pre.fits, difference.fits, difference_<kind>.fits, made of the files of
 *              `tiff`, which go afterwards
 *   both       tiff and fits
 */
#ifndef WORKER_OUTPUT_PICTURE_H
#define WORKER_OUTPUT_PICTURE_H

#include "common/footprint.h"
#include "worker/output/background_scale.h"
#include "worker/tiff/tiff_writer.h"

enum {
    PICTURE_MOST_AHEAD = FOOTPRINT_MOST_AHEAD,
    PICTURE_MOST = 2 + BACKGROUND_SCALE_MAX_DIFFERENCES + PICTURE_MOST_AHEAD,
    PICTURE_NAME_BYTES = 64,
};

#define PICTURE_ALIGNED_NAME "aligned_pre.tiff"

enum picture_kind { PICTURE_PRE, PICTURE_POST, PICTURE_DIFFERENCE };

struct picture {
    enum picture_kind kind;
    const struct background_scale_difference *difference; /* of a difference; borrowed */
    struct tile_codec_shape shape;                        /* of its tiles */
    size_t file;                                          /* index of its TIFF */
    uint32_t image;                                       /* its number in there */
};

struct picture_set {
    enum params_format format;
    struct picture pictures[PICTURE_MOST];
    size_t n;
    char files[PICTURE_MOST][PICTURE_NAME_BYTES]; /* TIFFs that the warp writes */
    const char *folders[PICTURE_MOST]; /* where they come to stand; borrowed; NULL: the task's */
    size_t n_files;
};

/* All of a task. Borrows the differences. */
struct picture_set picture_set_make(enum params_format format, const struct tile_render_task *task,
                                    const struct background_scale_difference *differences,
                                    size_t n_differences);
/* One more difference image, that another task will want; no other is removed afterwards. Borrows
 * difference and folder. */
void picture_set_add_ahead(struct picture_set *set,
                           const struct background_scale_difference *difference, const char *folder,
                           const char *name);
/* Takes out the last n, which were added so. */
void picture_set_drop_ahead(struct picture_set *set, size_t n);
/* Takes out one that stands alone in its file, with the file. */
void picture_set_remove(struct picture_set *set, size_t i);

/* Whether the TIFFs are results, or only what these are made of. */
bool picture_set_keeps_tiff(const struct picture_set *set);
bool picture_set_has_fits(const struct picture_set *set);
/* The FITS file that a TIFF becomes. */
const char *picture_fits_name(const char *tiff_name, char name[PICTURE_NAME_BYTES]);

/* Names of all result files: an array. Caller owns it; NULL when out of memory. */
json_t *picture_set_names(const struct picture_set *set);

/* Whether it is, or was meant to become, a picture of any format. */
bool picture_is_name(const char *name);

#endif
