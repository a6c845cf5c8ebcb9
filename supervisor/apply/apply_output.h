/* The file that an apply writes: under its final name only when it is whole and on disk.
 *
 * A table grows as OUT.tmp beside it. An image is written in a folder of its own, OUT.tmp/, the
 * only place where the worker may write, and moved from there. One apply at a time per OUT.
 */
#ifndef SUPERVISOR_APPLY_APPLY_OUTPUT_H
#define SUPERVISOR_APPLY_APPLY_OUTPUT_H

#include "common/failure.h"

#include <stdbool.h>

struct apply_output {
    const char *path; /* borrowed; NULL: stdout */
    char *temporary;  /* owned; NULL: written as it is (stdout, a pipe, a device) */
    bool is_folder;
    int fd; /* to write to, or of the folder, for its lock; -1: none */
};

/* for_image: by a folder. path NULL: stdout, for tables alone. */
MUST_USE int apply_output_open(const char *path, bool for_image, struct apply_output *ret,
                               struct failure *failure);
/* Gives it its name. */
MUST_USE int apply_output_publish(struct apply_output *output, struct failure *failure);
/* Removes what is not published, and frees. {.fd = -1} is fine. */
void apply_output_close(struct apply_output *output);

/* Whether the two paths lead to one file that is there. */
bool apply_output_is_same(const char *a, const char *b);

#endif
