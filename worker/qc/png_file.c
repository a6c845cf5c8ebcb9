/* All rows are deflated as one chunk. Other filters and levels make these files 4 % smaller, in
 * twice the time. libdeflate rather than libpng: it is several times faster, and already here for
 * TIFF. */
#include "worker/qc/png_file.h"

#include "common/atomic_file.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <string.h>

enum { LEVEL = 1, HEAD_BYTES = 8 + 25, CHUNK_BYTES = 12, MOST_SIDE = 16384 };
enum { FILTER_UP = 2 };

static bool has_colour(const uint32_t *pixels, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t red = pixels[i] >> 16 & 0xff, green = pixels[i] >> 8 & 0xff;
        if (red != green || green != (pixels[i] & 0xff))
            return true;
    }
    return false;
}

/* Each row as what differs from the one above, which of the first is zero. */
static void filter(const uint32_t *pixels, uint32_t width, uint32_t height, size_t channels,
                   uint8_t *ret) {
    for (uint32_t y = 0; y < height; y++) {
        *ret++ = FILTER_UP;
        for (uint32_t x = 0; x < width; x++, pixels++) {
            uint32_t above = y > 0 ? *(pixels - width) : 0;
            if (channels == 3) {
                *ret++ = (uint8_t)((*pixels >> 16) - (above >> 16));
                *ret++ = (uint8_t)((*pixels >> 8) - (above >> 8));
            }
            *ret++ = (uint8_t)(*pixels - above);
        }
    }
}

static uint8_t *put_u32(uint8_t *at, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(value >> shift);
    return at;
}

/* The chunk's data, `length` bytes, stand at at + 8 already. Returns its end. */
static uint8_t *close_chunk(uint8_t *at, const char type[4], uint32_t length) {
    (void)put_u32(at, length);
    memcpy(at + 4, type, 4);
    return put_u32(at + 8 + length, libdeflate_crc32(0, at + 4, length + 4));
}

static uint8_t *put_head(uint8_t *at, uint32_t width, uint32_t height, size_t channels) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    memcpy(at, signature, sizeof(signature));
    at += sizeof(signature);
    uint8_t *data = put_u32(put_u32(at + 8, width), height);
    const uint8_t rest[5] = {8, channels == 3 ? 2 : 0, 0, 0, 0};
    memcpy(data, rest, sizeof(rest));
    return close_chunk(at, "IHDR", 13);
}

int png_file_write(const char *path, const uint32_t *pixels, uint32_t width, uint32_t height,
                   struct failure *failure) {
    if (width == 0 || height == 0 || width > MOST_SIDE || height > MOST_SIDE)
        return failure_set(failure, -EINVAL, "%s: no picture has %u x %u px", path, width, height);
    size_t channels = has_colour(pixels, (size_t)width * height) ? 3 : 1;
    size_t length = (width * channels + 1) * height;
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(LEVEL);
    size_t bound = compressor ? libdeflate_zlib_compress_bound(compressor, length) : 0;
    CLEANUP_TRACKED uint8_t *filtered = tracked_alloc(length, 1, "picture");
    CLEANUP_TRACKED uint8_t *file =
        tracked_alloc(HEAD_BYTES + bound + 2 * CHUNK_BYTES, 1, "picture");
    int r = compressor && filtered && file ? 0 : -ENOMEM;
    if (r == 0) {
        filter(pixels, width, height, channels, filtered);
        uint8_t *at = put_head(file, width, height, channels);
        size_t packed = libdeflate_zlib_compress(compressor, filtered, length, at + 8, bound);
        at = close_chunk(at, "IDAT", (uint32_t)packed);
        at = close_chunk(at, "IEND", 0);
        r = atomic_file_write(path, file, (size_t)(at - file), failure);
    } else {
        (void)failure_set(failure, r, "no memory to write %s", path);
    }
    libdeflate_free_compressor(compressor); /* NULL is fine */
    return r;
}
