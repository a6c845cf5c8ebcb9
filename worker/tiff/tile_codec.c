/* A thin layer over libdeflate and zstd; see tile_codec.h. */
#include "worker/tiff/tile_codec.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <libdeflate.h>
#include <string.h>
#include <tiff.h>
#include <zstd.h>

enum {
    DEFLATE_LEVEL = 1,
    ZSTD_LEVEL = 1,
    LIBRARY_BYTES = 1 << 20, /* what either allocates at these levels is less */
};

struct tile_codec {
    enum params_compression kind;
    size_t most_bytes;
    uint8_t *predicted;                     /* tracked; a tile after the predictor */
    struct libdeflate_compressor *deflater; /* owned */
    ZSTD_CCtx *zstd;                        /* owned */
    /* owned; made when the first tile is decoded */
    struct libdeflate_decompressor *inflater;
    ZSTD_DCtx *unzstd;
};

size_t tile_codec_bound(enum params_compression kind, const struct tile_codec_shape *shape) {
    size_t raw = tile_codec_raw_bytes(shape);
    switch (kind) {
    case PARAMS_COMPRESSION_DEFLATE:
        return libdeflate_zlib_compress_bound(NULL, raw);
    case PARAMS_COMPRESSION_ZSTD:
        return ZSTD_compressBound(raw);
    default:
        return raw;
    }
}

uint16_t tile_codec_compression_tag(enum params_compression kind) {
    static const uint16_t tags[PARAMS_COMPRESSION_COUNT] = {
        [PARAMS_COMPRESSION_NONE] = COMPRESSION_NONE,
        [PARAMS_COMPRESSION_DEFLATE] = COMPRESSION_ADOBE_DEFLATE,
        [PARAMS_COMPRESSION_ZSTD] = COMPRESSION_ZSTD,
    };
    return tags[kind];
}

uint16_t tile_codec_predictor_tag(enum params_compression kind,
                                  const struct tile_codec_shape *shape) {
    const bool is_plain = shape->is_float || shape->bits > 16; /* labels: runs of the same */
    return kind == PARAMS_COMPRESSION_NONE || is_plain ? PREDICTOR_NONE : PREDICTOR_HORIZONTAL;
}

int tile_codec_open(enum params_compression kind, size_t most_bytes, struct tile_codec **ret,
                    struct failure *failure) {
    struct tile_codec *codec = calloc(1, sizeof(*codec));
    bool right = codec != NULL;
    if (right && kind != PARAMS_COMPRESSION_NONE) {
        codec->predicted = tracked_alloc(most_bytes, 1, "tile to compress");
        right = codec->predicted != NULL;
    }
    if (right && kind == PARAMS_COMPRESSION_DEFLATE)
        right = (codec->deflater = libdeflate_alloc_compressor(DEFLATE_LEVEL)) != NULL;
    if (right && kind == PARAMS_COMPRESSION_ZSTD)
        right = (codec->zstd = ZSTD_createCCtx()) != NULL;
    if (!right) {
        tile_codec_close(codec);
        return failure_set(failure, -ENOMEM,
                           "no memory to compress tiles of %zu bytes; raise --worker-memory or use "
                           "compression=none",
                           most_bytes);
    }
    codec->kind = kind;
    codec->most_bytes = most_bytes;
    *ret = codec;
    return 0;
}

void tile_codec_close(struct tile_codec *codec) {
    if (!codec)
        return;
    tracked_free(codec->predicted);
    libdeflate_free_compressor(codec->deflater);
    libdeflate_free_decompressor(codec->inflater);
    (void)ZSTD_freeCCtx(codec->zstd); /* both return 0 */
    (void)ZSTD_freeDCtx(codec->unzstd);
    free(codec);
}

uint64_t tile_codec_memory(enum params_compression kind, size_t most_bytes) {
    return kind == PARAMS_COMPRESSION_NONE ? 0 : most_bytes + LIBRARY_BYTES;
}

/* Each sample less the one before it in its row, the first ones as they are. */
#define DEFINE_PREDICT(name, type)                                                                 \
    static void name(const type *from, const struct tile_codec_shape *shape, type *to) {           \
        size_t samples = shape->samples, row = shape->width * samples;                             \
        for (uint32_t y = 0; y < shape->height; y++, from += row, to += row) {                     \
            memcpy(to, from, samples * sizeof(*to));                                               \
            for (size_t i = samples; i < row; i++)                                                 \
                to[i] = (type)(from[i] - from[i - samples]);                                       \
        }                                                                                          \
    }

DEFINE_PREDICT(predict_u8, uint8_t)
DEFINE_PREDICT(predict_u16, uint16_t)

#define DEFINE_UNPREDICT(name, type)                                                               \
    static void name(const struct tile_codec_shape *shape, type *pixels) {                         \
        size_t samples = shape->samples, row = shape->width * samples;                             \
        for (uint32_t y = 0; y < shape->height; y++, pixels += row)                                \
            for (size_t i = samples; i < row; i++)                                                 \
                pixels[i] = (type)(pixels[i] + pixels[i - samples]);                               \
    }

DEFINE_UNPREDICT(unpredict_u8, uint8_t)
DEFINE_UNPREDICT(unpredict_u16, uint16_t)

static const void *predict(struct tile_codec *codec, const struct tile_codec_shape *shape,
                           const void *pixels) {
    if (tile_codec_predictor_tag(codec->kind, shape) == PREDICTOR_NONE)
        return pixels;
    if (shape->bits == 8)
        predict_u8(pixels, shape, codec->predicted);
    else
        predict_u16(pixels, shape, (uint16_t *)(void *)codec->predicted);
    return codec->predicted;
}

int tile_codec_encode(struct tile_codec *codec, const struct tile_codec_shape *shape,
                      const void *pixels, void *to, size_t *ret_bytes, struct failure *failure) {
    size_t raw = tile_codec_raw_bytes(shape), bound = tile_codec_bound(codec->kind, shape), n = 0;
    if (raw > codec->most_bytes)
        return failure_set(failure, -EINVAL, "a tile of %zu bytes is above the codec's %zu", raw,
                           codec->most_bytes);
    if (codec->kind == PARAMS_COMPRESSION_NONE) {
        memcpy(to, pixels, raw);
        *ret_bytes = raw;
        return 0;
    }
    const void *from = predict(codec, shape, pixels);
    if (codec->kind == PARAMS_COMPRESSION_DEFLATE) {
        n = libdeflate_zlib_compress(codec->deflater, from, raw, to, bound);
        if (n == 0)
            return failure_set(failure, -ENOBUFS, "a tile of %zu bytes does not fit %zu", raw,
                               bound);
    } else {
        n = ZSTD_compressCCtx(codec->zstd, to, bound, from, raw, ZSTD_LEVEL);
        if (ZSTD_isError(n))
            return failure_set(failure, -ENOMEM, "zstd cannot compress a tile of %zu bytes: %s",
                               raw, ZSTD_getErrorName(n));
    }
    *ret_bytes = n;
    return 0;
}

static size_t expand(struct tile_codec *codec, const void *bytes, size_t n_bytes, void *to,
                     size_t room) {
    size_t n = 0;
    switch (codec->kind) {
    case PARAMS_COMPRESSION_DEFLATE:
        return libdeflate_zlib_decompress(codec->inflater, bytes, n_bytes, to, room, &n) ==
                       LIBDEFLATE_SUCCESS
                   ? n
                   : 0;
    case PARAMS_COMPRESSION_ZSTD:
        n = ZSTD_decompressDCtx(codec->unzstd, to, room, bytes, n_bytes);
        return ZSTD_isError(n) ? 0 : n;
    default:
        memcpy(to, bytes, n_bytes < room ? n_bytes : room);
        return n_bytes;
    }
}

int tile_codec_decode(struct tile_codec *codec, const struct tile_codec_shape *shape,
                      const void *bytes, size_t n_bytes, void *pixels, struct failure *failure) {
    size_t raw = tile_codec_raw_bytes(shape);
    if (codec->kind == PARAMS_COMPRESSION_DEFLATE && !codec->inflater)
        codec->inflater = libdeflate_alloc_decompressor();
    if (codec->kind == PARAMS_COMPRESSION_ZSTD && !codec->unzstd)
        codec->unzstd = ZSTD_createDCtx();
    if ((codec->kind == PARAMS_COMPRESSION_DEFLATE && !codec->inflater) ||
        (codec->kind == PARAMS_COMPRESSION_ZSTD && !codec->unzstd))
        return failure_set(failure, -ENOMEM, "no memory to decode a tile of %zu bytes", raw);
    if (expand(codec, bytes, n_bytes, pixels, raw) != raw)
        return failure_set(failure, -EBADMSG, "%zu bytes are no tile of %zu", n_bytes, raw);
    if (tile_codec_predictor_tag(codec->kind, shape) == PREDICTOR_NONE)
        return 0;
    if (shape->bits == 8)
        unpredict_u8(shape, pixels);
    else
        unpredict_u16(shape, pixels);
    return 0;
}
