/* Asking a worker about image files: headers for the pre-flight, hashes for a resume.
 *
 * The supervisor never parses an image. A worker that dies or hangs on a file costs that file
 * alone: the rest is asked of a fresh one. Headers that hang do so side by side, and after two
 * dozen of them the rest is given up, so that a dead network drive costs half a minute, not the
 * night.
 */
#ifndef SUPERVISOR_MEMORY_PROBE_H
#define SUPERVISOR_MEMORY_PROBE_H

#include "common/failure.h"
#include "common/footprint.h"

struct probe_result {
    char *error; /* why this file cannot be used; NULL: it can. Owned */
    uint64_t size;
    struct footprint_image image; /* probe_headers */
    int64_t mtime_ns;             /* probe_hashes */
    char hash[33];                /* probe_hashes */
};

/* results: count entries, filled in the order of paths. timeout_ms is per file. Blocks. */
MUST_USE int probe_headers(const char *worker, const char *const *paths, size_t count,
                           int64_t timeout_ms, struct probe_result *results,
                           struct failure *failure);
MUST_USE int probe_hashes(const char *worker, const char *const *paths, size_t count,
                          int64_t timeout_ms, struct probe_result *results,
                          struct failure *failure);
void probe_results_free(struct probe_result *results, size_t count); /* their errors only */

/* The registrar-worker beside this program (/proc/self/exe), else in PATH; REGISTRAR_WORKER
 * overrides both. Caller owns *ret_path. */
MUST_USE int probe_find_worker(char **ret_path, struct failure *failure);

#endif
