/* memory.csv: the series of a task's attempts, written beside the loop, one file at a time.
 *
 * Synced writes can take seconds on a busy disk; neither the supervisor nor the ledger's own syncs
 * may wait for one. What earlier attempts left in the file stays before the new lines, as long as
 * the whole stays below TRACE_FILE_MOST_BYTES; else only the new lines are kept.
 */
#ifndef SUPERVISOR_MEMORY_TRACE_FILE_H
#define SUPERVISOR_MEMORY_TRACE_FILE_H

#include "common/failure.h"
#include "supervisor/memory/trace_series.h"

#include <uv.h>

enum { TRACE_FILE_MOST_BYTES = 256 * 1024 };

struct credentials;
struct trace_files;

typedef void (*trace_file_failed_cb)(void *context, const struct failure *failure);

/* failed is told of each file that could not be written. NULL when out of memory. Borrows loop and
 * context. */
struct trace_files *trace_files_open(uv_loop_t *loop, trace_file_failed_cb failed, void *context);
/* Files that wait are written all the same; frees itself after the last. NULL is fine. */
void trace_files_close(struct trace_files *files);
/* Takes a copy of everything, and a reference to the credentials with whose rights the file is
 * written (NULL: ours). Out of memory: the file is not written, and failed is told. */
void trace_files_add(struct trace_files *files, const struct trace_series *series, int attempt,
                     const char *path, const struct credentials *credentials);

/* What the file holds after old (NULL: nothing) and lines, which are without the heading. An old
 * text that is not such a table is not kept. Caller owns; NULL when out of memory. */
char *trace_file_join(const char *old, const char *lines);

#endif
