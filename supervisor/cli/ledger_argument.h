/* Which ledger a command reads: -o OUT, a ledger file, or the folder that one stands in. */
#ifndef SUPERVISOR_CLI_LEDGER_ARGUMENT_H
#define SUPERVISOR_CLI_LEDGER_ARGUMENT_H

#include "common/failure.h"

enum { LEDGER_ARGUMENT_BYTES = 4096 };

/* out, file: as given; NULL: not given. -EINVAL unless it is one of them; missing is the sentence
 * when it is none. */
MUST_USE int ledger_argument_path(const char *out, const char *file, const char *missing,
                                  char path[LEDGER_ARGUMENT_BYTES], struct failure *failure);

#endif
