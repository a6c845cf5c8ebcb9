/* The alignment parameters: one table of names, defaults and ranges for the supervisor, which
 * checks them before anything starts, and the worker, which obeys them.
 *
 * A set of parameters travels as a JSON object with every name present and in the table's order, so
 * that two equal sets have the same bytes (params_fingerprint). "auto" and "none" are strings.
 */
#ifndef COMMON_PARAMS_H
#define COMMON_PARAMS_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

enum { PARAMS_MAX_CHANNELS = 16, PARAMS_FINGERPRINT_BYTES = 9 };

enum params_model {
    PARAMS_MODEL_AUTO,
    PARAMS_MODEL_SIMILARITY,
    PARAMS_MODEL_AFFINE,
    PARAMS_MODEL_HOMOGRAPHY,
    PARAMS_MODEL_GRID,
    PARAMS_MODEL_COUNT
};
enum params_interpolation {
    PARAMS_INTERPOLATION_NEAREST,
    PARAMS_INTERPOLATION_LINEAR,
    PARAMS_INTERPOLATION_CUBIC,
    PARAMS_INTERPOLATION_LANCZOS,
    PARAMS_INTERPOLATION_COUNT
};
/* Of the pictures' tiles. */
enum params_compression {
    PARAMS_COMPRESSION_NONE,
    PARAMS_COMPRESSION_DEFLATE,
    PARAMS_COMPRESSION_ZSTD,
    PARAMS_COMPRESSION_COUNT
};

/* Of the result files. */
enum params_format {
    PARAMS_FORMAT_TIFF,
    PARAMS_FORMAT_OME_TIFF,
    PARAMS_FORMAT_FITS,
    PARAMS_FORMAT_BOTH, /* TIFF and FITS */
    PARAMS_FORMAT_COUNT
};

struct params {
    int pad;                           /* canvas margin on every side, px */
    bool channel_auto;                 /* choose by the rule in worker/align/signal.h */
    int channels[PARAMS_MAX_CHANNELS]; /* else: these are summed, 0-based */
    int n_channels;
    double angle_range_deg;      /* searched: -angle_range to +angle_range; 180 is all */
    double scale_min, scale_max; /* searched magnification of pre relative to post */
    enum params_model model;
    enum params_interpolation interpolation;
    enum params_compression compression;
    enum params_format format;
    bool has_difference;     /* difference images are written */
    double max_residual_px;  /* held-out median above it: doubtful */
    int min_tiles;           /* fewer agreeing tiles: doubtful */
    double scale_percentile; /* of log10(post / pre), in (0, 100); NAN: none */
    double manual_scale;     /* NAN: none */
    uint32_t seed;
};

/* Every parameter at its default. Caller owns the object; NULL when out of memory. */
json_t *params_defaults(void);

/* Sets one parameter of the object from text ("scale_max=1.1", as in --set). The sentence begins
 * with where, and names the parameter, the value and what is allowed. */
MUST_USE int params_set_text(json_t *params, const char *assignment, const char *where,
                             struct failure *failure);

/* Sets the members of changes (a manifest's "params") in params; unknown names are errors. */
MUST_USE int params_merge(json_t *params, const json_t *changes, const char *where,
                          struct failure *failure);

/* Checks a complete object and fills the struct. scale_min must be below scale_max. */
MUST_USE int params_parse(const json_t *params, struct params *ret, struct failure *failure);

/* CRC-32 of the canonical text as 8 hex digits, with the aligner's own version in it: results of
 * another version of the method are not taken for this one's. Returns text. */
const char *params_fingerprint(const json_t *params, char text[PARAMS_FINGERPRINT_BYTES]);

/* What a parameter has an effect on first, and on all that comes after it. */
enum params_effect {
    PARAMS_EFFECT_SIGNAL,  /* what is read from the images */
    PARAMS_EFFECT_MAP,     /* the map, or its verdict */
    PARAMS_EFFECT_PICTURE, /* the aligned picture */
    PARAMS_EFFECT_SCALE,   /* the background scale alone */
};

/* Whether two complete sets agree in all parameters with that effect or an earlier one. */
bool params_agree(const json_t *a, const json_t *b, enum params_effect effect);

/* The table's rows for --help and the man page: name, default, meaning. NULL past the end. */
const char *params_name(size_t row);
const char *params_default_text(size_t row);
const char *params_meaning(size_t row);

#endif
