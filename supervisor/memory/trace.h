/* Samples the memory of all running tasks: one timer for all of them, on the engine's loop.
 *
 * What it costs is measured (the thread's CPU time); where that would be more than TRACE_SHARE of a
 * core, the interval grows by itself, for all alike. The timer stands still while nothing runs, and
 * a task that ends before its first sample has cost nothing.
 */
#ifndef SUPERVISOR_MEMORY_TRACE_H
#define SUPERVISOR_MEMORY_TRACE_H

#include "common/failure.h"
#include "supervisor/memory/trace_reader.h"

#include <uv.h>

#define TRACE_ROOT "/proc"
#define TRACE_SHARE 0.006

struct credentials;
struct trace;
struct trace_task;

typedef void (*trace_failed_cb)(void *context, const struct failure *failure);

/* failed is told, once, that a series could not be written. root, loop and context are borrowed. */
MUST_USE int trace_open(uv_loop_t *loop, const char *root, int64_t interval_ms,
                        trace_failed_cb failed, void *context, struct trace **ret,
                        struct failure *failure);
/* When all tasks are closed; frees itself once libuv lets go. NULL is fine. */
void trace_close(struct trace *trace);

struct trace_request {
    pid_t pid;
    bool has_children;   /* it may start processes of its own */
    bool wants_together; /* nobody else counts what several processes hold together */
    /* Before each sample; false: it has ended, take none. Thorough: once in a while, for what costs
     * more to look at. */
    bool (*look)(void *context, bool is_thorough);
    void *context; /* borrowed */
};

/* NULL when out of memory. */
struct trace_task *trace_add(struct trace *trace, const struct trace_request *request);
/* NULL is fine. */
void trace_remove(struct trace_task *task);

/* So far; 0: not known. */
struct trace_view {
    uint64_t resident_bytes; /* now; shared pages are counted once where that is known */
    uint64_t least_bytes, most_bytes;
    uint64_t together_bytes; /* the most of several processes, shared pages counted once */
};
void trace_look(const struct trace_task *task, struct trace_view *ret); /* task may be NULL */

/* Writes the series to path (a CSV; registrar(1), Memory traces), behind what earlier attempts left
 * there, in another thread, with the rights of credentials (NULL: ours), of which it holds a
 * reference; a series of fewer than TRACE_LEAST_SAMPLES is not worth a file. */
enum { TRACE_LEAST_SAMPLES = 3 };
void trace_write(const struct trace_task *task, const char *path, int attempt,
                 const struct credentials *credentials);

/* What the sampling has cost. */
struct trace_cost {
    uint64_t n_turns, cpu_ns;
    int64_t interval_ms, longest_ms; /* as it is now, and at most */
};
void trace_tell_cost(const struct trace *trace, struct trace_cost *ret);

#endif
