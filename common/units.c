/* Parsing and printing of sizes and durations; see units.h. strtod and strtoll do the digits: the
 * locale is never set, so the decimal point is always a point. */
#include "common/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *suffix;
    double factor;
};

/* The number in front and the factor of the suffix behind it. Hex, inf and nan are not numbers a
 * person means here: the first character must be a digit or a point, and 'x' is no suffix. */
static int parse_scaled(const char *text, const struct unit *units, size_t n_units, double limit,
                        double *ret_value) {
    if (!text || !(isdigit((unsigned char)text[0]) || text[0] == '.'))
        return -EINVAL;
    char *end = NULL;
    errno = 0;
    double number = strtod(text, &end);
    if (end == text || !isfinite(number))
        return -EINVAL;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < n_units; i++) {
        if (strcasecmp(end, units[i].suffix) != 0)
            continue;
        double value = number * units[i].factor;
        if (value >= limit)
            return -ERANGE;
        *ret_value = value;
        return 0;
    }
    return -EINVAL;
}

int units_parse_size(const char *text, uint64_t *ret_bytes) {
    static const struct unit units[] = {
        {"", 1},         {"B", 1},       {"K", 0x1p10},   {"KB", 0x1p10},  {"KiB", 0x1p10},
        {"M", 0x1p20},   {"MB", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30},   {"GB", 0x1p30},
        {"GiB", 0x1p30}, {"T", 0x1p40},  {"TB", 0x1p40},  {"TiB", 0x1p40},
    };
    double bytes = 0;
    int r = parse_scaled(text, units, ARRAY_LEN(units), (double)UNITS_MAX_BYTES, &bytes);
    if (r < 0)
        return r;
    *ret_bytes = (uint64_t)bytes;
    return 0;
}

int units_parse_duration(const char *text, int64_t *ret_ms) {
    static const struct unit units[] = {
        {"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3},
    };
    double ms = 0;
    int r = parse_scaled(text, units, ARRAY_LEN(units), (double)UNITS_MAX_DURATION_MS, &ms);
    if (r < 0)
        return r;
    *ret_ms = (int64_t)(ms + 0.5);
    return 0;
}

int units_parse_percent(const char *text, double *ret_share) {
    static const struct unit units[] = {{"%", 0.01}};
    double share = 0;
    int r = parse_scaled(text, units, ARRAY_LEN(units), 1.0 + 1e-9, &share);
    if (r < 0)
        return r;
    if (share <= 0)
        return -ERANGE;
    *ret_share = share;
    return 0;
}

int units_parse_int(const char *text, int64_t low, int64_t high, int64_t *ret_value) {
    if (!text || !(isdigit((unsigned char)text[0]) || text[0] == '-'))
        return -EINVAL;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end)
        return -EINVAL;
    if (errno == ERANGE || value < low || value > high)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

const char *units_format_size(uint64_t bytes, char text[UNITS_TEXT_BYTES]) {
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    /* 999.5 would print as "1000": go up one unit earlier */
    while (value >= 999.5 && unit + 1 < ARRAY_LEN(names)) {
        value /= 1024;
        unit++;
    }
    int decimals = unit > 0 && value < 9.95 ? 1 : 0;
    (void)snprintf(text, UNITS_TEXT_BYTES, "%.*f %s", decimals, value, names[unit]);
    return text;
}

const char *units_format_duration(int64_t ms, char text[UNITS_TEXT_BYTES]) {
    if (ms < 0)
        ms = 0;
    if (ms < 9950)
        (void)snprintf(text, UNITS_TEXT_BYTES, "%.1f s", (double)ms / 1e3);
    else if (ms < 59500)
        (void)snprintf(text, UNITS_TEXT_BYTES, "%.0f s", (double)ms / 1e3);
    else if (ms < 3599500)
        (void)snprintf(text, UNITS_TEXT_BYTES, "%lld min %02lld s", (long long)((ms + 500) / 60000),
                       (long long)((ms + 500) / 1000 % 60));
    else
        (void)snprintf(text, UNITS_TEXT_BYTES, "%lld h %02lld min",
                       (long long)((ms + 500) / 3600000), (long long)((ms + 500) / 60000 % 60));
    return text;
}
