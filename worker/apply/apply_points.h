/* Moves the points of a table: the columns x and y are replaced, all else stays byte for byte. */
#ifndef WORKER_APPLY_APPLY_POINTS_H
#define WORKER_APPLY_APPLY_POINTS_H

#include "worker/apply/apply_map.h"
#include "worker/apply/apply_task.h"

struct progress;

struct apply_points_counts {
    uint64_t points;
    uint64_t outside, outside_line;   /* not on the image that they are of; the first one's line */
    uint64_t beyond;                  /* on it, and off the image that they are moved to */
    uint64_t unmapped, unmapped_line; /* have no place there: written as empty fields */
};

/* Reads `in`, writes to `out`. -EINVAL with the file, the line and the value for a bad row. */
MUST_USE int apply_points_run(const struct apply_task *task, const struct apply_map *map, int in,
                              int out, struct progress *progress, struct apply_points_counts *ret,
                              struct failure *failure);

#endif
