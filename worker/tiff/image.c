/* Opening images; see image.h. The descriptor opened here is the one that streaming and all readers
 * use, so what is aligned is what was checked. */
#include "worker/tiff/image_private.h"

#include "worker/tiff/file_hash.h"
#include "worker/tiff/orientation.h"
#include "worker/tiff/pixel_size.h"
#include "worker/tiff/scratch.h"
#include "worker/tiff/tiff_directory.h"

#include <errno.h>

static uint64_t block_bytes(const struct tiff_layout *layout) {
    if (tiff_layout_needs_copy(layout))
        return SCRATCH_TILE_WIDTH * SCRATCH_TILE_HEIGHT * tiff_layout_pixel_bytes(layout);
    return layout->raw ? 0 : tiff_layout_block_bytes(layout);
}

/* As stored. */
static void block_size(const struct tiff_layout *layout, uint32_t *ret_width,
                       uint32_t *ret_height) {
    bool copied = tiff_layout_needs_copy(layout);
    *ret_width = copied ? SCRATCH_TILE_WIDTH : layout->raw ? layout->width : layout->block_width;
    *ret_height = copied ? SCRATCH_TILE_HEIGHT : layout->raw ? 1 : layout->block_height;
}

static struct image_info describe(const struct tiff_layout *layout, uint64_t file_bytes) {
    bool swap = orientation_swaps_axes(layout->orientation);
    uint32_t block_width, block_height;
    block_size(layout, &block_width, &block_height);
    return (struct image_info){
        .width = swap ? layout->height : layout->width,
        .height = swap ? layout->width : layout->height,
        .samples = layout->samples,
        .bits = layout->bits,
        .sample_format = layout->sample_format,
        .rgb = layout->rgb,
        .needs_scratch = tiff_layout_needs_copy(layout),
        .orientation = layout->orientation,
        .x_resolution = swap ? layout->y_resolution : layout->x_resolution,
        .y_resolution = swap ? layout->x_resolution : layout->y_resolution,
        .resolution_unit = layout->resolution_unit,
        .file_bytes = file_bytes,
        .block_bytes = block_bytes(layout),
        .block_width = swap ? block_height : block_width,
        .block_height = swap ? block_width : block_height,
        .stream_bytes = image_stream_bytes(layout),
    };
}

/* What a description says is newer and more exact than the tags, which some programs leave at
 * 72 px per inch. OME-XML stands in the first image's, whichever image is meant. */
static void read_pixel_size(TIFF *tiff, struct tiff_layout *layout) {
    const char *description = NULL;
    struct pixel_size_image stored = {.width = layout->width, .height = layout->height};
    if (layout->resolution_unit == RESUNIT_NONE) {
        stored.x_resolution = layout->x_resolution;
        stored.y_resolution = layout->y_resolution;
    }
    double x_um, y_um;
    if (!TIFFSetDirectory(tiff, 0) || !TIFFGetField(tiff, TIFFTAG_IMAGEDESCRIPTION, &description) ||
        !pixel_size_read(description, &stored, &x_um, &y_um))
        return;
    layout->resolution_unit = RESUNIT_CENTIMETER;
    layout->x_resolution = 10000 / x_um;
    layout->y_resolution = 10000 / y_um;
}

static int read_layout(struct image *image, enum tiff_layout_numbers numbers,
                       struct failure *failure) {
    struct tiff_handle *handle = NULL;
    int r = tiff_handle_open(&image->file, false, &handle, failure);
    if (r == 0)
        r = tiff_directory_choose(handle, &image->file, failure);
    if (r == 0)
        r = tiff_layout_read(handle, &image->file, numbers, &image->layout, failure);
    if (r == 0)
        read_pixel_size(tiff_handle_tiff(handle), &image->layout);
    tiff_handle_close(handle);
    return r;
}

static int open_image(const char *path, enum tiff_layout_numbers numbers, struct image **ret,
                      struct failure *failure) {
    struct image *image = calloc(1, sizeof(*image));
    if (!image)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    int r = tiff_file_open(path, &image->file, failure);
    if (r == 0)
        r = read_layout(image, numbers, failure);
    if (r < 0) {
        image_close(image);
        return r;
    }
    image->info = describe(&image->layout, image->file.size);
    *ret = image;
    return 0;
}

int image_open(const char *path, struct image **ret, struct failure *failure) {
    return open_image(path, TIFF_LAYOUT_COUNTS, ret, failure);
}

int image_open_any(const char *path, struct image **ret, struct failure *failure) {
    return open_image(path, TIFF_LAYOUT_ANY, ret, failure);
}

void image_close(struct image *image) {
    if (!image)
        return;
    scratch_close(image->scratch);
    tiff_file_close(&image->file);
    free(image);
}

const struct image_info *image_get_info(const struct image *image) { return &image->info; }

bool image_pixel_size(const struct image_info *info, double *ret_x_um, double *ret_y_um) {
    double unit_um = info->resolution_unit == RESUNIT_INCH         ? 25400
                     : info->resolution_unit == RESUNIT_CENTIMETER ? 10000
                                                                   : 0;
    if (unit_um <= 0 || info->x_resolution <= 0 || info->y_resolution <= 0)
        return false;
    *ret_x_um = unit_um / info->x_resolution;
    *ret_y_um = unit_um / info->y_resolution;
    return true;
}

const char *image_path(const struct image *image) { return image->file.path; }

int image_attach_scratch(struct image *image, const char *scratch_path, struct failure *failure) {
    struct scratch *scratch = NULL;
    int r = scratch_open(scratch_path, &image->file, &image->layout, &scratch, failure);
    if (r < 0)
        return r;
    scratch_close(image->scratch);
    image->scratch = scratch;
    return 0;
}

int image_identify(const char *path, struct image_identity *ret, struct failure *failure) {
    struct tiff_file file = {.fd = -1};
    struct file_hash *hash = NULL;
    struct image_identity identity = {0};
    int r = tiff_file_open_any(path, &file, failure);
    if (r == 0)
        r = file_hash_open(&file, &hash, failure);
    if (r == 0)
        r = file_hash_finish(hash, identity.hash, failure);
    if (r == 0)
        r = tiff_file_check_unchanged(&file, failure);
    identity.size = file.size;
    identity.mtime_ns = file.mtime_ns;
    file_hash_close(hash);
    tiff_file_close(&file);
    if (r == 0)
        *ret = identity;
    return r;
}
