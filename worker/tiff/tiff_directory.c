/* Choosing among a file's images; see tiff_directory.h. libtiff itself ends chains that loop. */
#include "worker/tiff/tiff_directory.h"

#include "common/checked.h"
#include "worker/tiff/tiff_limits.h"

#include <errno.h>

/* Thumbnails, labels and overviews are smaller. */
enum { NO_THUMBNAIL_PX = 16 << 20 };

static bool is_full_image(TIFF *tiff) {
    uint32_t kind = 0;
    uint16_t old_kind = 0, photometric = 0;
    if (TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &kind) &&
        (kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)))
        return false;
    if (TIFFGetField(tiff, TIFFTAG_OSUBFILETYPE, &old_kind) && old_kind == OFILETYPE_REDUCEDIMAGE)
        return false;
    return !(TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric) &&
             photometric == PHOTOMETRIC_MASK);
}

static uint64_t area_of(TIFF *tiff) {
    uint32_t width = 0, height = 0;
    (void)TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    (void)TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    return (uint64_t)width * height;
}

/* Whether the current image can be no thumbnail and takes most of the file, so that no larger one
 * can have been there. */
static bool is_surely_meant(TIFF *tiff, const struct tiff_file *file) {
    uint32_t count = TIFFIsTiled(tiff) ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t end = 0, size = TIFFGetStrileByteCount(tiff, i);
        if (!checked_add_u64(TIFFGetStrileOffset(tiff, i), size, &end) || end > file->size)
            return false;
        bytes += size; /* each at most the file's size */
    }
    return area_of(tiff) >= NO_THUMBNAIL_PX && bytes > file->size / 2;
}

/* The chain of directories ends with an error after n of them: the very image that is meant may be
 * lost, or nothing that matters, for some programs leave garbage behind the last directory. */
static int judge_broken_chain(struct tiff_handle *handle, const struct tiff_file *file, int n,
                              bool found, uint64_t best, struct failure *failure) {
    char what[64];
    (void)snprintf(what, sizeof(what), "the header of its image %d cannot be read", n + 1);
    struct failure broken = {0};
    int r = tiff_handle_fail(handle, what, &broken);
    TIFF *tiff = tiff_handle_tiff(handle);
    if (found && TIFFSetSubDirectory(tiff, best) && is_surely_meant(tiff, file))
        return 0;
    if (failure)
        *failure = broken;
    return r;
}

int tiff_directory_choose(struct tiff_handle *handle, const struct tiff_file *file,
                          struct failure *failure) {
    TIFF *tiff = tiff_handle_tiff(handle);
    uint64_t best_area = 0, best = 0;
    bool found = false;
    int n = 0;
    for (; n < TIFF_LIMIT_DIRECTORIES && TIFFReadDirectory(tiff); n++) {
        uint64_t area = area_of(tiff);
        if (is_full_image(tiff) && (!found || area > best_area)) {
            found = true;
            best_area = area;
            best = TIFFCurrentDirOffset(tiff);
        }
        tiff_handle_forget(handle); /* a complaint about one tag is none about the chain */
    }
    if (n == TIFF_LIMIT_DIRECTORIES)
        return failure_set(failure, -ENOTSUP,
                           "%s: more than %d images in one file; export the one to align",
                           file->path, TIFF_LIMIT_DIRECTORIES);
    if (tiff_handle_message(handle)[0])
        return judge_broken_chain(handle, file, n, found, best, failure);
    if (!found)
        return failure_set(
            failure, -ENOTSUP,
            "%s: no full image among its %d (all are marked as reduced or masks); export the "
            "full image",
            file->path, n);
    if (!TIFFSetSubDirectory(tiff, best))
        return tiff_handle_fail(handle, "the image's directory cannot be read", failure);
    return 0;
}
