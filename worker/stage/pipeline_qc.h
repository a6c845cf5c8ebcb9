/* The stage "qc": pictures by which a person judges the task (worker/qc/qc.h), in qc/ of the task's
 * folder. */
#ifndef WORKER_STAGE_PIPELINE_QC_H
#define WORKER_STAGE_PIPELINE_QC_H

#include "worker/stage/pipeline_state.h"

/* A picture that cannot be drawn takes nothing away from the alignment: it is told in the log, and
 * the object holds the sentence as "problem". Only what would stop any other stage too is an error:
 * a full disk, no memory, a stop. *ret: {"files":[...]}. */
MUST_USE int pipeline_qc(struct pipeline *pipeline, json_t **ret, struct failure *failure);

#endif
