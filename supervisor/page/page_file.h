/* A task's files as the page reads them: whatever somebody put in their place.
 *
 * Names are "<out>/<task's id>/<name>". Only regular files are read, never through a link in the
 * last place, never waiting (a FIFO), and of bounded size; nothing leaves the output folder by
 * "..".
 */
#ifndef SUPERVISOR_PAGE_PAGE_FILE_H
#define SUPERVISOR_PAGE_PAGE_FILE_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether a task of that name can have a folder. */
bool page_file_has_folder(const char *id);

/* Caller owns the descriptor. -ENOENT, -EINVAL (no file), -ELOOP (a link), -ENOMEM, ... */
MUST_USE int page_file_open(const char *out, const char *id, const char *name, int *ret_fd,
                            uint64_t *ret_bytes);
/* Caller owns the text, which ends with NUL. Of a file longer than max_bytes: its end, when tail;
 * else -EFBIG. */
MUST_USE int page_file_read(const char *out, const char *id, const char *name, size_t max_bytes,
                            bool tail, char **ret_text, size_t *ret_length);
/* Caller owns. NULL: there is none that can be read. */
json_t *page_file_json(const char *out, const char *id, const char *name, size_t max_bytes);

#endif
