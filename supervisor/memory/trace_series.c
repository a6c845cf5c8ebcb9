/* See trace_series.h. What counts as more is resident and swapped memory together: a task that is
 * pushed out to swap still holds it. */
#include "supervisor/memory/trace_series.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

struct trace_stretch {
    struct trace_sample low, high;
};

static uint64_t held(const struct trace_sample *sample) {
    return sample->resident_bytes + sample->swap_bytes;
}

/* Of equal ones the earlier stays. */
static void fold(struct trace_stretch *into, const struct trace_stretch *from) {
    if (held(&from->low) < held(&into->low))
        into->low = from->low;
    if (held(&from->high) > held(&into->high))
        into->high = from->high;
}

static void merge_neighbours(struct trace_series *series) {
    for (size_t i = 0; i < series->count / 2; i++) {
        series->stretches[i] = series->stretches[2 * i];
        fold(&series->stretches[i], &series->stretches[2 * i + 1]);
    }
    series->count /= 2;
    series->length *= 2;
    series->filled = series->length;
}

/* Makes room for one more stretch; there is none only when nothing could be allocated at all. */
static void make_room(struct trace_series *series) {
    const size_t room = series->room ? 2 * series->room : TRACE_SERIES_LEAST;
    struct trace_stretch *grown =
        room <= TRACE_SERIES_STRETCHES
            ? realloc(series->stretches, room * sizeof(*series->stretches))
            : NULL;
    if (grown) {
        series->stretches = grown;
        series->room = room;
    } else {
        merge_neighbours(series);
    }
}

void trace_series_add(struct trace_series *series, const struct trace_sample *sample) {
    const uint64_t bytes = sample->resident_bytes;
    if (series->n_samples++ == 0) {
        series->first = *sample;
        series->least_bytes = bytes;
        series->length = 1;
    }
    series->last = *sample;
    series->least_bytes = bytes < series->least_bytes ? bytes : series->least_bytes;
    series->most_bytes = bytes > series->most_bytes ? bytes : series->most_bytes;
    const struct trace_stretch alone = {*sample, *sample};
    if (series->count > 0 && series->filled < series->length) {
        fold(&series->stretches[series->count - 1], &alone);
        series->filled++;
        return;
    }
    if (series->count == series->room)
        make_room(series);
    if (series->count < series->room) {
        series->stretches[series->count++] = alone;
        series->filled = 1;
    }
}

void trace_series_free(struct trace_series *series) {
    free(series->stretches);
    *series = (struct trace_series){0};
}

/* One sample may be kept for several reasons; it is printed once. */
static void print_after(const struct trace_sample *sample, int attempt, int64_t *printed_us,
                        FILE *stream) {
    if (sample->at_us <= *printed_us)
        return;
    *printed_us = sample->at_us;
    (void)fprintf(stream, "%.4f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d\n",
                  (double)sample->at_us / 1e6, sample->resident_bytes, sample->anonymous_bytes,
                  sample->file_bytes, sample->swap_bytes, attempt);
}

void trace_series_print(const struct trace_series *series, int attempt, FILE *stream) {
    int64_t printed_us = -1;
    if (series->n_samples == 0)
        return;
    print_after(&series->first, attempt, &printed_us, stream);
    for (size_t i = 0; i < series->count; i++) {
        const struct trace_stretch *stretch = &series->stretches[i];
        const bool rises = stretch->low.at_us < stretch->high.at_us;
        print_after(rises ? &stretch->low : &stretch->high, attempt, &printed_us, stream);
        print_after(rises ? &stretch->high : &stretch->low, attempt, &printed_us, stream);
    }
    print_after(&series->last, attempt, &printed_us, stream);
}
