/* What registrar-worker apply is asked for on stdin; see common/protocol.h. */
#ifndef WORKER_APPLY_APPLY_TASK_H
#define WORKER_APPLY_APPLY_TASK_H

#include "common/params.h"

#include <stdbool.h>
#include <stdint.h>

struct apply_task {
    json_t *document;      /* owns the strings below */
    const char *transform; /* transform.json */
    bool is_inverse;       /* post things into the pre frame; else pre things into the post frame */
    const char *image;     /* TIFF file; NULL: points are moved */
    const char *out;       /* with image: the folder to write to */
    struct params params;  /* with image: interpolation, compression and pad count */
    int threads;
    uint64_t memory_bytes;  /* cap on RSS */
    const char *points;     /* with points: what the CSV on PROTOCOL_INPUT_FD is called */
    const char *columns[2]; /* names or numbers of x and y; NULL: looked for */
    bool is_unconfined;     /* does without the sandbox */
};

MUST_USE int apply_task_read(FILE *stream, struct apply_task *ret, struct failure *failure);
void apply_task_clear(struct apply_task *task); /* {0} is fine */

#endif
