/* A task's memory over time in bounded space.
 *
 * Samples go into stretches of equally many. When there are too many stretches, neighbours are made
 * one. Of each stretch the sample with the least and the one with the most memory are kept whole,
 * so a peak of one sample's length outlives any merging, and what is printed are samples that were
 * taken at that time. The first and the last sample are kept too.
 */
#ifndef SUPERVISOR_MEMORY_TRACE_SERIES_H
#define SUPERVISOR_MEMORY_TRACE_SERIES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TRACE_SERIES_STRETCHES = 512, TRACE_SERIES_LEAST = 16 /* both powers of two */ };

struct trace_sample {
    int64_t at_us; /* since the attempt's start; grows from sample to sample */
    uint64_t resident_bytes, anonymous_bytes, file_bytes, swap_bytes;
};

struct trace_series {
    struct trace_stretch *stretches; /* owned */
    size_t count, room;
    uint64_t length, filled; /* samples in each stretch, and in the last one */
    uint64_t n_samples;
    struct trace_sample first, last;
    uint64_t least_bytes, most_bytes; /* resident, of all samples */
};

/* A zeroed struct is an empty series. Without memory for more stretches they get longer; without
 * any, only the first, the last and the extremes are kept. */
void trace_series_add(struct trace_series *series, const struct trace_sample *sample);
void trace_series_free(struct trace_series *series);

#define TRACE_SERIES_HEADING                                                                       \
    "seconds,resident_bytes,anonymous_bytes,file_bytes,swap_bytes,attempt\n"

/* The kept samples in order of time, a line each, without the heading. */
void trace_series_print(const struct trace_series *series, int attempt, FILE *stream);

#endif
