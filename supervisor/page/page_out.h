/* Putting text, JSON and files into an HTML page, so that nothing in them can be taken for markup.
 *
 * The stream remembers its errors; whoever closes it looks for them.
 */
#ifndef SUPERVISOR_PAGE_PAGE_OUT_H
#define SUPERVISOR_PAGE_PAGE_OUT_H

#include "common/failure.h"

#include <stdint.h>

/* As text between tags, or in an attribute in double quotes. Control characters and what is no
 * UTF-8 become "\xNN". -ENOMEM. */
MUST_USE int page_out_text(FILE *stream, const char *text);

/* Compact, in ASCII, every "<" as \u003c: within a script element neither "</script" nor "<!--" can
 * arise (HTML Living Standard, "Restrictions for contents of script elements"). NULL is an error,
 * out of memory: so a value can be made in the call. */
MUST_USE int page_out_json(FILE *stream, const json_t *value);
/* The same; takes value. */
MUST_USE int page_out_json_new(FILE *stream, json_t *value);

/* Base64 (RFC 4648) of what is left in the file; at most max_bytes. Returns the bytes read, or a
 * negative errno. */
MUST_USE int64_t page_out_base64(FILE *stream, int fd, uint64_t max_bytes);
/* Characters that it makes of so many bytes. */
uint64_t page_out_base64_length(uint64_t bytes);

/* A string for JSON of text that may be anything: cleaned as above. NULL: out of memory. */
json_t *page_out_string(const char *text);

#endif
