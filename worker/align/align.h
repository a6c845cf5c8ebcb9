/* Aligning a pair, stage by stage (method: the headers of the single steps).
 *
 *   survey   one pass per image: signal channel, reduced levels on disk, statistics
 *   search   all rotations and scales at a coarse level: several hypotheses
 *   refine   referee over the hypotheses, then tile refinement level by level to full resolution
 *   verify   residuals on tiles that no fit saw, sectors, a null: aligned, doubtful or failed
 *
 * Each stage's result is a JSON object (a checkpoint), and each stage starts from the earlier ones'
 * objects alone, so a resumed task takes the same path as an uninterrupted one. The same input,
 * parameters and seed give the same bytes, whatever the number of threads and the memory budget.
 */
#ifndef WORKER_ALIGN_ALIGN_H
#define WORKER_ALIGN_ALIGN_H

#include "common/params.h"
#include "worker/align/map.h"
#include "worker/tiff/image.h"

struct progress;

/* What all stages share. Borrows everything. */
struct align_context {
    struct image *pre, *post;             /* opened; scratch attached where needed, after survey */
    const char *pre_folder, *post_folder; /* for level files and scratch; they exist */
    const struct params *params;
    int threads;
    struct progress *progress; /* runs 0 to 1 in each stage call */
};

/* which: "pre" or "post". Streams that image; writes <which>.levels (and
 * <which>.scratch where needed) into its folder. *ret_survey holds the channel choice, statistics,
 * identity. */
MUST_USE int align_survey(const struct align_context *context, const char *which,
                          json_t **ret_survey, struct failure *failure);

MUST_USE int align_search(const struct align_context *context, const json_t *pre_survey,
                          const json_t *post_survey, json_t **ret_search, struct failure *failure);
MUST_USE int align_refine(const struct align_context *context, const json_t *pre_survey,
                          const json_t *post_survey, const json_t *search, json_t **ret_refine,
                          struct failure *failure);
/* *ret_verify: the members of transform.json: status, reason, model, post_to_pre, residual_px, ...
 */
MUST_USE int align_verify(const struct align_context *context, const json_t *pre_survey,
                          const json_t *post_survey, const json_t *search, const json_t *refine,
                          json_t **ret_verify, struct failure *failure);

#endif
