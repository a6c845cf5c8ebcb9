/* Sizes, durations and shares as people write them.
 *
 * Sizes are binary: 512M is 512 MiB; suffixes K M G T (also KiB, MiB, ..., any case), none is
 * bytes. Durations: 90s, 30m, 2h, 500ms, 1d; a bare number is seconds. Decimals are allowed in
 * both, and both stay below the bounds here, so that sums of a few do not overflow. All parsers
 * refuse trailing text, negatives, NaN and overflow with -EINVAL or -ERANGE and leave the result
 * alone.
 */
#ifndef COMMON_UNITS_H
#define COMMON_UNITS_H

#include "common/cleanup.h"

#include <stdint.h>

enum { UNITS_TEXT_BYTES = 32 };

#define UNITS_MAX_BYTES (INT64_C(1) << 61)
#define UNITS_MAX_DURATION_MS (INT64_C(3660) * 24 * 3600 * 1000)

MUST_USE int units_parse_size(const char *text, uint64_t *ret_bytes);
MUST_USE int units_parse_duration(const char *text, int64_t *ret_ms);
/* "60%" -> 0.6; must end in a percent sign and lie in (0, 100]. */
MUST_USE int units_parse_percent(const char *text, double *ret_share);
/* A whole decimal number in [low, high]. */
MUST_USE int units_parse_int(const char *text, int64_t low, int64_t high, int64_t *ret_value);

/* "480 MiB", "1.4 GiB", "41 GiB": three significant digits at most. Returns text. */
const char *units_format_size(uint64_t bytes, char text[UNITS_TEXT_BYTES]);
/* "0.8 s", "42 s", "3 min 05 s", "1 h 02 min". Returns text. */
const char *units_format_duration(int64_t ms, char text[UNITS_TEXT_BYTES]);

#endif
