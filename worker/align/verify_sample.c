/* See verify_sample.h. */
#include "worker/align/verify_sample.h"

#include "worker/memory/tracked.h"

#include <errno.h>

/* Parts with less structure than this share of what the image's richer parts have are empty ground.
 * A tile with so many parts that are empty in one image cannot contradict the map. */
static const double EMPTY_SHARE = 0.3, RICH_QUANTILE = 0.75, SILENT_SHARE = 0.75;

void verify_sample_free(struct verify_sample *sample) {
    tiles_free(&sample->grid);
    tracked_free(sample->shifts);
    tracked_free(sample->matches);
    tracked_free(sample->residuals_px);
    tracked_free(sample->answers);
    *sample = (struct verify_sample){0};
}

int verify_sample_count(const struct verify_sample *sample, enum verify_answer answer) {
    int n = 0;
    for (size_t i = 0; i < sample->grid.count; i++)
        n += sample->answers[i] == answer;
    return n;
}

int verify_sample_measured(const struct verify_sample *sample) {
    return (int)sample->grid.count - verify_sample_count(sample, VERIFY_UNMEASURED);
}

/* Overlapping cells are small ones of a coarse level, where more can be looked for. */
int verify_sample_reach(const struct tiles_grid *grid) {
    return grid->level > 0 ? grid->size / 3 : grid->size / 4;
}

struct tile_look verify_sample_look(const struct verify_scene *scene,
                                    const struct tiles_grid *grid) {
    static const struct tile_look plain = {0};
    return grid->level > 0 ? plain : scene->look;
}

/* Below which a part of a tile is empty ground: in the fixed image, in the moving one. */
struct ground {
    double fixed, moving;
};

static int find_ground(const struct verify_sample *sample, struct ground *ret,
                       struct failure *failure) {
    size_t count = sample->grid.count * TILE_PARTS, n = 0;
    CLEANUP_TRACKED double *fixed = tracked_alloc(count + 1, sizeof(*fixed), "structure");
    CLEANUP_TRACKED double *moving = tracked_alloc(count + 1, sizeof(*moving), "structure");
    if (!fixed || !moving)
        return failure_set(failure, -ENOMEM, "no memory for the structure of %zu tiles",
                           sample->grid.count);
    for (size_t i = 0; i < sample->grid.count; i++)
        for (size_t part = 0; part < TILE_PARTS && sample->shifts[i].measured; part++, n++) {
            fixed[n] = sample->shifts[i].fixed_structure[part];
            moving[n] = sample->shifts[i].moving_structure[part];
        }
    *ret = (struct ground){0};
    if (n > 0)
        *ret = (struct ground){EMPTY_SHARE * fit_quantile(fixed, n, RICH_QUANTILE),
                               EMPTY_SHARE * fit_quantile(moving, n, RICH_QUANTILE)};
    return 0;
}

/* Next to nothing to see in one of the images: no evidence for or against the map. */
static bool is_silent(const struct tile_shift *shift, const struct ground *ground) {
    int fixed = 0, moving = 0;
    for (int i = 0; i < TILE_PARTS; i++) {
        fixed += shift->fixed_structure[i] < ground->fixed;
        moving += shift->moving_structure[i] < ground->moving;
    }
    return (fixed > moving ? fixed : moving) >= SILENT_SHARE * TILE_PARTS;
}

static void judge(struct verify_sample *sample, const struct transform *transform,
                  const struct ground *ground, double agree_px) {
    for (size_t i = 0; i < sample->grid.count; i++) {
        const struct tile_shift *shift = &sample->shifts[i];
        if (!shift->measured) {
            sample->answers[i] = VERIFY_UNMEASURED;
            continue;
        }
        sample->matches[i] = tiles_match(&sample->grid, &sample->grid.cells[i], shift, transform);
        sample->residuals_px[i] = transform_residual(transform, &sample->matches[i]);
        sample->answers[i] = sample->residuals_px[i] < agree_px ? VERIFY_AGREES
                             : is_silent(shift, ground)         ? VERIFY_SILENT
                                                                : VERIFY_CONTRADICTS;
    }
}

static void keep_parity(struct tiles_grid *grid, enum tiles_parity parity) {
    size_t n = 0;
    for (size_t i = 0; i < grid->count; i++)
        if (parity == TILES_BOTH || grid->cells[i].parity == (int)parity)
            grid->cells[n++] = grid->cells[i];
    grid->count = n;
}

int verify_sample_measure(const struct verify_scene *scene, const struct tiles_choice *choice,
                          enum tiles_parity parity, double agree_px, struct tiles_span progress,
                          struct verify_sample *ret, struct failure *failure) {
    int r = tiles_choose(scene->texture, scene->pre, scene->post, choice, &ret->grid, failure);
    if (r < 0)
        return r;
    keep_parity(&ret->grid, parity);
    size_t count = ret->grid.count;
    ret->shifts = tracked_alloc(count + 1, sizeof(*ret->shifts), "tiles");
    ret->matches = tracked_alloc(count + 1, sizeof(*ret->matches), "matches");
    ret->residuals_px = tracked_alloc(count + 1, sizeof(*ret->residuals_px), "residuals");
    ret->answers = tracked_alloc(count + 1, sizeof(*ret->answers), "answers");
    if (!ret->shifts || !ret->matches || !ret->residuals_px || !ret->answers)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", count);
    struct tile_request how = {.reach_px = verify_sample_reach(&ret->grid),
                               .look = verify_sample_look(scene, &ret->grid)};
    r = tiles_measure_grid(scene->crew, &ret->grid, scene->transform, &how, progress, ret->shifts,
                           failure);
    struct ground ground;
    if (r == 0)
        r = find_ground(ret, &ground, failure);
    if (r == 0)
        judge(ret, scene->transform, &ground, agree_px);
    return r;
}
