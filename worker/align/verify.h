/* How far the map can be trusted: measured on tiles that the fit never saw.
 *
 * Every odd cell of the checkerboard at full resolution is asked where it lies; the same cells
 * compared with places they do not belong to (the null) tell what chance looks like. From these
 * facts verify_decide, a pure function, makes the status and the reason.
 */
#ifndef WORKER_ALIGN_VERIFY_H
#define WORKER_ALIGN_VERIFY_H

#include "worker/align/refine.h"

enum { VERIFY_REASON_BYTES = 512 };

enum verify_status { VERIFY_ALIGNED, VERIFY_DOUBTFUL, VERIFY_FAILED, VERIFY_STATUS_COUNT };

struct verify_facts {
    int held_out;  /* tiles asked */
    int confident; /* correlate better than nearly all of the null */
    int agreeing;  /* where the map puts them */
    int silent;    /* do not agree, but one of the images shows nothing there */
    int null_tiles, null_agreeing;
    double chance;            /* that a tile agrees by accident */
    double median_px, p95_px; /* residual of the confident tiles, px of the pre image */
    int sectors, sectors_agreeing;
    int ambiguous, ambiguity_tested; /* tiles that fit elsewhere as well */
    double repeat_px;                /* where to: the median distance */
    double coarse_median_px;         /* residual of tiles of a reduced level, px of the pre image */
    double overlap;                  /* share of the post image that lands inside the pre image */
    bool plausible;                  /* refine_is_plausible */
    double search_mirrored;
    struct refine_result refine;
};

enum verify_status verify_decide(const struct verify_facts *facts, const struct params *params,
                                 char ret_reason[VERIFY_REASON_BYTES]);
const char *verify_status_name(enum verify_status status);

#endif
