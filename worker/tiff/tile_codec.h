/* Compresses the tiles of a TIFF, one after the other, and undoes it; each stands by itself.
 *
 * deflate: zlib's format (TIFF technical note 2, compression 8), made by libdeflate; zstd:
 * compression 50000 of libtiff. Both at their fastest level: the next ones take twice the time for
 * a few percent. Whole numbers go through the horizontal predictor (TIFF 6.0, section 14). Floats
 * do not go through theirs (technical note 3): a difference of whole numbers takes few values,
 * which come again and again as they are and not after their bytes were shuffled (tests/bench).
 */
#ifndef WORKER_TIFF_TILE_CODEC_H
#define WORKER_TIFF_TILE_CODEC_H

#include "common/failure.h"
#include "common/params.h"

#include <stddef.h>

/* What a row of a tile is made of. */
struct tile_codec_shape {
    uint32_t width, height; /* px */
    uint32_t samples, bits; /* interleaved */
    bool is_float;
};

static inline size_t tile_codec_raw_bytes(const struct tile_codec_shape *shape) {
    return (size_t)shape->width * shape->height * shape->samples * shape->bits / 8;
}
/* The most that a tile becomes. */
size_t tile_codec_bound(enum params_compression kind, const struct tile_codec_shape *shape);
/* The values of the TIFF tags Compression and Predictor. */
uint16_t tile_codec_compression_tag(enum params_compression kind);
uint16_t tile_codec_predictor_tag(enum params_compression kind,
                                  const struct tile_codec_shape *shape);

/* Of one thread. */
struct tile_codec;
/* most_bytes: of the largest raw tile. */
MUST_USE int tile_codec_open(enum params_compression kind, size_t most_bytes,
                             struct tile_codec **ret, struct failure *failure);
void tile_codec_close(struct tile_codec *codec); /* NULL is fine */
/* Beside the codec's tracked memory: what the libraries take. */
uint64_t tile_codec_memory(enum params_compression kind, size_t most_bytes);

/* One tile to `to`, which has room for its bound. The same pixels give the same bytes. */
MUST_USE int tile_codec_encode(struct tile_codec *codec, const struct tile_codec_shape *shape,
                               const void *pixels, void *to, size_t *ret_bytes,
                               struct failure *failure);

/* Back, to a whole raw tile. -EBADMSG when the bytes are none of such a tile. */
MUST_USE int tile_codec_decode(struct tile_codec *codec, const struct tile_codec_shape *shape,
                               const void *bytes, size_t n_bytes, void *pixels,
                               struct failure *failure);

#endif
