/* See page_series.h. Two passes over the text: the first finds how long each attempt lasted, which
 * sets the length of a stretch; the second keeps the highest sample of each. */
#include "supervisor/page/page_series.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LEAST_POINTS = 4 };

struct sample {
    double seconds;
    uint64_t bytes;
    int attempt;
};

/* The line at text, up to its end. False: it is no sample. */
static bool read_sample(const char *text, struct sample *ret) {
    char *end = NULL;
    ret->seconds = strtod(text, &end);
    if (end == text || *end != ',' || !(ret->seconds >= 0 && ret->seconds < 1e9))
        return false;
    const char *from = end + 1;
    ret->bytes = strtoull(from, &end, 10);
    if (end == from || *end != ',' || ret->bytes > INT64_MAX)
        return false;
    for (int comma = 0; comma < 3; comma++) { /* anonymous, file, swap */
        end += 1 + strspn(end + 1, "0123456789");
        if (*end != ',')
            return false;
    }
    ret->attempt = (int)strtol(end + 1, &end, 10);
    return ret->attempt > 0 && (*end == '\n' || *end == '\r' || *end == '\0');
}

/* Moves *at to the next sample's line. */
static bool next_sample(const char **at, struct sample *ret) {
    while (**at) {
        const char *line = *at;
        const char *newline = strchr(line, '\n');
        *at = newline ? newline + 1 : line + strlen(line);
        if (read_sample(line, ret))
            return true;
    }
    return false;
}

/* Of the attempt that begins at text. */
static double find_length(const char *text, int attempt) {
    struct sample sample;
    double seconds = 0;
    while (next_sample(&text, &sample) && sample.attempt == attempt)
        seconds = sample.seconds;
    return seconds;
}

static int put_point(json_t *points, const struct sample *sample) {
    return json_array_append_new(points, json_real(sample->seconds)) < 0 ||
                   json_array_append_new(points, json_integer((json_int_t)sample->bytes)) < 0
               ? -ENOMEM
               : 0;
}

/* The attempt whose first sample is at *at, which moves behind its last one. */
static json_t *parse_attempt(const char **at, int attempt, size_t max_points) {
    const size_t n = max_points > LEAST_POINTS ? max_points - 2 : LEAST_POINTS;
    const double stretch = find_length(*at, attempt) / (double)n;
    CLEANUP_JSON json_t *points = json_array();
    struct sample sample, highest = {0}, last = {.seconds = -1};
    double until = 0; /* of the stretch that `highest` is of; the first sample stands alone */
    bool has_highest = false;
    const char *next = *at;
    while (points && next_sample(&next, &sample) && sample.attempt == attempt) {
        *at = next;
        if (has_highest && sample.seconds >= until) {
            if (put_point(points, &highest) < 0)
                return NULL;
            has_highest = false;
        }
        if (!has_highest || sample.bytes >= highest.bytes) {
            if (!has_highest)
                until = last.seconds < 0 ? 0 : sample.seconds + stretch;
            highest = sample;
            has_highest = true;
        }
        last = sample;
    }
    if (!points || (has_highest && put_point(points, &highest) < 0) ||
        (has_highest && last.seconds > highest.seconds && put_point(points, &last) < 0))
        return NULL;
    return json_pack("[i, O]", attempt, points);
}

json_t *page_series_parse(const char *text, size_t max_points) {
    CLEANUP_JSON json_t *series = json_array();
    struct sample sample;
    for (const char *at = text, *next = text; series && next_sample(&next, &sample); next = at) {
        if (json_array_size(series) >= PAGE_SERIES_ATTEMPTS)
            (void)json_array_remove(series, 0); /* cannot fail: it is there */
        if (json_array_append_new(series, parse_attempt(&at, sample.attempt, max_points)) < 0)
            return NULL;
    }
    return STEAL_PTR(series);
}
