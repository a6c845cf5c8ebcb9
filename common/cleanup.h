/* Scope-exit cleanup: a variable that owns something gives it back when its scope ends.
 *
 *     CLEANUP_FREE char *text = NULL;      freed on every way out
 *     CLEANUP_CLOSE int fd = -1;           closed on every way out
 *     *ret_text = STEAL_PTR(text);         handed over: the variable no longer owns it
 */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *slot) { free(*(void **)slot); }

static inline void cleanup_close(const int *fd) {
    if (*fd >= 0)
        (void)close(*fd); /* nothing was written through it that still needs checking */
}

static inline void cleanup_fclose(FILE **file) {
    if (*file)
        (void)fclose(*file); /* read streams only; writers check their own fclose */
}

static inline void cleanup_json(json_t **value) { json_decref(*value); }

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_CLOSE CLEANUP(cleanup_close)
#define CLEANUP_FCLOSE CLEANUP(cleanup_fclose)
#define CLEANUP_JSON CLEANUP(cleanup_json)

#define STEAL_PTR(pointer)                                                                         \
    ({                                                                                             \
        __typeof__(pointer) steal_taken = (pointer);                                               \
        (pointer) = NULL;                                                                          \
        steal_taken;                                                                               \
    })

#define STEAL_FD(fd)                                                                               \
    ({                                                                                             \
        int steal_taken = (fd);                                                                    \
        (fd) = -1;                                                                                 \
        steal_taken;                                                                               \
    })

#define MUST_USE __attribute__((warn_unused_result))
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
