/* The transform.json that apply is given: it may be another program's, an edited one, or hostile.
 */
#ifndef WORKER_APPLY_APPLY_MAP_H
#define WORKER_APPLY_APPLY_MAP_H

#include "worker/align/transform.h"

#include <stdint.h>

enum { APPLY_MAP_TEXT_BYTES = 512 };

struct apply_map {
    struct transform post_to_pre;
    uint32_t pre_width, pre_height, post_width, post_height;
    bool is_doubtful;
    char reason[APPLY_MAP_TEXT_BYTES]; /* of what is doubtful */
};

/* A map that failed is refused: its file says "failed". -EINVAL for anything unexpected. */
MUST_USE int apply_map_read(const char *path, struct apply_map *ret, struct failure *failure);

#endif
