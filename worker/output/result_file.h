/* transform.json and result.json, as the contract names their members. */
#ifndef WORKER_OUTPUT_RESULT_FILE_H
#define WORKER_OUTPUT_RESULT_FILE_H

#include "worker/tiff/image.h"

/* Version, the members of verify in the contract's order, the images' sizes. Caller owns the
 * object; NULL when out of memory. */
json_t *result_file_transform(const json_t *verify, const struct image_info *pre,
                              const struct image_info *post);

/* What result.json is made of; everything is borrowed. */
struct result_file_parts {
    const char *task;
    const json_t *verify;
    const json_t *scale; /* NULL: the pair failed */
    const json_t *warp;  /* NULL: the pair failed */
    const json_t *pre_survey, *post_survey;
    json_t *inputs; /* array: path, size, mtime_ns, hash */
    json_t *stages; /* array: stage, wall_s, peak_bytes, resumed */
    const json_t *params;
    int threads;
    uint64_t cap_bytes;
};
json_t *result_file_result(const struct result_file_parts *parts);

/* The tracked allocator's peak: {"bytes","stage","buffers":[{"label","bytes"}]}. */
json_t *result_file_peak(void);

#endif
