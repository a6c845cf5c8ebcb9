/* Reading a manifest (contract: "A manifest"; registrar-manifest(5)). Unknown keys, duplicate ids
 * and missing files are refused before anything starts. */
#ifndef SUPERVISOR_BATCH_MANIFEST_H
#define SUPERVISOR_BATCH_MANIFEST_H

#include "supervisor/batch/task.h"
#include "supervisor/cli/options.h"

/* Tasks in the manifest's order. */
MUST_USE int manifest_read(const struct options *options, struct task_list *ret,
                           struct failure *failure);

#endif
