/* The pictures by which a person judges a task: PNG files in a folder, and qc.json, which lists
 * them.
 *
 * qc.json: {"version":1, "pictures":[{"name":"overlay.png", "title":"...", "says":"one sentence:
 * how to read it", "width":w, "height":h}, ...]}, in the order in which they should be shown. A
 * picture that has nothing to show (a failed pair has no difference) is not in the list and not in
 * the folder. The same task gives the same bytes.
 */
#ifndef WORKER_QC_QC_H
#define WORKER_QC_QC_H

#include "worker/qc/qc_data.h"

/* Makes the folder, removes pictures of an earlier result, draws this one's. *ret: qc.json's
 * object. */
MUST_USE int qc_draw(const struct qc_task *task, json_t **ret, struct failure *failure);

/* All files that qc_draw can make, NULL at the end, qc.json first. */
const char *qc_file_name(size_t i);

#endif
