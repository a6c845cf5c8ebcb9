/* Finding tasks: the raw-folder rules (contract: "Input").
 *
 *     RAW/<sample>/<anything>pre|post<anything>_<dye>.tif|.tiff     any case
 *
 * Every way to get this wrong has its own sentence. A wrong RAW as a whole is an error; one broken
 * pair becomes a task with `broken` set and never stops the others.
 */
#ifndef SUPERVISOR_BATCH_DISCOVER_H
#define SUPERVISOR_BATCH_DISCOVER_H

#include "supervisor/batch/task.h"
#include "supervisor/cli/options.h"

/* Fills *ret, sorted by id. */
MUST_USE int discover_tasks(const struct options *options, struct task_list *ret,
                            struct failure *failure);

#endif
