/* A batch's options as they travel from the client to the daemon and into the batch file: those of
 * struct options that the engine needs to run the tasks.
 *
 *     {"timeout_ms","stall_timeout_ms","retries","jobs","threads","memory_bytes","memory_share",
 *      "worker_memory_bytes","redo","force"}
 *
 * Members that are not there have run's defaults; unknown ones are refused.
 */
#ifndef SUPERVISOR_SERVICE_QUEUE_OPTIONS_H
#define SUPERVISOR_SERVICE_QUEUE_OPTIONS_H

#include "supervisor/cli/options.h"

/* NULL when out of memory. Caller owns. */
json_t *queue_options_to_json(const struct options *options);
/* json NULL: the defaults. out is copied. Everything else of *ret is as a command line without it
 * would have it; options_free it. */
MUST_USE int queue_options_read(const json_t *json, const char *out, struct options *ret,
                                struct failure *failure);

#endif
