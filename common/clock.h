/* The two clocks: one to measure with, one to tell people. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

enum { CLOCK_TEXT_BYTES = 32 };

/* CLOCK_MONOTONIC in milliseconds and nanoseconds. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_ns(void);

/* CLOCK_REALTIME in milliseconds since 1970: times of day, never durations. */
int64_t clock_wall_ms(void);

/* Now as RFC 3339 in UTC with milliseconds: "2026-11-21T20:00:00.123Z". Returns text. */
const char *clock_rfc3339(char text[CLOCK_TEXT_BYTES]);
/* Such a time as a clock on the wall shows it: "2026-11-21 21:00:12" east of Greenwich; what is no
 * such time stays as it is. Returns text. */
const char *clock_local(const char *rfc3339, char text[CLOCK_TEXT_BYTES]);

#endif
