/* What went wrong, in one sentence a user can act on.
 *
 * Whoever detects a problem fills the caller's struct failure: a negative errno and a sentence that
 * names the file, the value and the fix. Those above only pass it on; only the shell (main, the
 * engine's log) prints it. The first failure set wins nothing special: set overwrites.
 */
#ifndef COMMON_FAILURE_H
#define COMMON_FAILURE_H

#include "common/cleanup.h"

#include <errno.h>

enum { FAILURE_TEXT_BYTES = 1024 };

#ifdef __cplusplus /* the worker's one C++ file fills failures too */
extern "C" {
#endif

struct failure {
    int code;                      /* negative errno; 0: nothing is wrong */
    char text[FAILURE_TEXT_BYTES]; /* one sentence, no trailing newline, always terminated */
};

/* Fills the failure and yields its code, so that `return failure_set(...)` reads as one step. A
 * NULL failure is allowed: the code alone is yielded. code must be negative; should it not be (an
 * errno that a library forgot to set), -EIO takes its place: a failure never reads as success.
 * Macros, so that callers and analyzers see as much. */
#define failure_set(failure, code, ...)                                                            \
    ({                                                                                             \
        int failure_code = failure_negative(code);                                                 \
        failure_fill((failure), failure_code, __VA_ARGS__);                                        \
        failure_code;                                                                              \
    })
/* The same with ": <strerror(-code)>" appended. */
#define failure_set_errno(failure, code, ...)                                                      \
    ({                                                                                             \
        int failure_code = failure_negative(code);                                                 \
        failure_fill_errno((failure), failure_code, __VA_ARGS__);                                  \
        failure_code;                                                                              \
    })

static inline int failure_negative(int code) { return code < 0 ? code : -EIO; }

/* What stands behind the macros. */
__attribute__((format(printf, 3, 4))) void failure_fill(struct failure *failure, int code,
                                                        const char *format, ...);
__attribute__((format(printf, 3, 4))) void failure_fill_errno(struct failure *failure, int code,
                                                              const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif
