/* A sample of tiles, measured against the map, and what each of them says about it.
 *
 * A tile agrees when it is found where the map puts it, give or take agree_px; it contradicts when
 * it is found elsewhere; it is silent when it is found elsewhere but one of the images shows next
 * to nothing there, so that it cannot contradict.
 */
#ifndef WORKER_ALIGN_VERIFY_SAMPLE_H
#define WORKER_ALIGN_VERIFY_SAMPLE_H

#include "worker/align/tiles.h"

/* What all of verify's measurements share. Borrows everything. */
struct verify_scene {
    const struct align_context *context;
    const struct survey *pre, *post;
    const struct thumbnail *texture; /* the post image's tone */
    struct tiles_crew *crew;
    const struct transform *transform; /* the one that is judged */
    struct tile_look look;             /* at full resolution */
};

enum verify_answer { VERIFY_UNMEASURED, VERIFY_AGREES, VERIFY_CONTRADICTS, VERIFY_SILENT };

struct verify_sample {
    struct tiles_grid grid;
    struct tile_shift *shifts; /* owned, as are these: one for each cell of the grid */
    struct fit_match *matches; /* where each measured cell lies */
    double *residuals_px;      /* how far that is from where the map puts it, px of pre */
    enum verify_answer *answers;
};

/* Measures the cells of one parity (or both) that choice finds. Free in any case. */
MUST_USE int verify_sample_measure(const struct verify_scene *scene,
                                   const struct tiles_choice *choice, enum tiles_parity parity,
                                   double agree_px, struct tiles_span progress,
                                   struct verify_sample *ret, struct failure *failure);
void verify_sample_free(struct verify_sample *sample); /* a zeroed one is fine */

int verify_sample_count(const struct verify_sample *sample, enum verify_answer answer);
/* Measured ones of whatever answer. */
int verify_sample_measured(const struct verify_sample *sample);
/* The farthest shift that is looked for, px of the level. */
int verify_sample_reach(const struct tiles_grid *grid);
/* The scene's at full resolution; reduced levels are blurred enough. */
struct tile_look verify_sample_look(const struct verify_scene *scene,
                                    const struct tiles_grid *grid);

#endif
