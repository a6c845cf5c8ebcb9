/* A task as one JSON object, complete: how `submit` sends it to the service and how the service
 * keeps it until its turn comes (registrar-protocol(5), "Tasks").
 *
 *     {"id":"any/thing","kind":"our-script","command":["python3","align.py"],"cwd":"/data",
 *      "env":["OMP_NUM_THREADS=1"],"inputs":["/data/x.tif"],"timeout_ms":600000,
 *      "memory_bytes":2147483648,"need":{"size":4096}}
 *     {"id":"CD070/DAPI","pre":"/raw/a.tif","post":"/raw/b.tif","params":{...},
 *      "need":{"pre":{"width":..},"post":{..}}}
 *
 * Paths are absolute and params are complete, so no other file is needed to understand it. What
 * somebody else wrote is checked member by member.
 */
#ifndef SUPERVISOR_BATCH_TASK_JSON_H
#define SUPERVISOR_BATCH_TASK_JSON_H

#include "supervisor/batch/task.h"
#include "supervisor/memory/forecast.h"

/* need may be NULL: the images could not be read, or the task is broken. Caller owns; NULL when out
 * of memory. */
json_t *task_json_make(const struct task *task, const struct forecast_task *need);

/* where begins the sentences of failure. The caller owns *ret (task_free). ret_need->kind is left
 * 0: it is an index of the reader's own model. A pair without a need has ret_need->is_pair false.
 */
MUST_USE int task_json_read(const json_t *object, const char *where, struct task *ret,
                            struct forecast_task *ret_need, struct failure *failure);

#endif
