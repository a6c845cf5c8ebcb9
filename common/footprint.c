/* The figures behind the forecast; see footprint.h. The stages follow one another, so the task
 * needs what its hungriest stage does. What a stage needs is the sum of its buffers, as the worker
 * sizes them; FIXED_BYTES is measured. All figures are checked against the kernel's accounting by
 * tests/integration/test_footprint.py. */
#include "common/footprint.h"

#include <math.h>

enum {
    /* Measured: code, libraries (OpenCV, libtiff, cairo), stacks, the heap's small change: 14 MiB;
     * other builds of the libraries and other kernels were seen to add up to 3. */
    FIXED_BYTES = 15 << 20,
    PER_THREAD_BYTES = 512 << 10,

    TILE_PX = 256 * 256, /* of an output tile, and of a source box as float */
    HELD_PX = 448 * 448, /* of the source box that a tile is made from */
    CACHED_TILES = 72,   /* what is kept of decoded blocks: worker/output/tile_plan.c */
    HISTOGRAM_BYTES = 2 << 20,
    PARCELS = 2,                  /* of finished tiles, per thread: worker/output/painter.c */
    CODEC_BYTES = 1 << 20,        /* what a compressor allocates */
    SURVEY_BYTES = 768 << 10,     /* histograms of a survey */
    THUMBNAIL_PX = 1024,          /* side of the reduced image that refine chooses tiles by */
    BENCH_BYTES = 3 << 20,        /* one thread's tiles in refine */
    BENCH_CACHE_BYTES = 12 << 20, /* and its two caches of decoded blocks */
    KEYPOINTS_PX = 512,           /* side of the reduced images that search finds key points on, */
    KEYPOINTS_TILE_PX = 200,      /* tile by tile, */
    KEYPOINTS_MARGIN_PX = 24,     /* which overlap: worker/align/evidence_features.c */
    KEYPOINTS_BYTES = 2 << 20,    /* of both images */
    KEYPOINTS_PX_BYTES = 12,      /* a pixel of the reduced images, */
    SIFT_PX_BYTES = 235,          /* and of the tile that is looked at: measured */
    CANVASES_BYTES = 2080 << 10,  /* one thread's, of one correlation of two */
    LEAST_LEVEL_PX = 512,         /* of a pyramid: worker/output/ome_levels.c */
    ROWS_AT_ONCE = 256,           /* full-resolution rows that level 1 is made from */
    FITS_LIBRARY_BYTES = 8 << 20, /* cfitsio and what it brings: measured */
    FITS_BAND_BYTES = 8 << 20,    /* rows at once: worker/output/fits_export.c */
    REDUCED_PX = 1024,            /* side of the reduced images: worker/qc/reduced.h */
    JOINT_PIXELS = 800000,        /* of the larger reduced image: worker/align/joint.c */
    JOINT_POST_BYTES = 16,        /* for a pixel of them */
    JOINT_PRE_BYTES = 4,
    JOINT_ROWS = 5 * 112,          /* of floats: worker/align/joint_bands.c */
    JOINT_MOST_PITCH = 8,          /* larger images are not asked so */
    DRAWN_AT_ONCE = 2,             /* quality pictures: worker/qc/qc.c */
    DRAWING_BYTES = 9 << 20,       /* of each, while it is drawn and written */
    DRAWINGS_DISK_BYTES = 8 << 20, /* of all of them: a third of it for most */
};

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

static uint64_t pixel_bytes(const struct footprint_image *image) {
    return (uint64_t)image->samples * image->bits / 8;
}

static uint64_t image_bytes(const struct footprint_image *image) {
    return image->width * image->height * pixel_bytes(image);
}

static uint64_t survey_bytes(const struct footprint_image *image) {
    uint64_t sums = image->width * image->samples * 6; /* of four rows, and their means */
    uint64_t stream = image->stream_bytes ? image->stream_bytes
                                          : image->width * ROWS_AT_ONCE * pixel_bytes(image);
    return SURVEY_BYTES + stream + sums;
}

/* A cache of decoded blocks never holds more than the image. */
static uint64_t cache_bytes(const struct footprint_image *image, uint64_t wanted) {
    if (image->block_bytes == 0)
        return 0;
    return min_u64(max_u64(wanted, image->block_bytes), image_bytes(image) + image->block_bytes);
}

static uint64_t longest_side(const struct footprint_image *image) {
    return max_u64(image->width, image->height);
}

/* Pixels of the image when it is reduced so that its longer side has side_px. */
static uint64_t reduced_area(const struct footprint_image *image, uint64_t side_px) {
    uint64_t longest = longest_side(image), area = image->width * image->height;
    return longest > side_px ? area * side_px / longest * side_px / longest : area;
}

/* The post image reduced to THUMBNAIL_PX. */
static uint64_t thumbnail_bytes(const struct footprint_image *image) {
    return reduced_area(image, THUMBNAIL_PX) * sizeof(float);
}

static uint64_t keypoints_bytes(const struct footprint_image *image) {
    double factor = fmin(1, KEYPOINTS_PX / (double)longest_side(image)), tile_px = 1;
    const uint64_t sides[] = {image->width, image->height};
    for (int i = 0; i < 2; i++) {
        double side = factor * (double)sides[i];
        tile_px *= fmin(side, side / ceil(side / KEYPOINTS_TILE_PX) + 2 * KEYPOINTS_MARGIN_PX);
    }
    return reduced_area(image, KEYPOINTS_PX) * KEYPOINTS_PX_BYTES + KEYPOINTS_BYTES +
           (uint64_t)(tile_px * SIFT_PX_BYTES);
}

static uint64_t search_bytes(const struct footprint_pair *pair) {
    return max_u64(max_u64(keypoints_bytes(&pair->pre), keypoints_bytes(&pair->post)),
                   2 * (pair->threads + 1) * CANVASES_BYTES);
}

/* While an image is reduced from this level: the level too, and what it is read from. */
static uint64_t reduction_bytes(const struct footprint_image *image, uint32_t level) {
    uint64_t source = 0;
    if (level == 0)
        source = image_bytes(image);
    else if (level == 1)
        source = image->width * min_u64(ROWS_AT_ONCE, image->height) *
                 (pixel_bytes(image) + sizeof(float));
    return (image->width * image->height >> (2 * level)) * sizeof(float) + source;
}

static uint64_t texture_bytes(const struct footprint_image *image) {
    uint32_t level = 0;
    while (longest_side(image) >> (level + 1) >= THUMBNAIL_PX)
        level++;
    return thumbnail_bytes(image) + reduction_bytes(image, level);
}

/* The first level that is small enough to be looked at whole. */
static uint32_t whole_level(uint64_t longest) {
    uint32_t level = 0;
    while (longest >> level > REDUCED_PX)
        level++;
    return level;
}

static uint64_t whole_level_area(const struct footprint_image *image) {
    uint32_t level = whole_level(longest_side(image));
    return (image->width >> level) * (image->height >> level);
}

static double pixels_of(const struct footprint_image *image) {
    return (double)image->width * (double)image->height;
}

/* All pixels of both images at once, where tiles do not know the map well. */
static uint64_t joint_bytes(const struct footprint_pair *pair) {
    const struct footprint_image *pre = &pair->pre, *post = &pair->post;
    double most = fmax(pixels_of(pre), pixels_of(post));
    double pitch = most <= JOINT_PIXELS ? 1 : fmax(2, sqrt(most / JOINT_PIXELS));
    if (pitch > JOINT_MOST_PITCH)
        return 0;
    uint32_t level = (uint32_t)log2(pitch);
    double pre_px = pixels_of(pre) / (pitch * pitch), post_px = pixels_of(post) / (pitch * pitch);
    uint64_t loaded = (uint64_t)((pre_px + post_px) * sizeof(float));
    uint64_t loading = loaded + max_u64(reduction_bytes(pre, level), reduction_bytes(post, level));
    double rows = (double)post->width / pitch * JOINT_ROWS * sizeof(float);
    double fitting = post_px * JOINT_POST_BYTES + pre_px * JOINT_PRE_BYTES + rows;
    return thumbnail_bytes(post) + max_u64(loading, (uint64_t)fitting);
}

static uint64_t refine_bytes(const struct footprint_pair *pair) {
    uint64_t caches =
        cache_bytes(&pair->pre, BENCH_CACHE_BYTES) + cache_bytes(&pair->post, BENCH_CACHE_BYTES);
    uint64_t benches = thumbnail_bytes(&pair->post) + pair->threads * (BENCH_BYTES + caches);
    return max_u64(max_u64(texture_bytes(&pair->post), benches), joint_bytes(pair));
}

/* An OME-TIFF holds the post image too. */
static bool has_post(const struct footprint_pair *pair) {
    return pair->format == PARAMS_FORMAT_OME_TIFF;
}

static bool has_fits(const struct footprint_pair *pair) {
    return pair->format == PARAMS_FORMAT_FITS || pair->format == PARAMS_FORMAT_BOTH;
}

/* Scale, or warp, whichever needs more: every thread has a renderer of its own; they share caches.
 */
static uint64_t render_bytes(const struct footprint_pair *pair) {
    uint64_t pre = pixel_bytes(&pair->pre), post = pixel_bytes(&pair->post);
    uint64_t lanes = pair->pre.samples == 1 ? 1 : 4;
    uint64_t tile = pre + post + 1 + 2 * sizeof(float), block = lanes * sizeof(float);
    uint64_t differences = pair->n_differences + min_u64(pair->n_ahead, FOOTPRINT_MOST_AHEAD);
    uint64_t written = pre + (has_post(pair) ? post : 0) + differences * sizeof(float);
    uint64_t warp =
        TILE_PX * (sizeof(float) + PARCELS * written) +
        (pair->compressed ? CODEC_BYTES + TILE_PX * max_u64(max_u64(pre, post), sizeof(float)) : 0);
    uint64_t wanted = max_u64(pre, post) * TILE_PX * CACHED_TILES;
    uint64_t caches = cache_bytes(&pair->pre, wanted) + cache_bytes(&pair->post, wanted);
    return pair->threads *
               (TILE_PX * (tile + block) + HELD_PX * pre + max_u64(HISTOGRAM_BYTES, warp)) +
           caches;
}

/* Both images reduced, pre aligned with post, and what is drawn at a time. */
static uint64_t qc_bytes(const struct footprint_pair *pair) {
    uint64_t area = whole_level_area(&pair->pre) + 2 * whole_level_area(&pair->post);
    return area * sizeof(float) + min_u64(pair->threads, DRAWN_AT_ONCE) * DRAWING_BYTES;
}

/* A row above the limit is taken alone; channels are taken apart beside it. */
static uint64_t fits_bytes(const struct footprint_pair *pair) {
    uint64_t width = pair->post.width + 2 * (uint64_t)pair->pad, pre = pixel_bytes(&pair->pre);
    uint64_t row = width * max_u64(pre, sizeof(float));
    uint64_t band = max_u64(row, min_u64(row * 256, FITS_BAND_BYTES));
    return 2 * band + 3 * TILE_PX * max_u64(pre, sizeof(float)) + CODEC_BYTES;
}

uint64_t footprint_align_memory(const struct footprint_pair *pair) {
    uint64_t survey = max_u64(survey_bytes(&pair->pre), survey_bytes(&pair->post));
    uint64_t early = max_u64(survey, search_bytes(pair));
    uint64_t late = max_u64(render_bytes(pair), qc_bytes(pair));
    if (has_fits(pair)) /* cfitsio stays */
        late = FITS_LIBRARY_BYTES + max_u64(late, fits_bytes(pair));
    uint64_t most = max_u64(early, max_u64(refine_bytes(pair), late));
    return min_u64(FIXED_BYTES + pair->threads * PER_THREAD_BYTES + most, pair->cap_bytes);
}

/* Reduced levels from 1/4 on, 2 bytes a pixel: 2 (1/16 + 1/64 + ...) = 1/6 of the area. */
static uint64_t level_bytes(const struct footprint_image *image) {
    return image->width * image->height / 6;
}

/* While a survey runs, the means of all channels stand beside the levels made so far. */
static uint64_t means_bytes(const struct footprint_image *image) {
    return image->width * image->height * image->samples / 8;
}

/* Of the pictures at this level, without those that another variant makes or with them; tiles are
 * whole. */
static uint64_t picture_bytes(const struct footprint_pair *pair, uint32_t level, bool is_shared) {
    uint64_t width = pair->post.width + 2 * (uint64_t)pair->pad;
    uint64_t height = pair->post.height + 2 * (uint64_t)pair->pad;
    uint64_t across = ((width - 1) >> level) / 256 + 1, down = ((height - 1) >> level) / 256 + 1;
    uint64_t differences = pair->n_differences - (is_shared && pair->n_differences > 0 ? 1 : 0);
    uint64_t pixel = (is_shared ? 0 : pixel_bytes(&pair->pre)) +
                     (has_post(pair) ? pixel_bytes(&pair->post) : 0) + sizeof(float) * differences;
    return across * down * TILE_PX * pixel;
}

static uint64_t pyramid_bytes(const struct footprint_pair *pair) {
    uint64_t longest = max_u64(pair->post.width, pair->post.height) + 2 * (uint64_t)pair->pad;
    uint64_t sum = 0;
    for (uint32_t level = 1; (longest - 1) >> (level - 1) >= LEAST_LEVEL_PX; level++)
        sum += picture_bytes(pair, level, false);
    return sum;
}

uint64_t footprint_align_inputs(const struct footprint_pair *pair) {
    return image_bytes(&pair->pre) + image_bytes(&pair->post);
}

uint64_t footprint_align_disk(const struct footprint_pair *pair) {
    /* JSON, TIFF tags and tile tables; what is drawn, and the reduced images that it is drawn from
     */
    const uint64_t small_files =
        (1 << 20) + DRAWINGS_DISK_BYTES +
        sizeof(uint16_t) * (whole_level_area(&pair->pre) + whole_level_area(&pair->post));
    /* only TIFFs are shared */
    bool is_shared = pair->has_picture && pair->format == PARAMS_FORMAT_TIFF;
    uint64_t pictures = picture_bytes(pair, 0, is_shared);
    if (pair->format == PARAMS_FORMAT_OME_TIFF)
        pictures += pyramid_bytes(pair);
    if (has_fits(pair)) /* the TIFFs that they are made of go when they are there */
        pictures += picture_bytes(pair, 0, false);
    if (pair->has_signal)
        return small_files + pictures;
    uint64_t means = max_u64(means_bytes(&pair->pre), means_bytes(&pair->post));
    uint64_t kept = level_bytes(&pair->pre) + level_bytes(&pair->post) +
                    (pair->pre.scratch ? image_bytes(&pair->pre) : 0) +
                    (pair->post.scratch ? image_bytes(&pair->post) : 0);
    return small_files + kept + max_u64(pictures, means);
}

int64_t footprint_align_time_ms(const struct footprint_pair *pair) {
    const double fixed_ms = 4000, ms_per_megapixel = 45; /* measured on 2 cores */
    const double share = pair->has_picture ? 0.1 : pair->has_map ? 0.4 : 1; /* rough */
    double pixels = (double)pair->pre.width * (double)pair->pre.height +
                    (double)pair->post.width * (double)pair->post.height;
    return (int64_t)(share * (fixed_ms + pixels / 1e6 * ms_per_megapixel));
}
