/* What an align task needs, from its images' headers alone: the worker sizes its buffers by these
 * figures and the supervisor forecasts with them, so the two cannot drift apart.
 */
#ifndef COMMON_FOOTPRINT_H
#define COMMON_FOOTPRINT_H

#include "common/params.h"

/* One image, as the probe reports it. */
struct footprint_image {
    uint64_t width, height; /* px */
    uint32_t samples;       /* per pixel, extra samples included */
    uint32_t bits;          /* 8 or 16 */
    uint64_t block_bytes;   /* decoded at a time for a small region; 0: read as it is */
    uint64_t stream_bytes;  /* buffers while it is read from top to bottom; 0: not known */
    bool scratch; /* a tiled copy is written: random access would decode it over and over */
};

struct footprint_pair {
    struct footprint_image pre, post;
    uint32_t threads;
    uint64_t cap_bytes; /* the task's memory cap (RSS) */
    uint32_t pad;       /* px on every side */
    uint32_t n_differences;
    uint32_t n_ahead;          /* of variants to come, which it may write along with its own */
    bool compressed;           /* the pictures' tiles */
    enum params_format format; /* of the pictures */
    /* Another variant of the pair makes these, which takes time and space once: */
    bool has_signal;  /* level and scratch files */
    bool has_map;     /* all up to the map */
    bool has_picture; /* the aligned picture, and the difference by the fitted scale */
};

enum {
    /* RSS of the worker before any image: code, libraries (OpenCV, BLAS), stacks. Measured. */
    FOOTPRINT_BASE_BYTES = 64 << 20,
    FOOTPRINT_MOST_AHEAD = 8, /* difference images of variants to come, written in one pass */
    /* The least cap that align accepts. */
    FOOTPRINT_LEAST_CAP_BYTES = 192 << 20,
};

/* Peak RSS of the task. Never above cap_bytes when that is at least the least cap. */
uint64_t footprint_align_memory(const struct footprint_pair *pair);
/* Bytes of both images, uncompressed. */
uint64_t footprint_align_inputs(const struct footprint_pair *pair);
/* Bytes written below OUT at the worst instant: outputs, checkpoints, scratch. Compressed tiles
 * count in full, as they are reserved: noise does not shrink. */
uint64_t footprint_align_disk(const struct footprint_pair *pair);
/* Wall time on an idle machine, ms: a rough prior until there is history. */
int64_t footprint_align_time_ms(const struct footprint_pair *pair);

#endif
