/* One task as a line of JSON: what a client sends, what the batch file holds.
 *
 *     {"id":"CD070/DAPI","pre":"/...","post":"/...","params":{...complete...},"timeout":"1800000ms",
 *      "need":{"pair":{...}}}
 *     {"id":"any/thing","command":["python3","x.py"],"kind":"our-script","inputs":["/..."],
 *      "memory":"2147483648","timeout":"600000ms","cwd":"/...","env":{...},"need":{"size":123}}
 *
 * The members are the manifest's (registrar-manifest(5)), all paths absolute. "broken": a sentence
 * in place of a pair or command (it cannot even start; kind "align"); "error": the probe could not
 * read the pair, so it will fail, and has no "need". "id" is the first member: the queue finds it
 * without reading the rest.
 */
#ifndef SUPERVISOR_SERVICE_QUEUE_TASK_H
#define SUPERVISOR_SERVICE_QUEUE_TASK_H

#include "supervisor/batch/task.h"
#include "supervisor/memory/forecast.h"

/* need's kind is not told: the daemon's model numbers kinds by itself. need NULL: not known; error
 * NULL: none. One line without a newline; caller owns *ret. */
MUST_USE int queue_task_encode(const struct task *task, const struct forecast_task *need,
                               const char *error, char **ret, size_t *ret_length,
                               struct failure *failure);

/* Everything a hostile client may send is refused by a sentence that begins with where. Appends to
 * list. ret_need's kind is 0. ret_error: owned, NULL when there is none. */
MUST_USE int queue_task_decode(const char *bytes, size_t length, const char *where,
                               struct task_list *list, struct forecast_task *ret_need,
                               char **ret_error, struct failure *failure);

#endif
