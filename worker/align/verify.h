/* How far the map can be trusted: measured on tiles that the fit never saw.
 *
 * What is unseen, precisely: full resolution is a checkerboard of cells. Refine measures and fits
 * its even cells alone, the model chosen by cross-validation among them; verify measures the odd
 * ones. The coarser levels of the refinement do see the whole image, odd cells included, but what
 * the fit at full resolution takes from them is where to look, and for a grid, against what
 * neighbours are compared: it starts anew, from a consensus of the even cells, and a grid from
 * zero. (Where it fails, the coarser map stands, and verify says doubtful.) The search and the
 * referee, which choose among hypotheses, see the whole image too, reduced.
 *
 * Measured: where each odd cell lies, and whether an image shows anything there (verify_sample);
 * what chance looks like (verify_null); whether a planted shift is measured back (verify_planted);
 * the map that both halves of the checkerboard make together (verify_whole), how well it is known
 * at the corners and on the tissue, and how far it lies from the one that was judged (error_bar);
 * whether those that contradict agree with one another (verify_second); whether the images show
 * the same things or the same outline only (verify_content); repeats (verify_repeats); the camera's
 * own pattern (verify_pattern); decoys (verify_decoys). From these facts verify_decide, a pure
 * function, makes the status and the reason. What is handed out is the map of both halves, where
 * there is one.
 */
#ifndef WORKER_ALIGN_VERIFY_H
#define WORKER_ALIGN_VERIFY_H

#include "worker/align/error_bar.h"
#include "worker/align/refine.h"
#include "worker/align/search.h"
#include "worker/align/verify_content.h"
#include "worker/align/verify_decoys.h"
#include "worker/align/verify_null.h"
#include "worker/align/verify_pattern.h"
#include "worker/align/verify_planted.h"
#include "worker/align/verify_repeats.h"
#include "worker/align/verify_second.h"

enum { VERIFY_REASON_BYTES = 512 };

enum verify_status { VERIFY_ALIGNED, VERIFY_DOUBTFUL, VERIFY_FAILED, VERIFY_STATUS_COUNT };

struct verify_facts {
    int held_out;              /* tiles asked */
    int confident;             /* correlate better than nearly all of the null */
    int agreeing;              /* where the map puts them */
    int silent;                /* do not agree, but one of the images shows nothing there */
    double median_px, p95_px;  /* residual of the confident tiles, px of the pre image */
    double agreeing_median_px; /* of the agreeing ones */
    int sectors, sectors_agreeing;
    struct verify_null null;
    struct verify_repeats repeats;
    struct verify_content content;
    struct verify_planted planted;
    struct error_bar error_bar;
    struct verify_second second;
    struct verify_pattern pattern;
    struct verify_decoys decoys;
    /* tiles of a reduced level: asked, those of them that are not silent, where the map puts them;
     * and the median residual of all, px of the pre image */
    int coarse_tiles, coarse_heard, coarse_agreeing;
    double coarse_median_px;
    double overlap; /* share of the post image that lands inside the pre image */
    bool plausible; /* refine_is_plausible */
    bool joined;    /* all pixels together made the map (joint.h) */
    double search_mirrored;
    struct refine_result refine;
};

enum verify_status verify_decide(const struct verify_facts *facts, const struct params *params,
                                 char ret_reason[VERIFY_REASON_BYTES]);
const char *verify_status_name(enum verify_status status);

#endif
