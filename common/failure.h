/* What went wrong, in one sentence a user can act on.
 *
 * Whoever detects a problem fills the caller's struct failure: a negative errno and a sentence that
 * names the file, the value and the fix. Those above only pass it on; only the shell (main, the
 * engine's log) prints it. The first failure set wins nothing special: set overwrites.
 */
#ifndef COMMON_FAILURE_H
#define COMMON_FAILURE_H

#include "common/cleanup.h"

enum { FAILURE_TEXT_BYTES = 1024 };

struct failure {
    int code;                      /* negative errno; 0: nothing is wrong */
    char text[FAILURE_TEXT_BYTES]; /* one sentence, no trailing newline, always terminated */
};

/* Fills the failure and returns its code, so that `return failure_set(...)` reads as one step.
 * A NULL failure is allowed: the code alone is returned. code must be negative. */
__attribute__((format(printf, 3, 4))) int failure_set(struct failure *failure, int code,
                                                      const char *format, ...);

/* The same with ": <strerror(-code)>" appended. */
__attribute__((format(printf, 3, 4))) int failure_set_errno(struct failure *failure, int code,
                                                            const char *format, ...);

#endif
