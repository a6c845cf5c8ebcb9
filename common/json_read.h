/* Reading JSON that somebody else wrote: every member is checked, and a complaint names the place.
 *
 * `where` is what the complaint starts with, for example "manifest.json: task 3". Strings handed
 * out are borrowed from the JSON value. A missing optional member leaves *ret alone and returns 0.
 */
#ifndef COMMON_JSON_READ_H
#define COMMON_JSON_READ_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

/* Opens a regular file of at most max_bytes. Caller owns *ret. */
MUST_USE int json_read_open(const char *path, size_t max_bytes, FILE **ret,
                            struct failure *failure);
/* Parses a whole file; at most max_bytes of it. Duplicate keys are errors. Caller owns *ret. */
MUST_USE int json_read_file(const char *path, size_t max_bytes, json_t **ret,
                            struct failure *failure);

/* Required members: -EINVAL with a sentence when absent or of another type. */
MUST_USE int json_read_string(const json_t *object, const char *key, const char *where,
                              const char **ret, struct failure *failure);
MUST_USE int json_read_int(const json_t *object, const char *key, const char *where, int64_t low,
                           int64_t high, int64_t *ret, struct failure *failure);
MUST_USE int json_read_number(const json_t *object, const char *key, const char *where, double *ret,
                              struct failure *failure);

/* Optional members. */
MUST_USE int json_read_optional_string(const json_t *object, const char *key, const char *where,
                                       const char **ret, struct failure *failure);
MUST_USE int json_read_optional_int(const json_t *object, const char *key, const char *where,
                                    int64_t low, int64_t high, int64_t *ret,
                                    struct failure *failure);

/* Refuses members that are not in the NULL-terminated list, naming the first and listing all that
 * are allowed. */
MUST_USE int json_read_known_keys(const json_t *object, const char *const *keys, const char *where,
                                  struct failure *failure);

#endif
