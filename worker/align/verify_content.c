/* See verify_content.h. */
#include "worker/align/verify_content.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum { MOST_PARTS = 40, REACH_PX = 2 };

static const double RICH_QUANTILE = 0.9; /* what counts as one in each image */

struct part {
    double strength; /* in the image where it is weaker, of what is rich there */
    double correlation;
};

static int compare_parts(const void *a, const void *b) {
    const struct part *p = a, *q = b;
    return (p->strength < q->strength) - (p->strength > q->strength);
}

/* What a rich part of the image has. scratch: a value for each part of each tile. */
static double rich_of(const struct tile_shift *shifts, size_t count, bool moving, double *scratch) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t part = 0; part < TILE_PARTS && shifts[i].measured; part++) {
            const struct tile_detail *detail = &shifts[i].detail[part];
            double strength = moving ? detail->moving : detail->fixed;
            if (strength > 0)
                scratch[n++] = strength;
        }
    return n > 0 ? fit_quantile(scratch, n, RICH_QUANTILE) : 1;
}

int verify_content_judge(const struct tile_shift *shifts, size_t count, struct verify_content *ret,
                         struct failure *failure) {
    *ret = (struct verify_content){0};
    size_t most = count * TILE_PARTS, n = 0;
    CLEANUP_TRACKED double *scratch = tracked_alloc(most + 1, sizeof(*scratch), "structure");
    CLEANUP_TRACKED struct part *parts = tracked_alloc(most + 1, sizeof(*parts), "structure");
    if (!scratch || !parts)
        return failure_set(failure, -ENOMEM, "no memory for the structure of %zu tiles", count);
    double fixed = rich_of(shifts, count, false, scratch);
    double moving = rich_of(shifts, count, true, scratch);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < TILE_PARTS && shifts[i].measured; k++) {
            const struct tile_detail *detail = &shifts[i].detail[k];
            if (detail->fixed > 0 && detail->moving > 0)
                parts[n++] = (struct part){fmin(detail->fixed / fixed, detail->moving / moving),
                                           detail->correlation};
        }
    if (n == 0)
        return 0;
    qsort(parts, n, sizeof(*parts), compare_parts);
    ret->parts = n < MOST_PARTS ? (int)n : MOST_PARTS;
    for (int i = 0; i < ret->parts; i++)
        ret->correlation += parts[i].correlation / ret->parts;
    return 0;
}

int verify_content_measure(const struct verify_scene *scene, const struct verify_sample *sample,
                           struct tiles_span progress, struct tile_shift *ret_shifts,
                           struct verify_content *ret, struct failure *failure) {
    const struct tile_request how = {.reach_px = REACH_PX, .stay = true};
    int r = tiles_measure_grid(scene->crew, &sample->grid, scene->transform, &how, progress,
                               ret_shifts, failure);
    return r == 0 ? verify_content_judge(ret_shifts, sample->grid.count, ret, failure) : r;
}
