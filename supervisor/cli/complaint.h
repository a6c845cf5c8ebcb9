/* What a command says when it cannot do its work: one sentence on stderr, and with --json the same
 * on stdout, so that a script never finds stdout empty:
 *
 *   {"version":1, "error":{"exit":2, "sentence":"..."}}
 */
#ifndef SUPERVISOR_CLI_COMPLAINT_H
#define SUPERVISOR_CLI_COMPLAINT_H

#include "common/failure.h"

#include <stdbool.h>

/* Whether the words ask for JSON; for words that could not be parsed. Nothing behind "--" counts.
 */
bool complaint_wants_json(int argc, char *const *argv);
/* Yields status, the exit status. */
int complaint_tell(bool as_json, int status, const struct failure *failure);
/* The object alone, on stdout, with `detail` (borrowed; NULL: none) as a member of that name. */
void complaint_print_json(int status, const char *sentence, const char *name, json_t *detail);
/* The exit status for a worker that is none or cannot be started: wrong usage when the user named
 * it by REGISTRAR_WORKER, else a fault of this installation. */
int complaint_worker_status(void);

#endif
