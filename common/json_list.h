/* A file that holds one long list, {"KEY":[value, value, ...]}, read value by value: what is in
 * memory at a time grows with the longest value, not with the file.
 *
 * Complaints are as json_read.h's: about the form with the file's name, line and column, about
 * another key with its name. Duplicate keys are errors.
 */
#ifndef COMMON_JSON_LIST_H
#define COMMON_JSON_LIST_H

#include "common/failure.h"

struct json_list;

/* At most max_bytes of file, and of a single value. key is borrowed. Caller owns *ret. */
MUST_USE int json_list_open(const char *path, const char *key, size_t max_bytes,
                            size_t max_value_bytes, struct json_list **ret,
                            struct failure *failure);
/* *ret: the next value, owned by the caller; NULL: there are no more (or KEY is no list, or not
 * there), and the file was well-formed to its end. Not to be called after an error. */
MUST_USE int json_list_next(struct json_list *list, json_t **ret, struct failure *failure);
void json_list_close(struct json_list *list); /* NULL is fine */

static inline void json_list_cleanup(struct json_list **slot) { json_list_close(*slot); }
#define CLEANUP_JSON_LIST CLEANUP(json_list_cleanup)

#endif
