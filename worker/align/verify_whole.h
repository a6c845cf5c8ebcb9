/* The map that both halves of the checkerboard hold together.
 *
 * Once the held-out tiles have judged the map that the other half made, nothing forbids them to
 * make it better: a fit to all tiles is known nearly twice as well where tiles are few. It starts
 * at the map that was judged, and how far it leads from there is asked (error_bar), so that
 * what was judged and what is handed out are the same thing. One of all pixels that leads too far
 * is judged itself (verify.c).
 */
#ifndef WORKER_ALIGN_VERIFY_WHOLE_H
#define WORKER_ALIGN_VERIFY_WHOLE_H

#include "worker/align/error_bar.h"
#include "worker/align/polish.h"
#include "worker/align/verify_sample.h"

struct verify_whole {
    struct polish_map map;
    struct fit_match *matches; /* owned: what it was fitted to */
    size_t count;              /* 0: there was nothing to fit, and the map is the one before */
    bool joined;               /* the map is that of all pixels at once (joint.h) */
};

/* tile_px: as refine had it. model: of the scene's map, which has no grid. Free in any case. */
MUST_USE int verify_whole_fit(const struct verify_scene *scene, int tile_px, enum fit_model model,
                              struct tiles_span progress, struct verify_whole *ret,
                              struct failure *failure);
/* Where tiles do not know the map well (*bar), all pixels of both halves at once may; then these
 * make the map and the bar, whose offset is how far they lead from the map that is judged. */
MUST_USE int verify_whole_join(const struct verify_scene *scene,
                               const struct verify_sample *held_out, struct verify_whole *whole,
                               struct error_bar *bar, struct failure *failure);
void verify_whole_free(struct verify_whole *whole); /* a zeroed one is fine */

#endif
