/* See clock.h. clock_gettime cannot fail for these clocks on Linux. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_monotonic_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock always exists */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_monotonic_ms(void) { return clock_monotonic_ns() / 1000000; }

int64_t clock_wall_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail: the clock always exists */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *clock_rfc3339(char text[CLOCK_TEXT_BYTES]) {
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail: the clock always exists */
    (void)gmtime_r(&now.tv_sec, &utc);         /* fails only beyond the year 2^31 */
    char seconds[24];
    (void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text, CLOCK_TEXT_BYTES, "%s.%03dZ", seconds, (int)(now.tv_nsec / 1000000));
    return text;
}

const char *clock_local(const char *rfc3339, char text[CLOCK_TEXT_BYTES]) {
    struct tm utc = {0}, local;
    const char *rest = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &utc);
    time_t at = rest ? timegm(&utc) : -1;
    if (at < 0 || !localtime_r(&at, &local) ||
        strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &local) == 0)
        (void)snprintf(text, CLOCK_TEXT_BYTES, "%s", rfc3339);
    return text;
}
