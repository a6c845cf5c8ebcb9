/* The background scale of a pair: aligned tiles spread over the whole overlap (all of them when the
 * image is small), their distribution of log10(post / pre), and the scale in use.
 *
 * The object it makes (the checkpoint of stage "scale", and members of result.json):
 *   {"scale":s, "scale_kind":"moffat|histogram-peak|percentile|manual",
 *    "scales":{"moffat":s, "histogram-peak":s, "percentile":s, "manual":s},     those that are
 * known "moffat":{"amp":a,"mu":m,"alpha":a,"beta":b,"rms":r} or null,
 *    "statistics":{"sampled_pixels":n, "ratio_pixels":n, "pre":{...}, "post":{...},
 * "log10_ratio":{...}},
 *    "histogram":{"low":x, "high":x, "counts":[n, ...]}}     what was fitted; missing: too few
 * pixels Percentiles are of the signals over sampled pixels that both images cover.
 */
#ifndef WORKER_OUTPUT_BACKGROUND_SCALE_H
#define WORKER_OUTPUT_BACKGROUND_SCALE_H

#include "worker/output/background_counts.h"
#include "worker/output/tile_render.h"

struct progress;

/* Counts the sampled tiles, whatever pad and interpolation the task has. The caller owns *ret. */
MUST_USE int background_scale_count(const struct tile_render_task *task, int threads,
                                    struct progress *progress, struct background_counts **ret,
                                    struct failure *failure);
/* -ENODATA when the images have too few common pixels above 0 and no scale was given by hand. */
MUST_USE int background_scale_conclude(const struct background_counts *counts,
                                       const struct params *params, json_t **ret,
                                       struct failure *failure);

/* One difference image to write. */
struct background_scale_difference {
    const char *kind; /* borrowed from the object */
    double scale;
    bool in_use; /* difference.tiff; the others are difference_<kind>.tiff */
};

enum { BACKGROUND_SCALE_MAX_DIFFERENCES = 3 };

/* The scale in use first. With a percentile or a manual scale in use, the other known ones follow;
 * histogram-peak counts as moffat's stand-in only. Returns how many. */
size_t background_scale_differences(
    const json_t *scale, struct background_scale_difference ret[BACKGROUND_SCALE_MAX_DIFFERENCES]);

#endif
