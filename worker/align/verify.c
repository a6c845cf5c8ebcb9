/* See verify.h. Measures the facts; verify_decide.c judges them. */
#include "worker/align/verify.h"

#include "worker/align/feature.h"
#include "worker/align/referee.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum {
    LEAST_CELLS = 160, /* as refine: the same grid, the other cells */
    MOST_TILES = 160,
    AMBIGUITY_TILES = 40, /* tested per level */
    LEAST_SECTOR_TILES = 2,
    OVERLAP_STEPS = 20,
};
static const uint64_t CACHE_BYTES = 12 << 20;

static const double NULL_QUANTILE = 0.95; /* better than so much of the null is confident */
static const double AGREE_FACTOR = 2;     /* times max_residual: where the map puts it */
static const double LEAST_AGREE_PX = 2;
static const double LEAST_CHANCE = 0.01;
/* Below it "nearly as well" is no finding: everything correlates a little. */
static const double LEAST_TESTED = 0.5;
static const double AS_WELL = 0.92; /* of the correlation here: fits there as well */
static const double SECTOR_AGREES = 1.0 / 3;
/* Parts with less structure than this share of what the image's richer parts have are empty ground.
 * A tile with so many parts that are empty in one image cannot contradict the map. */
static const double EMPTY_SHARE = 0.3, RICH_QUANTILE = 0.75, SILENT_SHARE = 0.75;

struct verifier {
    const struct align_context *context;
    struct survey pre, post;
    struct search_result search;
    struct refine_result refine;
    struct thumbnail texture;
    struct tiles_crew *crew;
    struct tiles_grid grid; /* odd cells at full resolution */
    struct tile_shift *shifts, *null_shifts;
    double *scratch;
};

static void verifier_cleanup(struct verifier *verifier) {
    thumbnail_free(&verifier->texture);
    tiles_crew_close(verifier->crew);
    tiles_free(&verifier->grid);
    tracked_free(verifier->shifts);
    tracked_free(verifier->null_shifts);
    tracked_free(verifier->scratch);
}

static int open_tiles(struct verifier *verifier, struct tile_pair *pair, struct failure *failure) {
    *pair = (struct tile_pair){.context = verifier->context,
                               .pre = &verifier->pre,
                               .post = &verifier->post,
                               .with_images = true,
                               .cache_bytes = CACHE_BYTES};
    double pitch =
        thumbnail_pitch(&verifier->post.layout, &verifier->post.layout, TILES_TEXTURE_SIDE_PX);
    int r = thumbnail_load(verifier->context, "post", &verifier->post, pitch, &verifier->texture,
                           failure);
    if (r < 0)
        return r;
    feature_tone(&verifier->post, verifier->texture.pixels,
                 (size_t)verifier->texture.width * (size_t)verifier->texture.height);
    return tiles_crew_open(pair, &verifier->crew, failure);
}

static int choose_held_out(struct verifier *verifier, struct failure *failure) {
    struct tiles_choice choice = {.level = 0,
                                  .size = verifier->refine.tile_px,
                                  .least_cells = LEAST_CELLS,
                                  .most_tiles = MOST_TILES,
                                  .transform = &verifier->refine.transform};
    struct tiles_grid *grid = &verifier->grid;
    int r =
        tiles_choose(&verifier->texture, &verifier->pre, &verifier->post, &choice, grid, failure);
    if (r < 0)
        return r;
    size_t n = 0;
    for (size_t i = 0; i < grid->count; i++)
        if (grid->cells[i].parity == TILES_ODD)
            grid->cells[n++] = grid->cells[i];
    grid->count = n;
    verifier->shifts = tracked_alloc(n + 1, sizeof(*verifier->shifts), "tiles");
    verifier->null_shifts = tracked_alloc(n + 1, sizeof(*verifier->null_shifts), "tiles");
    verifier->scratch = tracked_alloc(n + 1, sizeof(*verifier->scratch), "residuals");
    if (!verifier->shifts || !verifier->null_shifts || !verifier->scratch)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", n);
    return 0;
}

static int reach_of(const struct tiles_grid *grid) { return grid->size / 4; }

/* Each tile against the place of another one, far from its own. */
static int measure_null(struct verifier *verifier, struct failure *failure) {
    const struct tiles_grid *grid = &verifier->grid;
    size_t count = grid->count;
    CLEANUP_TRACKED struct map *maps = tracked_alloc(count + 1, sizeof(*maps), "maps");
    CLEANUP_TRACKED struct tile_request *requests =
        tracked_alloc(count + 1, sizeof(*requests), "tiles");
    if (!maps || !requests)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", count);
    for (size_t i = 0; i < count; i++) {
        const struct tiles_cell *cell = &grid->cells[i], *other = cell;
        for (size_t k = 0; k < count; k++) {
            other = &grid->cells[(i + count / 2 + k) % count];
            if (abs(other->x - cell->x) > 2 * grid->size ||
                abs(other->y - cell->y) > 2 * grid->size)
                break;
        }
        maps[i] = tiles_local_map(grid, cell, &verifier->refine.transform, other->x - cell->x,
                                  other->y - cell->y);
        requests[i] = (struct tile_request){.level = 0,
                                            .x = cell->x,
                                            .y = cell->y,
                                            .size = grid->size,
                                            .reach_px = reach_of(grid),
                                            .map = &maps[i]};
    }
    return tiles_measure(verifier->crew, requests, count, (struct tiles_span){0.4, 0.8},
                         verifier->null_shifts, failure);
}

/* How far the tile lies from where the map puts it, px of the pre image. */
static double residual_px(const struct tiles_grid *grid, size_t i, const struct tile_shift *shift,
                          const struct transform *transform) {
    struct fit_match match = tiles_match(grid, &grid->cells[i], shift, transform);
    return transform_residual(transform, &match);
}

static double agree_px(const struct verifier *verifier) {
    return fmax(AGREE_FACTOR * verifier->context->params->max_residual_px, LEAST_AGREE_PX);
}

static void judge_null(struct verifier *verifier, struct verify_facts *facts,
                       double *ret_confident_from) {
    size_t n = 0;
    double tolerance = agree_px(verifier), reach = reach_of(&verifier->grid);
    for (size_t i = 0; i < verifier->grid.count; i++) {
        const struct tile_shift *shift = &verifier->null_shifts[i];
        if (!shift->measured)
            continue;
        verifier->scratch[n++] = shift->correlation;
        facts->null_agreeing += hypot(shift->dx, shift->dy) < tolerance;
    }
    facts->null_tiles = (int)n;
    *ret_confident_from = n > 0 ? fmax(fit_quantile(verifier->scratch, n, NULL_QUANTILE), 0) : 0;
    /* what accident allows: from the areas, or what the null did, whichever is more */
    double area = tolerance * tolerance * 3.14159265358979 / pow(2 * reach + 1, 2);
    double seen = n > 0 ? (facts->null_agreeing + 1.0) / ((double)n + 1) : area;
    facts->chance = fmin(fmax(fmax(area, seen), LEAST_CHANCE), 0.9);
}

/* Below which a part of a tile is empty ground: in the fixed image, in the moving one. */
struct ground {
    double fixed, moving;
};

static int find_ground(const struct verifier *verifier, struct ground *ret,
                       struct failure *failure) {
    enum { PARTS = TILE_PARTS * TILE_PARTS };
    size_t count = verifier->grid.count * PARTS, n = 0;
    CLEANUP_TRACKED double *fixed = tracked_alloc(count + 1, sizeof(*fixed), "structure");
    CLEANUP_TRACKED double *moving = tracked_alloc(count + 1, sizeof(*moving), "structure");
    if (!fixed || !moving)
        return failure_set(failure, -ENOMEM, "no memory for the structure of %zu tiles",
                           verifier->grid.count);
    for (size_t i = 0; i < verifier->grid.count; i++)
        for (size_t part = 0; part < PARTS && verifier->shifts[i].measured; part++, n++) {
            fixed[n] = verifier->shifts[i].fixed_structure[part];
            moving[n] = verifier->shifts[i].moving_structure[part];
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
    for (int i = 0; i < TILE_PARTS * TILE_PARTS; i++) {
        fixed += shift->fixed_structure[i] < ground->fixed;
        moving += shift->moving_structure[i] < ground->moving;
    }
    return (fixed > moving ? fixed : moving) >= SILENT_SHARE * TILE_PARTS * TILE_PARTS;
}

/* Residuals count from the correlation that hardly any of the null reaches; where a tile lies
 * speaks for the map, or against it, in any case: the null's places are as weak. */
static void judge_tiles(struct verifier *verifier, double confident_from,
                        const struct ground *ground, struct verify_facts *facts) {
    enum { N = TILES_SECTORS * TILES_SECTORS };
    int asked[N] = {0}, agreed[N] = {0};
    size_t n = 0;
    for (size_t i = 0; i < verifier->grid.count; i++) {
        const struct tile_shift *shift = &verifier->shifts[i];
        if (!shift->measured)
            continue;
        facts->held_out++;
        int sector = verifier->grid.cells[i].sector;
        double residual = residual_px(&verifier->grid, i, shift, &verifier->refine.transform);
        bool agrees = residual < agree_px(verifier);
        if (!agrees && is_silent(shift, ground)) {
            facts->silent++;
            continue;
        }
        asked[sector]++;
        agreed[sector] += agrees;
        facts->agreeing += agrees;
        if (shift->correlation > confident_from)
            verifier->scratch[n++] = residual;
    }
    facts->confident = (int)n;
    facts->median_px = n > 0 ? fit_quantile(verifier->scratch, n, 0.5) : 0;
    facts->p95_px = n > 0 ? fit_quantile(verifier->scratch, n, 0.95) : 0;
    for (int sector = 0; sector < N; sector++) {
        if (asked[sector] < LEAST_SECTOR_TILES)
            continue;
        facts->sectors++;
        facts->sectors_agreeing += agreed[sector] >= SECTOR_AGREES * asked[sector];
    }
}

/* Asks tiles whether they fit as well where their second-highest peak lies. */
static int test_ambiguity(struct verifier *verifier, const struct tiles_grid *grid,
                          const struct tile_shift *shifts, double confident_from,
                          struct verify_facts *facts, struct failure *failure) {
    struct map maps[AMBIGUITY_TILES];
    struct tile_request requests[AMBIGUITY_TILES];
    struct tile_shift there[AMBIGUITY_TILES];
    size_t here[AMBIGUITY_TILES], n = 0;
    double factor = ldexp(1, grid->level), distances[AMBIGUITY_TILES];
    for (size_t i = 0; i < grid->count && n < AMBIGUITY_TILES; i++) {
        if (!shifts[i].measured || shifts[i].correlation <= fmax(confident_from, LEAST_TESTED) ||
            (shifts[i].next_dx == 0 && shifts[i].next_dy == 0))
            continue;
        maps[n] = tiles_local_map(grid, &grid->cells[i], &verifier->refine.transform,
                                  factor * shifts[i].next_dx, factor * shifts[i].next_dy);
        requests[n] = (struct tile_request){.level = grid->level,
                                            .x = grid->cells[i].x,
                                            .y = grid->cells[i].y,
                                            .size = grid->size,
                                            .reach_px = 2,
                                            .map = &maps[n]};
        here[n++] = i;
    }
    if (n == 0)
        return 0;
    int r = tiles_measure(verifier->crew, requests, n, (struct tiles_span){0.9, 1}, there, failure);
    if (r < 0)
        return r;
    size_t ambiguous = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tile_shift *shift = &shifts[here[i]];
        if (there[i].settled && there[i].correlation > AS_WELL * shift->correlation)
            distances[ambiguous++] =
                factor * hypot(shift->next_dx - shift->dx, shift->next_dy - shift->dy);
    }
    /* the level that is worse off counts */
    if (facts->ambiguity_tested == 0 ||
        ambiguous * (size_t)facts->ambiguity_tested > n * (size_t)facts->ambiguous) {
        facts->ambiguous = (int)ambiguous;
        facts->ambiguity_tested = (int)n;
        facts->repeat_px = ambiguous > 0 ? fit_quantile(distances, ambiguous, 0.5) : 0;
    }
    return 0;
}

/* At the referee's level: what is left when single cells do not match, and repeats that are longer
 * than a full-resolution tile can see. */
static int look_from_afar(struct verifier *verifier, struct verify_facts *facts,
                          struct failure *failure) {
    struct tiles_choice choice = {.level = referee_level(&verifier->post),
                                  .overlap = true,
                                  .most_tiles = AMBIGUITY_TILES,
                                  .transform = &verifier->refine.transform};
    CLEANUP(tiles_free) struct tiles_grid grid = {0};
    int r =
        tiles_choose(&verifier->texture, &verifier->pre, &verifier->post, &choice, &grid, failure);
    if (r < 0)
        return r;
    CLEANUP_TRACKED struct tile_shift *shifts =
        tracked_alloc(grid.count + 1, sizeof(*shifts), "tiles");
    if (!shifts)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", grid.count);
    struct tile_request how = {.reach_px = grid.size / 3};
    r = tiles_measure_grid(verifier->crew, &grid, &verifier->refine.transform, &how,
                           (struct tiles_span){0.8, 0.9}, shifts, failure);
    if (r < 0)
        return r;
    size_t n = 0;
    CLEANUP_TRACKED double *residuals =
        tracked_alloc(grid.count + 1, sizeof(*residuals), "residuals");
    if (!residuals)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", grid.count);
    for (size_t i = 0; i < grid.count; i++)
        if (shifts[i].measured)
            residuals[n++] = residual_px(&grid, i, &shifts[i], &verifier->refine.transform);
    facts->coarse_median_px = n > 0 ? fit_quantile(residuals, n, 0.5) : 0;
    return test_ambiguity(verifier, &grid, shifts, 0, facts, failure);
}

static double overlap_of(const struct verifier *verifier) {
    int inside = 0;
    double width = verifier->post.layout.width, height = verifier->post.layout.height;
    for (int y = 0; y < OVERLAP_STEPS; y++)
        for (int x = 0; x < OVERLAP_STEPS; x++) {
            struct map_point p =
                transform_apply(&verifier->refine.transform, (x + 0.5) * width / OVERLAP_STEPS,
                                (y + 0.5) * height / OVERLAP_STEPS);
            inside += p.x >= 0 && p.y >= 0 && p.x < verifier->pre.layout.width &&
                      p.y < verifier->pre.layout.height;
        }
    return (double)inside / (OVERLAP_STEPS * OVERLAP_STEPS);
}

static int gather_facts(struct verifier *verifier, struct verify_facts *facts,
                        struct failure *failure) {
    const struct params *params = verifier->context->params;
    facts->refine = verifier->refine;
    facts->plausible =
        refine_is_plausible(&verifier->refine.transform, params, verifier->post.layout.width,
                            verifier->post.layout.height);
    facts->overlap = overlap_of(verifier);
    if (verifier->search.count > 0)
        facts->search_mirrored = verifier->search.mirrored.score;
    if (verifier->refine.reason[0])
        return 0;
    int r = choose_held_out(verifier, failure);
    if (r < 0)
        return r;
    struct tile_request how = {.reach_px = reach_of(&verifier->grid)};
    r = tiles_measure_grid(verifier->crew, &verifier->grid, &verifier->refine.transform, &how,
                           (struct tiles_span){0, 0.4}, verifier->shifts, failure);
    if (r == 0)
        r = measure_null(verifier, failure);
    if (r < 0)
        return r;
    double confident_from = 0;
    judge_null(verifier, facts, &confident_from);
    struct ground ground;
    r = find_ground(verifier, &ground, failure);
    if (r < 0)
        return r;
    judge_tiles(verifier, confident_from, &ground, facts);
    r = test_ambiguity(verifier, &verifier->grid, verifier->shifts, confident_from, facts, failure);
    return r == 0 ? look_from_afar(verifier, facts, failure) : r;
}

static json_t *describe_evidence(const struct verify_facts *facts) {
    return json_pack(
        "{s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:i,s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:i,s:i,s:i}",
        "held_out", facts->held_out, "confident", facts->confident, "agreeing", facts->agreeing,
        "silent", facts->silent, "null_tiles", facts->null_tiles, "null_agreeing",
        facts->null_agreeing, "chance", facts->chance, "sectors", facts->sectors,
        "sectors_agreeing", facts->sectors_agreeing, "ambiguity_tested", facts->ambiguity_tested,
        "ambiguous", facts->ambiguous, "repeat_px", facts->repeat_px, "coarse_median_px",
        facts->coarse_median_px, "overlap", facts->overlap, "search_score",
        facts->refine.search_score, "search_runner_up", facts->refine.search_runner_up,
        "search_mirrored", facts->search_mirrored, "votes", facts->refine.votes, "runner_up_votes",
        facts->refine.runner_up_votes, "mirrored_votes", facts->refine.mirrored_votes);
}

static int describe(const struct verifier *verifier, const struct verify_facts *facts,
                    json_t **ret_verify, struct failure *failure) {
    char reason[VERIFY_REASON_BYTES];
    enum verify_status status = verify_decide(facts, verifier->context->params, reason);
    *ret_verify = json_pack(
        "{s:i,s:s,s:s,s:s,s:[I,I],s:[I,I],s:{s:f,s:f,s:i},s:o}", "version", 1, "status",
        verify_status_name(status), "reason", reason, "model",
        refine_model_name(&verifier->refine.transform, verifier->refine.model), "pre_size",
        (json_int_t)verifier->pre.layout.width, (json_int_t)verifier->pre.layout.height,
        "post_size", (json_int_t)verifier->post.layout.width,
        (json_int_t)verifier->post.layout.height, "residual_px", "median", facts->median_px, "p95",
        facts->p95_px, "tiles", facts->confident, "evidence", describe_evidence(facts));
    if (!*ret_verify)
        return failure_set(failure, -ENOMEM, "no memory for the verification's result");
    return transform_write(&verifier->refine.transform, *ret_verify, failure);
}

int align_verify(const struct align_context *context, const json_t *pre_survey,
                 const json_t *post_survey, const json_t *search, const json_t *refine,
                 json_t **ret_verify, struct failure *failure) {
    CLEANUP(verifier_cleanup) struct verifier verifier = {.context = context};
    struct verify_facts facts = {0};
    struct tile_pair pair;
    int r = survey_read(pre_survey, "the pre survey", &verifier.pre, failure);
    if (r == 0)
        r = survey_read(post_survey, "the post survey", &verifier.post, failure);
    if (r == 0)
        r = search_read(search, &verifier.search, failure);
    if (r == 0)
        r = refine_read(refine, &verifier.refine, failure);
    if (r == 0)
        r = open_tiles(&verifier, &pair, failure);
    if (r == 0)
        r = gather_facts(&verifier, &facts, failure);
    return r == 0 ? describe(&verifier, &facts, ret_verify, failure) : r;
}
