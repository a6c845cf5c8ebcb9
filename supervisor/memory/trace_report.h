/* What --memory-trace says at the end, in words: whether the supervisor grows, whether a kind of
 * task overruns what was reserved for it, or that all is well. Pure. */
#ifndef SUPERVISOR_MEMORY_TRACE_REPORT_H
#define SUPERVISOR_MEMORY_TRACE_REPORT_H

#include "common/cleanup.h"
#include "supervisor/memory/trace.h"

enum {
    TRACE_REPORT_WARM_UP = 100,          /* attempts, or half of those expected */
    TRACE_REPORT_FEWEST = 20,            /* attempts; after fewer, growth is not to be judged */
    TRACE_REPORT_FEW_KINDS = 8,          /* more that are in order are not named one by one */
    TRACE_REPORT_GROWTH_BYTES = 2 << 20, /* below, it is buffers and tables */
};

struct trace_report;

/* n_expected: attempts that this run will make at least. NULL when out of memory. */
struct trace_report *trace_report_open(size_t n_expected);
void trace_report_close(struct trace_report *report); /* NULL is fine */

/* One attempt that has ended. Strings are copied where they are kept. */
struct trace_report_attempt {
    const char *kind, *task;
    uint64_t peak_bytes;
    uint64_t reserved_bytes; /* as it was started; 0: nothing was known of its kind */
};
/* own_bytes: what registrar holds itself then; 0: not known. */
void trace_report_add(struct trace_report *report, const struct trace_report_attempt *attempt,
                      uint64_t own_bytes);

/* Some sentences in one line each. Caller owns; NULL when out of memory. */
char *trace_report_words(const struct trace_report *report, const struct trace_cost *cost,
                         int64_t wall_ms);

#endif
