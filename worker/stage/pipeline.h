/* An align task from its images to its files, stage by stage.
 *
 * survey-pre, survey-post, search, refine, verify, scale, warp, qc: each leaves a checkpoint, and
 * one that is there and right is not done again. A pair that verify calls failed has no scale and
 * no warp. Images appear only after all of them are complete and the inputs were seen unchanged;
 * result.json is removed before the first and written after the last, so where it stands, the set
 * is whole.
 */
#ifndef WORKER_STAGE_PIPELINE_H
#define WORKER_STAGE_PIPELINE_H

#include "worker/stage/align_task.h"

struct report;

/* Reports progress, the ends of stages and the result. -ECANCELED: stopped, checkpoints are kept.
 * Any other error is for the caller to report. */
MUST_USE int pipeline_run(const struct align_task *task, struct report *report,
                          struct failure *failure);

/* Whether an error lies in the environment (full disk, no memory, unreachable file), so that
 * another try may work; else in the inputs. */
bool pipeline_is_environment(int code);

#endif
