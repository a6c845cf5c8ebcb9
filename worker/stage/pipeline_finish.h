/* The end of a task: scale, pictures, transform.json, result.json, and the report of the result. */
#ifndef WORKER_STAGE_PIPELINE_FINISH_H
#define WORKER_STAGE_PIPELINE_FINISH_H

#include "worker/stage/pipeline_state.h"

/* Stages "scale" and "warp" (stage_row's run). Warp publishes its pictures; its object lists them
 * in "files". */
MUST_USE int pipeline_finish_scale(struct pipeline *pipeline, json_t **ret,
                                   struct failure *failure);
MUST_USE int pipeline_finish_warp(struct pipeline *pipeline, json_t **ret, struct failure *failure);

/* After the last stage: writes the two JSON files, removes what only a resume needs, reports. */
MUST_USE int pipeline_finish(struct pipeline *pipeline, struct failure *failure);

/* Fills size and mtime_ns of input->path. */
MUST_USE int pipeline_look_at_input(struct pipeline_input *input, struct failure *failure);

/* What the task writes from where it stands, for the sentence about a full disk. */
uint64_t pipeline_finish_disk_bytes(const struct pipeline *pipeline);

/* Highest RSS of this process so far (VmHWM); 0 when the kernel does not say. */
uint64_t pipeline_peak_rss(void);

/* A line for people on stderr: the task's log. */
__attribute__((format(printf, 2, 3))) void pipeline_say(const struct pipeline *pipeline,
                                                        const char *format, ...);

#endif
