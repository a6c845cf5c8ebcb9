/* The memory of one task's processes, read from /proc again and again at little cost.
 *
 * statm(5) of each process stays open and is read anew; a descriptor never shows another process,
 * even when the number is given again. Who belongs to the task is asked on thorough reads only:
 * the children of its leader and theirs. Sums count pages that processes share once for each of
 * them, as dask-memusage does; trace_reader_surplus tells by how much that is too much.
 */
#ifndef SUPERVISOR_MEMORY_TRACE_READER_H
#define SUPERVISOR_MEMORY_TRACE_READER_H

#include "common/cleanup.h"
#include "supervisor/memory/trace_series.h"

#include <stdbool.h>
#include <sys/types.h>

/* With more processes, the sums are of these. */
enum { TRACE_READER_PROCESSES = 128 };

struct trace_reader {
    const char *root; /* borrowed: where /proc is */
    pid_t leader;
    bool has_children;               /* it may have: look for them */
    struct trace_process *processes; /* owned; the leader first, when it could be opened */
    size_t count, room;
    uint64_t n_changes;  /* processes that came or went so far */
    uint64_t swap_bytes; /* as of the last thorough read */
};

/* Nothing is opened yet. Borrows root. */
void trace_reader_init(struct trace_reader *reader, const char *root, pid_t leader,
                       bool has_children);
void trace_reader_close(struct trace_reader *reader);

/* Sums over the processes; at_us is left alone. Thorough: looks for new processes and reads what
 * is swapped out first. -ESRCH when there is nothing (a zombie, or not yet begun); -EPROTO when the
 * text is not as documented. */
MUST_USE int trace_reader_read(struct trace_reader *reader, bool is_thorough,
                               struct trace_sample *ret);

/* By how much the sum of trace_reader_read is too much, for shared pages are in it more than once
 * (Rss less Pss of smaps_rollup). Walks page tables: costs milliseconds per GiB. -ENODATA when the
 * kernel does not tell. */
MUST_USE int trace_reader_surplus(const struct trace_reader *reader, uint64_t *ret_bytes);

#endif
