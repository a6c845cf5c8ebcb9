/* A picture's FITS file, made of its finished TIFF (picture.h), with where it comes from in the
 * header: registrar-worker(1) lists the cards. */
#ifndef WORKER_OUTPUT_FITS_EXPORT_H
#define WORKER_OUTPUT_FITS_EXPORT_H

#include "worker/output/fits_library.h"
#include "worker/output/picture.h"

struct progress;

/* Where the pictures come from. Borrows everything. */
struct fits_export_source {
    const char *name;               /* of the task */
    const json_t *verify;           /* status, model, post_to_pre */
    const json_t *scale;            /* scale, scale_kind */
    const json_t *params;           /* complete */
    const struct image_info *frame; /* the post image */
    const char *pre, *post;         /* paths */
    uint32_t pad;
};

struct fits_export_job {
    const struct fits_library *library;
    const struct fits_export_source *source;
    const struct picture *picture;
    const struct tiff_writer *writer; /* all its tiles are written */
    uint32_t width, height;
    enum params_compression compression;
    const char *path;          /* temporary */
    struct progress *progress; /* runs 0 to 1 */
};

/* On an error nothing stands at the path. */
MUST_USE int fits_export_run(const struct fits_export_job *job, struct failure *failure);

#endif
