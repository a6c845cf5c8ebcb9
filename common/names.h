/* Names of files and people: formatted, made fit to be shown, and kept in lists. */
#ifndef COMMON_NAMES_H
#define COMMON_NAMES_H

#include "common/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

/* asprintf that returns the text: NULL when out of memory. Caller owns it. */
__attribute__((format(printf, 1, 2))) char *names_format(const char *format, ...);

/* Valid UTF-8 without control characters: fit for JSON, for a terminal and for a ledger line. */
bool names_is_clean(const char *text);
/* A copy fit to be shown: control characters and bytes that are no UTF-8 become "\xNN". NULL when
 * out of memory. Caller owns it. */
char *names_escape(const char *text);
/* Drops the character that a cut through UTF-8 left half at the end, if it did. */
void names_drop_half(char *text);

/* NULL-terminated lists of owned strings. A NULL list is an empty one. */
MUST_USE int names_append(char ***list, const char *text); /* copies; -ENOMEM */
size_t names_count(char *const *list);
bool names_contains(char *const *list, const char *text);
void names_sort(char **list); /* byte order */
void names_free(char **list);
/* "a, b, c and 12 more", naming at most `most`. NULL when out of memory. Caller owns it. */
char *names_join(char *const *list, size_t most);

static inline void cleanup_names(char ***list) { names_free(*list); }
#define CLEANUP_NAMES CLEANUP(cleanup_names)

#endif
