/* See model_print.h. A kind is a paragraph: how it grows, how long it takes, what that was made
 * from, and how good the forecasts were. */
#include "supervisor/memory/model_print.h"

#include "common/units.h"
#include "supervisor/memory/forecast.h"
#include "supervisor/report/text.h"

#include <math.h>
#include <string.h>

enum { LINE_BYTES = 512, MEANING_COLUMN = 10 };

static const char *size_text(double bytes, char text[UNITS_TEXT_BYTES]) {
    return units_format_size(bytes > 0 && bytes < 0x1p63 ? (uint64_t)bytes : 0, text);
}

static const char *time_text(double ms, char text[UNITS_TEXT_BYTES]) {
    return units_format_duration(ms < 0x1p62 ? (int64_t)ms : 0, text);
}

static const char *share_text(double share, char text[UNITS_TEXT_BYTES]) {
    (void)snprintf(text, UNITS_TEXT_BYTES, "%.*f %%", share < 0.0995 ? 1 : 0, 100 * share);
    return text;
}

static void print_line(FILE *stream, const char *title, const char *text, size_t width) {
    (void)fprintf(stream, "  %-*s", MEANING_COLUMN - 2, title);
    text_wrap(stream, text, MEANING_COLUMN, width);
}

/* How far 99 of 100 stay from the estimate, at the largest size seen. */
static double width_of(const struct regression *fit) {
    const double estimate = regression_estimate(fit, fit->size_max);
    return estimate > 0 ? regression_upper(fit, fit->size_max) / estimate - 1 : 0;
}

/* The curve in words; value_text formats bytes or ms. */
static void describe(const struct regression *fit,
                     const char *(*value_text)(double, char[UNITS_TEXT_BYTES]),
                     char line[LINE_BYTES]) {
    char fixed[UNITS_TEXT_BYTES], top[UNITS_TEXT_BYTES], size[UNITS_TEXT_BYTES];
    const double largest = regression_estimate(fit, fit->size_max);
    (void)value_text(fit->fixed, fixed);
    (void)value_text(largest, top);
    (void)size_text(fit->size_max, size);
    if (fit->shape == REGRESSION_NONE)
        (void)snprintf(line, LINE_BYTES, "nothing is known: none came to its own end");
    else if (fit->shape == REGRESSION_ONE_SIZE && fit->size_max > 0)
        (void)snprintf(line, LINE_BYTES, "%s; only inputs of one size, %s, were seen", fixed, size);
    else if (fit->shape == REGRESSION_ONE_SIZE)
        (void)snprintf(line, LINE_BYTES, "%s; there are no inputs to go by", fixed);
    else if (largest - fit->fixed < 0.02 * largest)
        (void)snprintf(line, LINE_BYTES, "%s, whatever the size of the inputs", fixed);
    else if (fit->shape == REGRESSION_FASTER)
        (void)snprintf(line, LINE_BYTES,
                       "faster than linear: %s, and more with the inputs' size to the power of "
                       "%.3g, up to %s at %s",
                       fixed, fit->exponent, top, size);
    else
        (void)snprintf(line, LINE_BYTES,
                       "linear: %s, and more with the inputs' size, up to %s at %s", fixed, top,
                       size);
}

static void describe_memory(const struct model_kind_view *kind, char line[LINE_BYTES]) {
    char share[UNITS_TEXT_BYTES];
    if (kind->is_pair && kind->memory->shape != REGRESSION_NONE)
        (void)snprintf(line, LINE_BYTES, "%.2f x what the images' headers foretell",
                       kind->memory->fixed);
    else
        describe(kind->memory, size_text, line);
    const size_t used = strlen(line);
    if (kind->memory->shape != REGRESSION_NONE)
        (void)snprintf(line + used, LINE_BYTES - used, "; 99 of 100 stay within %s",
                       share_text(width_of(kind->memory), share));
}

static void describe_time(const struct model_kind_view *kind, char line[LINE_BYTES]) {
    if (kind->is_pair && kind->time->shape != REGRESSION_NONE)
        (void)snprintf(line, LINE_BYTES, "%.2f x what the images' headers foretell",
                       kind->time->fixed);
    else
        describe(kind->time, time_text, line);
}

/* "2026-11-21 23:52": the date and minute of an RFC 3339 time, which is UTC. */
static const char *minute_of(const char *time, char text[CLOCK_TEXT_BYTES]) {
    (void)snprintf(text, CLOCK_TEXT_BYTES, "%.10s %.5s", time, strlen(time) > 11 ? time + 11 : "");
    return text;
}

static void describe_origin(const struct model_kind_view *kind, char line[LINE_BYTES]) {
    char low[UNITS_TEXT_BYTES], high[UNITS_TEXT_BYTES], first[CLOCK_TEXT_BYTES],
        last[CLOCK_TEXT_BYTES];
    const struct regression *fit = kind->memory;
    const size_t n = fit->n_exact + fit->n_at_least;
    int used = snprintf(line, LINE_BYTES, "%llu attempt%s", (unsigned long long)kind->n_attempts,
                        kind->n_attempts == 1 ? "" : "s");
    if (n < kind->n_attempts)
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), " (a sample of %zu)", n);
    if (fit->n_at_least > 0)
        used += snprintf(line + used, (size_t)(LINE_BYTES - used),
                         ", of which %zu did not come to their end and count as \"at least\"",
                         fit->n_at_least);
    if (!kind->is_pair && fit->size_max > fit->size_min)
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), "; inputs of %s to %s",
                         size_text(fit->size_min, low), size_text(fit->size_max, high));
    if (kind->first[0])
        (void)snprintf(line + used, (size_t)(LINE_BYTES - used), "; %s to %s UTC",
                       minute_of(kind->first, first), minute_of(kind->last, last));
}

static void describe_error(const struct model_kind_view *kind, char line[LINE_BYTES]) {
    char half[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES], worst[UNITS_TEXT_BYTES];
    (void)share_text(kind->error_worst, worst);
    if (kind->n_judged == 0)
        (void)snprintf(line, LINE_BYTES, "no forecast could be held against what was measured yet");
    else if (kind->n_judged == 1)
        (void)snprintf(line, LINE_BYTES, "one forecast, %s off what was measured", worst);
    else
        (void)snprintf(line, LINE_BYTES,
                       "%zu forecasts: half are within %s of what was measured, nine of ten within "
                       "%s, the worst is %s off",
                       kind->n_judged, share_text(kind->error_median, half),
                       share_text(kind->error_most, most), worst);
}

static void print_kind(const struct model_kind_view *kind, FILE *stream, size_t width) {
    static const struct {
        const char *title;
        void (*describe)(const struct model_kind_view *kind, char line[LINE_BYTES]);
    } lines[] = {{"memory", describe_memory},
                 {"time", describe_time},
                 {"from", describe_origin},
                 {"so far", describe_error}};
    char line[LINE_BYTES];
    (void)text_print(stream, kind->name, TEXT_UNLIMITED, TEXT_CUT_END);
    if (kind->user) {
        (void)fputs(", of ", stream);
        (void)text_print(stream, kind->user, TEXT_UNLIMITED, TEXT_CUT_END);
    }
    (void)fputc('\n', stream);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        lines[i].describe(kind, line);
        print_line(stream, lines[i].title, line, width);
    }
}

static bool is_asked(const struct model_kind_view *kind, const char *name) {
    return kind->n_attempts > 0 && (!name || strcmp(kind->name, name) == 0);
}

void model_print(const struct model *model, const char *kind, FILE *stream, size_t width) {
    bool is_first = true;
    for (size_t i = 0; i < model_count(model); i++) {
        struct model_kind_view view;
        model_look(model, i, &view);
        if (!is_asked(&view, kind))
            continue;
        if (!is_first)
            (void)fputc('\n', stream);
        is_first = false;
        print_kind(&view, stream, width);
    }
}

/* ---- JSON ---- */

static json_t *fit_to_json(const struct regression *fit, bool is_pair) {
    static const char *const shapes[REGRESSION_SHAPE_COUNT] = {
        [REGRESSION_NONE] = "unknown",
        [REGRESSION_ONE_SIZE] = "one-size",
        [REGRESSION_LINE] = "linear",
        [REGRESSION_FASTER] = "faster-than-linear",
    };
    json_t *object = json_pack(
        "{s:s, s:I, s:I, s:f}", "shape",
        is_pair && fit->shape == REGRESSION_ONE_SIZE ? "of-headers" : shapes[fit->shape], "exact",
        (json_int_t)fit->n_exact, "at_least", (json_int_t)fit->n_at_least, "fixed", fit->fixed);
    if (!object || is_pair || fit->shape < REGRESSION_LINE)
        return object;
    (void)json_object_set_new(object, "slope", json_real(fit->slope));
    (void)json_object_set_new(object, "exponent", json_real(fit->exponent));
    return object;
}

static json_t *kind_to_json(const struct model_kind_view *kind) {
    const struct regression *fit = kind->memory;
    CLEANUP_JSON json_t *object = json_pack(
        "{s:s, s:b, s:I, s:o, s:o, s:I, s:I}", "kind", kind->name, "pair", kind->is_pair,
        "attempts", (json_int_t)kind->n_attempts, "memory", fit_to_json(fit, kind->is_pair),
        "time_ms", fit_to_json(kind->time, kind->is_pair), "size_min", (json_int_t)fit->size_min,
        "size_max", (json_int_t)fit->size_max);
    CLEANUP_JSON json_t *more = json_pack(
        "{s:f, s:{s:I, s:f, s:f, s:f}, s:s, s:s}", "interval", width_of(fit), "error", "forecasts",
        (json_int_t)kind->n_judged, "median", kind->error_median, "most", kind->error_most, "worst",
        kind->error_worst, "first", kind->first, "last", kind->last);
    if (kind->user && json_object_set_new(more, "user", json_string(kind->user)) < 0)
        return NULL;
    return object && more && json_object_update(object, more) == 0 ? STEAL_PTR(object) : NULL;
}

json_t *model_to_json(const struct model *model, const char *kind) {
    CLEANUP_JSON json_t *kinds = json_array();
    for (size_t i = 0; i < model_count(model); i++) {
        struct model_kind_view view;
        model_look(model, i, &view);
        if (is_asked(&view, kind) && json_array_append_new(kinds, kind_to_json(&view)) < 0)
            return NULL;
    }
    return json_pack("{s:i, s:O}", "version", 1, "kinds", kinds);
}
