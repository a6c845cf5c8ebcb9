/* One registrar-worker apply, from its start to its end: asked, listened to, interrupted, reaped.
 */
#ifndef SUPERVISOR_APPLY_APPLY_WORKER_H
#define SUPERVISOR_APPLY_APPLY_WORKER_H

#include "common/failure.h"

#include <stdbool.h>

struct apply_worker_request {
    const char *worker;      /* program */
    const json_t *document;  /* what it is asked (common/protocol.h) */
    int input_fd, output_fd; /* of points; -1: none */
    const char *label;       /* of the live line: the file that goes through; NULL: no live line */
};

/* 0: *ret is its result, owned by the caller. -ECANCELED: interrupted, by Ctrl-C or its kin.
 * -EPROTO: it is no worker of this version, or cannot be started. Else what it said, or how it
 * died. While this runs the signals that interrupt are held. */
MUST_USE int apply_worker_run(const struct apply_worker_request *request, json_t **ret,
                              struct failure *failure);

#endif
