/* From the right hypothesis to a map that is exact to a fraction of a pixel.
 *
 * The referee (referee.h) chooses among the hypotheses; tiles refine the winner at a coarse level,
 * at a middle one and at full resolution. Only even cells are used for fits at full resolution:
 * verify judges on the odd ones. The model goes up from similarity to affine to homography only
 * when residuals of tiles left out of the fit fall clearly.
 */
#ifndef WORKER_ALIGN_REFINE_H
#define WORKER_ALIGN_REFINE_H

#include "worker/align/align.h"
#include "worker/align/tile.h"
#include "worker/align/transform.h"

struct refine_result {
    char reason[256]; /* why there is no map at all; else "" */
    struct transform transform;
    enum fit_model model;  /* of transform.map when there is no grid */
    struct tile_look look; /* in which tiles said most at full resolution */
    int tile_px;           /* cell size at full resolution; 0: refinement did not get there */
    bool fine;             /* fitted at full resolution; else a coarser level's map stands */
    int votes, tiles;      /* the referee's, for the winner */
    int runner_up_votes, runner_up_tiles; /* the best different hypothesis's */
    int mirrored_votes, mirrored_tiles;
    /* Where the votes did not decide: what the images have in common there, and at the best
     * different place (joint_rival); else 0 */
    double common, runner_up_common;
    double search_score, search_runner_up; /* of the winner and of the best different one */
    bool inverted; /* what is bright in one image is dark in the other: survey.inverted of pre */
    unsigned found_by; /* the kinds of evidence that led to the winner: bit 1 << enum evidence */
};

/* Reads a refine checkpoint. */
MUST_USE int refine_read(const json_t *checkpoint, struct refine_result *ret,
                         struct failure *failure);

/* Whether the map is one that a microscope and a slide can produce: its local magnification of
 * areas is positive, within [0.5, 2], and near what scale_min and scale_max allow, all over. */
bool refine_is_plausible(const struct transform *transform, const struct params *params,
                         double width, double height);

/* As transform.json has it: "similarity", ... "grid". */
const char *refine_model_name(const struct transform *transform, enum fit_model model);

#endif
