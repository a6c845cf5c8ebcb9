/* See error_bar.h. */
#include "worker/align/error_bar.h"

#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum { TILES_PER_LEAST = 3 }; /* times what the model needs at the very least */

static const double RADIUS_SHARE = 0.95;

/* Distances between the places and where the correction takes them. */
static void move_places(const struct error_bar_sample *sample, const struct map *correction,
                        size_t stride, double *ret_px) {
    for (size_t i = 0; i < sample->n_places; i++) {
        const struct map_point *place = &sample->places[i];
        struct map_point moved = map_apply(correction, place->x, place->y);
        ret_px[i * stride] = hypot(moved.x - place->x, moved.y - place->y);
    }
}

/* Fits of drawn tiles; *ret_rounds of them could be fitted. */
static void draw_rounds(const struct error_bar_sample *sample, struct fit_match *drawn,
                        double *distances_px, size_t *ret_rounds) {
    uint64_t state = 0x9e3779b97f4a7c15ULL ^ ((uint64_t)sample->seed << 21);
    size_t n = 0;
    for (int round = 0; round < sample->rounds; round++) {
        for (size_t i = 0; i < sample->count; i++)
            drawn[i] = sample->matches[(fit_random(&state) >> 11) % sample->count];
        struct map correction;
        if (fit_polish(drawn, sample->count, sample->model, &map_identity, &correction) == 0)
            move_places(sample, &correction, (size_t)sample->rounds, distances_px + n++);
    }
    *ret_rounds = n;
}

static double largest(const double *values, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, values[i]);
    return most;
}

int error_bar_find(const struct error_bar_sample *sample, struct error_bar *ret,
                   struct failure *failure) {
    struct map correction;
    *ret = (struct error_bar){0};
    if (sample->count < TILES_PER_LEAST * fit_least_matches(sample->model) ||
        sample->n_places < ERROR_BAR_CORNERS ||
        fit_polish(sample->matches, sample->count, sample->model, &map_identity, &correction) < 0)
        return 0;
    CLEANUP_TRACKED struct fit_match *drawn =
        tracked_alloc(sample->count, sizeof(*drawn), "matches");
    CLEANUP_TRACKED double *distances_px = tracked_alloc(sample->n_places * (size_t)sample->rounds,
                                                         sizeof(*distances_px), "residuals");
    CLEANUP_TRACKED double *radii_px =
        tracked_alloc(sample->n_places, sizeof(*radii_px), "residuals");
    if (!drawn || !distances_px || !radii_px)
        return failure_set(failure, -ENOMEM, "no memory for the error bar of %zu places",
                           sample->n_places);
    const size_t corners = ERROR_BAR_CORNERS;
    size_t n_tissue = sample->n_places - corners, rounds = 0;
    move_places(sample, &correction, 1, radii_px);
    double offset_px = largest(radii_px + corners, n_tissue);
    draw_rounds(sample, drawn, distances_px, &rounds);
    if ((int)rounds < sample->rounds / 2)
        return 0;
    for (size_t i = 0; i < sample->n_places; i++)
        radii_px[i] = fit_quantile(distances_px + i * (size_t)sample->rounds, rounds, RADIUS_SHARE);
    *ret = (struct error_bar){.tiles = (int)sample->count,
                              .tissue_px = largest(radii_px + corners, n_tissue),
                              .offset_px = offset_px};
    for (size_t i = 0; i < corners; i++)
        ret->corners_px[i] = radii_px[i];
    return 0;
}
