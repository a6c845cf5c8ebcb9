/* The figures behind the forecast; see footprint.h. Measured ones say so; they are checked against
 * the kernel's accounting by tests/bench. */
#include "common/footprint.h"

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* One pass over an image holds a band of rows in native samples and as float signal. */
static uint64_t stream_bytes(const struct footprint_image *image) {
    const uint64_t band_rows = 256;
    if (image->stream_bytes) /* as the worker counts it; the signal is made of few rows at a time */
        return image->stream_bytes + image->width * 64 * sizeof(float);
    return image->width * band_rows * (image->samples * image->bits / 8 + sizeof(float));
}

uint64_t footprint_align_memory(const struct footprint_pair *pair) {
    const uint64_t search_bytes = 48 << 20; /* pyramids at the coarse levels and their spectra */
    const uint64_t per_thread = 24 << 20;   /* one output tile, its source box, a tile cache */
    uint64_t pre = stream_bytes(&pair->pre), post = stream_bytes(&pair->post);
    uint64_t work = (pre > post ? pre : post) + search_bytes + pair->threads * per_thread;
    return min_u64(FOOTPRINT_BASE_BYTES + work, pair->cap_bytes);
}

static uint64_t image_bytes(const struct footprint_image *image) {
    return image->width * image->height * image->samples * (image->bits / 8);
}

uint64_t footprint_align_disk(const struct footprint_pair *pair) {
    uint64_t canvas = (pair->post.width + 2 * pair->pad) * (pair->post.height + 2 * pair->pad);
    uint64_t aligned = canvas * pair->pre.samples * (pair->pre.bits / 8);
    uint64_t differences = canvas * sizeof(float) * pair->n_differences;
    uint64_t pyramids = (image_bytes(&pair->pre) + image_bytes(&pair->post)) / 8;
    uint64_t scratch = (pair->pre.scratch ? image_bytes(&pair->pre) : 0) +
                       (pair->post.scratch ? image_bytes(&pair->post) : 0);
    return aligned + differences + pyramids + scratch;
}

int64_t footprint_align_time_ms(const struct footprint_pair *pair) {
    const double fixed_ms = 2000, ms_per_megapixel = 50; /* measured on 2 cores */
    double pixels = (double)pair->pre.width * (double)pair->pre.height +
                    (double)pair->post.width * (double)pair->post.height;
    return (int64_t)(fixed_ms + pixels / 1e6 * ms_per_megapixel);
}
