/* Puts an image through a map: what lies in one frame comes to lie in the other. */
#ifndef WORKER_APPLY_APPLY_IMAGE_H
#define WORKER_APPLY_APPLY_IMAGE_H

#include "worker/apply/apply_map.h"
#include "worker/apply/apply_task.h"

struct progress;

struct apply_image_result {
    uint32_t width, height; /* of the picture */
    double covered;         /* share of it that the image covers */
};

/* Writes PROTOCOL_IMAGE_NAME in the task's folder. */
MUST_USE int apply_image_run(const struct apply_task *task, const struct apply_map *map,
                             struct progress *progress, struct apply_image_result *ret,
                             struct failure *failure);

#endif
