/* Reads an image through worker/tiff in both ways, as a test's eye:
 *
 *     read_image FILE SCRATCH [PIXELS]
 *
 * streams the file, reads random regions of it and compares them with what was streamed. Prints one
 * JSON object: the image's properties, the hash of its pixels and the peak RSS, or "error". The
 * streamed pixels are written to PIXELS. Exit status: 0 read, 1 refused, 2 the two ways differ.
 */
#include "worker/memory/tracked.h"
#include "worker/tiff/image.h"

#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

enum { N_REGIONS = 48, MOST_PX = 300 };

struct region {
    uint32_t x, y, width, height;
    char *pixels;
};

struct reading {
    const struct image_info *info;
    size_t pixel_bytes;
    XXH3_state_t *state;
    FILE *pixels; /* NULL: not wanted */
    struct region regions[N_REGIONS];
    uint32_t expected_y;
};

/* xorshift64: the same regions in every run. */
static uint32_t draw(uint64_t *state, uint32_t below) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32) % below;
}

static bool draw_regions(struct reading *reading) {
    uint64_t state = 88172645463325252ULL;
    for (size_t i = 0; i < N_REGIONS; i++) {
        struct region *region = &reading->regions[i];
        region->x = draw(&state, reading->info->width);
        region->y = draw(&state, reading->info->height);
        uint32_t right = reading->info->width - region->x;
        uint32_t below = reading->info->height - region->y;
        region->width = 1 + draw(&state, right < MOST_PX ? right : MOST_PX);
        region->height = 1 + draw(&state, below < MOST_PX ? below : MOST_PX);
        region->pixels = calloc((size_t)region->width * region->height, reading->pixel_bytes);
        if (!region->pixels)
            return false;
    }
    return true;
}

static int take_band(void *context, const struct image_band *band, struct failure *failure) {
    struct reading *reading = context;
    bool last = band->y + band->rows == reading->info->height;
    if (band->y != reading->expected_y || (band->rows % 64 && !last) || band->rows == 0)
        return failure_set(failure, -1, "a band of rows %u to %u came where %u was due", band->y,
                           band->y + band->rows, reading->expected_y);
    reading->expected_y += band->rows;
    size_t row_bytes = reading->info->width * reading->pixel_bytes;
    for (uint32_t i = 0; i < band->rows; i++) {
        const char *row = (const char *)band->pixels + i * band->stride_bytes;
        (void)XXH3_128bits_update(reading->state, row, row_bytes);
        if (reading->pixels && fwrite(row, row_bytes, 1, reading->pixels) != 1)
            return failure_set(failure, -1, "the pixels cannot be written");
        for (size_t k = 0; k < N_REGIONS; k++) {
            const struct region *region = &reading->regions[k];
            uint32_t y = band->y + i - region->y; /* wraps above it: then it is large */
            if (y < region->height)
                memcpy(region->pixels + (size_t)y * region->width * reading->pixel_bytes,
                       row + region->x * reading->pixel_bytes,
                       region->width * reading->pixel_bytes);
        }
    }
    return 0;
}

/* 0: all alike; 2: some region differs; 1: an error. */
static int compare_regions(struct image *image, struct reading *reading, struct failure *failure) {
    struct image_reader *reader = NULL;
    if (image_reader_open(image, 1 << 20, &reader, failure) < 0)
        return 1;
    CLEANUP_FREE char *pixels = calloc((size_t)MOST_PX * MOST_PX, reading->pixel_bytes);
    int status = 0;
    for (size_t i = 0; i < N_REGIONS && status == 0 && pixels; i++) {
        const struct region *region = &reading->regions[i];
        size_t stride = region->width * reading->pixel_bytes;
        if (image_reader_read(reader, region->x, region->y, region->width, region->height, pixels,
                              stride, failure) < 0)
            status = 1;
        else if (memcmp(pixels, region->pixels, stride * region->height) != 0)
            status = 2;
    }
    image_reader_close(reader);
    return status;
}

/* VmHWM and not ru_maxrss, which is never lower than the parent's RSS at the fork. */
static long peak_rss_kib(void) {
    CLEANUP_FCLOSE FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    long kib = -1;
    while (status && kib < 0 && fgets(line, sizeof(line), status)) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    }
    return kib;
}

static void print_result(const struct reading *reading, const struct image_identity *identity) {
    XXH128_hash_t digest = XXH3_128bits_digest(reading->state);
    const struct image_info *info = reading->info;
    (void)printf("{\"width\":%u,\"height\":%u,\"samples\":%u,\"bits\":%u,\"rgb\":%s,"
                 "\"scratch\":%s,\"orientation\":%u,\"file_hash\":\"%s\","
                 "\"pixel_hash\":\"%016llx%016llx\",\"peak_rss_kib\":%ld}\n",
                 info->width, info->height, info->samples, info->bits, info->rgb ? "true" : "false",
                 info->needs_scratch ? "true" : "false", info->orientation, identity->hash,
                 (unsigned long long)digest.high64, (unsigned long long)digest.low64,
                 peak_rss_kib());
}

static int print_error(const char *text) {
    CLEANUP_JSON json_t *line =
        json_pack("{s:s?,s:I}", "error", text, "peak_rss_kib", (json_int_t)peak_rss_kib());
    (void)json_dumpf(line, stdout, JSON_COMPACT);
    (void)putchar('\n');
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        (void)fputs("usage: read_image FILE SCRATCH [PIXELS]\n", stderr);
        return 64;
    }
    struct failure failure = {0};
    struct image *image = NULL;
    if (image_open(argv[1], &image, &failure) < 0)
        return print_error(failure.text);
    struct reading reading = {.info = image_get_info(image), .state = XXH3_createState()};
    reading.pixel_bytes = (size_t)reading.info->samples * reading.info->bits / 8;
    reading.pixels = argc > 3 ? fopen(argv[3], "wbe") : NULL;
    struct image_identity identity;
    int status = 1;
    if (!reading.state || XXH3_128bits_reset(reading.state) != XXH_OK || !draw_regions(&reading) ||
        (argc > 3 && !reading.pixels))
        (void)print_error("the reading cannot be set up");
    else if (image_stream(image, argv[2], take_band, &reading, NULL, &identity, &failure) < 0)
        (void)print_error(failure.text);
    else {
        status = compare_regions(image, &reading, &failure);
        if (status == 0)
            print_result(&reading, &identity);
        else
            (void)print_error(status == 1 ? failure.text : "regions differ from the stream");
    }
    for (size_t i = 0; i < N_REGIONS; i++)
        free(reading.regions[i].pixels);
    (void)XXH3_freeState(reading.state);
    if (reading.pixels && fclose(reading.pixels) != 0)
        status = print_error("the pixels cannot be written");
    image_close(image);
    return status;
}
