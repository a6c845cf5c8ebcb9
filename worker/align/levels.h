/* Opening a surveyed image's pyramid from a stage's context: where its file stands. */
#ifndef WORKER_ALIGN_LEVELS_H
#define WORKER_ALIGN_LEVELS_H

#include "worker/align/survey.h"

enum { LEVELS_PATH_BYTES = 4096 };

/* which: "pre" or "post". with_image: levels 0 and 1 are read too. The pyramid borrows the
 * context's image; close it with pyramid_close. */
MUST_USE int levels_open(const struct align_context *context, const char *which,
                         const struct survey *survey, bool with_image, uint64_t cache_bytes,
                         struct pyramid **ret, struct failure *failure);
/* For CLEANUP. */
void levels_cleanup(struct pyramid **pyramid);

/* The folder's <which>.<what>; -ENAMETOOLONG when it does not fit. */
MUST_USE int levels_path(const struct align_context *context, const char *which, const char *what,
                         char ret[LEVELS_PATH_BYTES], struct failure *failure);

#endif
