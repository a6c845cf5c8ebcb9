/* Cutting a torn tail off a ledger, after its bytes were set aside and are on disk. */
#ifndef SUPERVISOR_LEDGER_LEDGER_HEAL_H
#define SUPERVISOR_LEDGER_LEDGER_HEAL_H

#include "common/failure.h"

#include <stdint.h>

/* Copies the file's bytes [from, to) to "<path>.damaged-<time>" (zero blocks become a hole), syncs
 * copy and folder, then truncates fd to from and syncs it. Killed at any instant, the next start
 * does it again. ret_path gets the copy's name. */
MUST_USE int ledger_heal_tail(int fd, const char *path, uint64_t from, uint64_t to, char *ret_path,
                              size_t ret_path_bytes, struct failure *failure);

#endif
