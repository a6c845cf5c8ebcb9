/* See verify.h. Measures the facts; verify_decide.c judges them. */
#include "worker/align/verify.h"

#include "worker/align/feature.h"
#include "worker/align/referee.h"
#include "worker/align/verify_tiles.h"
#include "worker/align/verify_whole.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <math.h>

enum {
    LEAST_CELLS = 160, /* as refine: the same grid, the other cells */
    MOST_TILES = 160,
    MOST_COARSE_TILES = 40, /* of each parity */
    LEAST_SECTOR_TILES = 2,
    OVERLAP_STEPS = 20,
};
static const uint64_t CACHE_BYTES = 12 << 20;

static const double AGREE_FACTOR = 2; /* times max_residual: where the map puts it */
static const double LEAST_AGREE_PX = 2;
static const double FAR_SHARE = 0.5;       /* times max_residual: what verify_decide doubts */
static const double COARSE_AGREE_PX = 2.5; /* of the level, as the referee's votes */
enum { STAY_PX = 2 };                      /* how far a tile is followed that is not searched for */
/* As polish has it: below it the images show different things. */
static const double LEAST_CORRELATION = 0.08;
static const double SECTOR_AGREES = 1.0 / 3;

struct verifier {
    const struct align_context *context;
    struct survey pre, post;
    struct search_result search;
    struct refine_result refine;
    struct thumbnail texture;
    struct tiles_crew *crew;
    struct verify_scene scene;
    struct verify_sample held_out, coarse;
    struct verify_whole whole;
    json_t *test_tiles; /* owned; NULL: none was measured */
};

static void verifier_cleanup(struct verifier *verifier) {
    json_decref(verifier->test_tiles);
    thumbnail_free(&verifier->texture);
    tiles_crew_close(verifier->crew);
    verify_sample_free(&verifier->held_out);
    verify_sample_free(&verifier->coarse);
    verify_whole_free(&verifier->whole);
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
    r = tiles_crew_open(pair, &verifier->crew, failure);
    verifier->scene = (struct verify_scene){.context = verifier->context,
                                            .pre = &verifier->pre,
                                            .post = &verifier->post,
                                            .texture = &verifier->texture,
                                            .crew = verifier->crew,
                                            .transform = &verifier->refine.transform,
                                            .look = verifier->refine.look};
    return r;
}

static double agree_px(const struct verifier *verifier) {
    return fmax(AGREE_FACTOR * verifier->context->params->max_residual_px, LEAST_AGREE_PX);
}

/* The cells that refine left alone, and the same level that it ended at. */
static int measure_held_out(struct verifier *verifier, struct failure *failure) {
    const struct tiles_choice choice = {.level = 0,
                                        .size = verifier->refine.tile_px,
                                        .least_cells = LEAST_CELLS,
                                        .most_tiles = MOST_TILES,
                                        .transform = &verifier->refine.transform};
    return verify_sample_measure(&verifier->scene, &choice, TILES_ODD, agree_px(verifier),
                                 (struct tiles_span){0, 0.25}, &verifier->held_out, failure);
}

/* At the referee's level: what is left when single cells do not match, and repeats that are longer
 * than a full-resolution tile can see. */
static int measure_coarse(struct verifier *verifier, struct failure *failure) {
    const struct tiles_choice choice = {.level = referee_level(&verifier->post),
                                        .overlap = true,
                                        .most_tiles = MOST_COARSE_TILES,
                                        .transform = &verifier->refine.transform};
    return verify_sample_measure(&verifier->scene, &choice, TILES_BOTH,
                                 ldexp(COARSE_AGREE_PX, choice.level),
                                 (struct tiles_span){0.7, 0.8}, &verifier->coarse, failure);
}

/* Residuals count from the correlation that hardly any of the null reaches; where a tile lies
 * speaks for the map, or against it, in any case: the null's places are as weak. */
static int judge_held_out(const struct verifier *verifier, struct verify_facts *facts,
                          struct failure *failure) {
    const struct verify_sample *sample = &verifier->held_out;
    size_t n = 0, n_agreeing = 0;
    CLEANUP_TRACKED double *residuals_px =
        tracked_alloc(2 * sample->grid.count + 1, sizeof(*residuals_px), "residuals");
    if (!residuals_px)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", sample->grid.count);
    double *agreeing_px = residuals_px + sample->grid.count;
    for (size_t i = 0; i < sample->grid.count; i++) {
        enum verify_answer answer = sample->answers[i];
        if (answer != VERIFY_AGREES && answer != VERIFY_CONTRADICTS)
            continue;
        double residual_px =
            transform_known_residual(verifier->scene.transform, &sample->matches[i]);
        if (sample->shifts[i].correlation > facts->null.confident_from)
            residuals_px[n++] = residual_px;
        if (answer == VERIFY_AGREES)
            agreeing_px[n_agreeing++] = residual_px;
    }
    facts->held_out = verify_sample_measured(sample);
    facts->agreeing = verify_sample_count(sample, VERIFY_AGREES);
    facts->silent = verify_sample_count(sample, VERIFY_SILENT);
    facts->confident = (int)n;
    facts->median_px = n > 0 ? fit_quantile(residuals_px, n, 0.5) : 0;
    facts->p95_px = n > 0 ? fit_quantile(residuals_px, n, 0.95) : 0;
    facts->agreeing_median_px = n_agreeing > 0 ? fit_quantile(agreeing_px, n_agreeing, 0.5) : 0;
    return 0;
}

/* Where all pixels made the map, few tiles agree anywhere: then half as many as on average are
 * enough. */
static void count_sectors(const struct verify_sample *sample, bool is_joined,
                          struct verify_facts *facts) {
    enum { N = TILES_SECTORS * TILES_SECTORS };
    int asked[N] = {0}, agreed[N] = {0}, all_asked = 0, all_agreed = 0;
    for (size_t i = 0; i < sample->grid.count; i++) {
        enum verify_answer answer = sample->answers[i];
        bool is_asked = answer == VERIFY_AGREES || answer == VERIFY_CONTRADICTS;
        asked[sample->grid.cells[i].sector] += is_asked;
        agreed[sample->grid.cells[i].sector] += answer == VERIFY_AGREES;
        all_asked += is_asked;
        all_agreed += answer == VERIFY_AGREES;
    }
    double share = SECTOR_AGREES;
    facts->sectors = facts->sectors_agreeing = 0; /* of another map, perhaps */
    if (is_joined)
        share = fmin(share, 0.5 * all_agreed / fmax(all_asked, 1));
    for (int sector = 0; sector < N; sector++) {
        if (asked[sector] < LEAST_SECTOR_TILES)
            continue;
        facts->sectors++;
        facts->sectors_agreeing +=
            (agreed[sector] > 0 && agreed[sector] >= share * asked[sector]) ||
            facts->content.coincides[sector];
    }
}

static int judge_coarse(const struct verifier *verifier, struct verify_facts *facts,
                        struct failure *failure) {
    const struct verify_sample *sample = &verifier->coarse;
    CLEANUP_TRACKED double *residuals_px =
        tracked_alloc(sample->grid.count + 1, sizeof(*residuals_px), "residuals");
    if (!residuals_px)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", sample->grid.count);
    size_t n = 0;
    for (size_t i = 0; i < sample->grid.count; i++)
        if (sample->answers[i] != VERIFY_UNMEASURED)
            residuals_px[n++] = sample->residuals_px[i];
    facts->coarse_tiles = (int)n;
    facts->coarse_heard = (int)n - verify_sample_count(sample, VERIFY_SILENT);
    facts->coarse_agreeing = verify_sample_count(sample, VERIFY_AGREES);
    facts->coarse_median_px = n > 0 ? fit_quantile(residuals_px, n, 0.5) : 0;
    return 0;
}

/* Of what tore off and moved, the full resolution sees the last pixels of the way at most, the
 * reduced level several times as many. */
static int find_second(const struct verifier *verifier, struct verify_facts *facts,
                       struct failure *failure) {
    uint32_t seed = verifier->context->params->seed;
    struct verify_second coarse;
    int r = verify_second_find(&verifier->held_out, seed, &facts->second, failure);
    if (r == 0)
        r = verify_second_find(&verifier->coarse, seed, &coarse, failure);
    if (r == 0 && facts->second.agreeing == 0 && coarse.agreeing > 0)
        facts->second = coarse;
    return r;
}

/* The corners of the frame and the middle of every tile that was measured, in the pre image. */
static size_t list_places(const struct verifier *verifier, struct map_point *ret) {
    const struct verify_sample *sample = &verifier->held_out;
    double right = verifier->post.layout.width - 1.0, bottom = verifier->post.layout.height - 1.0;
    const struct map_point corners[ERROR_BAR_CORNERS] = {
        {0, 0}, {right, 0}, {right, bottom}, {0, bottom}};
    size_t n = 0;
    for (; n < ERROR_BAR_CORNERS; n++)
        ret[n] = transform_apply(verifier->scene.transform, corners[n].x, corners[n].y);
    for (size_t i = 0; i < sample->grid.count; i++)
        if (sample->answers[i] != VERIFY_UNMEASURED)
            ret[n++] = transform_apply(verifier->scene.transform, sample->matches[i].x,
                                       sample->matches[i].y);
    return n;
}

/* As correction of the map: from where it puts the tile, px of pre. */
static struct fit_match correction_of(const struct verifier *verifier, struct fit_match match) {
    struct map_point at = transform_apply(verifier->scene.transform, match.x, match.y);
    match.x = at.x;
    match.y = at.y;
    return match;
}

/* Where the tiles lie, beside the held-out ones' places. Of a grid, which all tiles together would
 * have to bend anew, the held-out half is asked. */
static size_t list_matches(const struct verifier *verifier, const struct tile_shift *in_place,
                           struct fit_match *ret) {
    const struct verify_sample *sample = &verifier->held_out;
    const struct verify_whole *whole = &verifier->whole;
    size_t n = 0;
    for (; n < whole->count; n++)
        ret[n] = correction_of(verifier, whole->matches[n]);
    for (size_t i = 0; i < sample->grid.count && whole->count == 0; i++)
        if (in_place[i].measured && in_place[i].correlation > LEAST_CORRELATION)
            ret[n++] =
                correction_of(verifier, tiles_match(&sample->grid, &sample->grid.cells[i],
                                                    &in_place[i], verifier->scene.transform));
    return n;
}

static int find_error_bar(const struct verifier *verifier, const struct tile_shift *in_place,
                          struct verify_facts *facts, struct failure *failure) {
    const struct verify_sample *sample = &verifier->held_out;
    const struct transform *transform = verifier->scene.transform;
    size_t most = sample->grid.count + verifier->whole.count + ERROR_BAR_CORNERS;
    CLEANUP_TRACKED struct fit_match *matches = tracked_alloc(most, sizeof(*matches), "matches");
    CLEANUP_TRACKED struct map_point *places = tracked_alloc(most, sizeof(*places), "matches");
    if (!matches || !places)
        return failure_set(failure, -ENOMEM, "no memory for %zu matches", most);
    const struct error_bar_sample drawn_from = {.matches = matches,
                                                .count = list_matches(verifier, in_place, matches),
                                                .places = places,
                                                .n_places = list_places(verifier, places),
                                                .model = transform_has_grid(transform) ? FIT_AFFINE
                                                         : verifier->whole.count > 0
                                                             ? verifier->whole.map.model
                                                             : verifier->refine.model,
                                                .rounds = ERROR_BAR_ROUNDS,
                                                .seed = verifier->context->params->seed};
    return error_bar_find(&drawn_from, &facts->error_bar, failure);
}

static double overlap_of(const struct verifier *verifier) {
    int inside = 0;
    double width = verifier->post.layout.width, height = verifier->post.layout.height;
    for (int y = 0; y < OVERLAP_STEPS; y++)
        for (int x = 0; x < OVERLAP_STEPS; x++) {
            struct map_point p =
                transform_apply(verifier->scene.transform, (x + 0.5) * width / OVERLAP_STEPS,
                                (y + 0.5) * height / OVERLAP_STEPS);
            inside += p.x >= 0 && p.y >= 0 && p.x < verifier->pre.layout.width &&
                      p.y < verifier->pre.layout.height;
        }
    return (double)inside / (OVERLAP_STEPS * OVERLAP_STEPS);
}

/* How well the map is known, by all tiles together; of a grid, or where these make no map, by the
 * held-out ones where they lie. */
static int look_inside(struct verifier *verifier, struct verify_facts *facts,
                       struct failure *failure) {
    const struct verify_sample *sample = &verifier->held_out;
    CLEANUP_TRACKED struct tile_shift *in_place =
        tracked_alloc(sample->grid.count + 1, sizeof(*in_place), "tiles");
    if (!in_place)
        return failure_set(failure, -ENOMEM, "no memory for %zu tiles", sample->grid.count);
    const struct tile_request stay = {.reach_px = STAY_PX, .stay = true};
    const bool is_one_map =
        verifier->refine.tile_px > 0 && !transform_has_grid(verifier->scene.transform);
    int r = 0;
    if (is_one_map)
        r = verify_whole_fit(&verifier->scene, verifier->refine.tile_px, verifier->refine.model,
                             (struct tiles_span){0.65, 0.68}, &verifier->whole, failure);
    if (r == 0 && verifier->whole.count == 0)
        r = tiles_measure_grid(verifier->crew, &sample->grid, verifier->scene.transform, &stay,
                               (struct tiles_span){0.65, 0.68}, in_place, failure);
    if (r == 0)
        r = find_error_bar(verifier, in_place, facts, failure);
    if (r == 0 && is_one_map)
        r = verify_whole_join(&verifier->scene, sample, &verifier->whole, &facts->error_bar,
                              failure);
    const struct transform whole = {.map = verifier->whole.map.map};
    bool is_whole = verifier->whole.count > 0 || verifier->whole.joined;
    if (r == 0)
        r = verify_content_measure(&verifier->scene, sample,
                                   is_whole ? &whole : verifier->scene.transform, &facts->content,
                                   failure);
    count_sectors(sample, verifier->whole.joined, facts);
    return r;
}

static int look_closely(struct verifier *verifier, struct verify_facts *facts,
                        struct failure *failure) {
    const struct verify_scene *scene = &verifier->scene;
    const struct verify_sample *held_out = &verifier->held_out;
    int r = measure_held_out(verifier, failure);
    if (r == 0)
        r = verify_null_measure(scene, held_out, agree_px(verifier), (struct tiles_span){0.25, 0.5},
                                &facts->null, failure);
    if (r == 0)
        r = judge_held_out(verifier, facts, failure);
    verifier->test_tiles = verify_tiles_write(held_out, scene->transform);
    if (r == 0)
        r = verify_planted_measure(scene, held_out, (struct tiles_span){0.5, 0.62}, &facts->planted,
                                   failure);
    if (r == 0)
        r = verify_pattern_measure(scene, held_out, (struct tiles_span){0.62, 0.65},
                                   &facts->pattern, failure);
    return r == 0 ? look_inside(verifier, facts, failure) : r;
}

/* A join that leads far from the map that was judged is judged itself. Its tiles had a part in it,
 * which tells little where hundreds of them hold a handful of figures. */
static int judge_joined(struct verifier *verifier, struct verify_facts *facts,
                        struct failure *failure) {
    verifier->refine.transform.map = verifier->whole.map.map;
    verifier->refine.model = verifier->whole.map.model;
    verify_sample_free(&verifier->held_out);
    verify_whole_free(&verifier->whole);
    json_decref(verifier->test_tiles);
    verifier->test_tiles = NULL;
    return look_closely(verifier, facts, failure);
}

static int look_from_afar(struct verifier *verifier, struct verify_facts *facts,
                          struct failure *failure) {
    const struct verify_scene *scene = &verifier->scene;
    struct verify_repeats fine = {0}, coarse = {0};
    int r = measure_coarse(verifier, failure);
    if (r == 0)
        r = judge_coarse(verifier, facts, failure);
    if (r == 0)
        r = verify_repeats_measure(scene, &verifier->held_out, facts->null.confident_from,
                                   (struct tiles_span){0.8, 0.85}, &fine, failure);
    if (r == 0)
        r = verify_repeats_measure(scene, &verifier->coarse, 0, (struct tiles_span){0.85, 0.9},
                                   &coarse, failure);
    facts->repeats = verify_repeats_worse(&fine, &coarse);
    if (r == 0)
        r = find_second(verifier, facts, failure);
    if (r == 0)
        r = verify_decoys_try(scene, &verifier->coarse, (struct tiles_span){0.9, 1}, &facts->decoys,
                              failure);
    return r;
}

static int gather_facts(struct verifier *verifier, struct verify_facts *facts,
                        struct failure *failure) {
    facts->refine = verifier->refine;
    facts->plausible =
        refine_is_plausible(&verifier->refine.transform, verifier->context->params,
                            verifier->post.layout.width, verifier->post.layout.height);
    facts->overlap = overlap_of(verifier);
    if (verifier->search.count > 0)
        facts->search_mirrored = verifier->search.mirrored.score;
    if (verifier->refine.reason[0])
        return 0;
    int r = look_closely(verifier, facts, failure);
    if (r == 0 && verifier->whole.joined &&
        facts->error_bar.offset_px > FAR_SHARE * verifier->context->params->max_residual_px)
        r = judge_joined(verifier, facts, failure);
    if (r == 0)
        r = look_from_afar(verifier, facts, failure);
    facts->joined = verifier->whole.joined;
    if (verifier->whole.count > 0 || facts->joined) { /* judged: the better one takes its place */
        verifier->refine.transform.map = verifier->whole.map.map;
        verifier->refine.model = verifier->whole.map.model;
    }
    return r;
}

static json_t *describe_error_bar(const struct error_bar *bar) {
    return json_pack("{s:[f,f,f,f],s:f,s:f,s:i}", "corners", bar->corners_px[0], bar->corners_px[1],
                     bar->corners_px[2], bar->corners_px[3], "tissue", bar->tissue_px, "offset",
                     bar->offset_px, "tiles", bar->tiles);
}

static json_t *describe_planted(const struct verify_planted *planted) {
    return json_pack("{s:f,s:f,s:i,s:i}", "slope_x", planted->slope_x, "slope_y", planted->slope_y,
                     "following", planted->following, "tiles", planted->tiles);
}

static json_t *describe_content(const struct verify_content *content) {
    return json_pack("{s:i,s:i,s:f,s:i,s:f,s:i}", "parts", content->parts, "inside",
                     content->inside, "fine_correlation", content->fine_correlation, "fine_parts",
                     content->fine_parts, "coarse_deviations", content->coarse_deviations,
                     "coarse_parts", content->coarse_parts);
}

static json_t *describe_evidence(const struct verify_facts *facts) {
    const struct verify_pattern *pattern = &facts->pattern;
    json_t *evidence = json_pack(
        "{s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:i,s:i,s:i,s:i,s:f,s:f,s:f}", "held_out", facts->held_out,
        "confident", facts->confident, "agreeing", facts->agreeing, "silent", facts->silent,
        "null_tiles", facts->null.tiles, "null_agreeing", facts->null.agreeing, "chance",
        facts->null.chance, "sectors", facts->sectors, "sectors_agreeing", facts->sectors_agreeing,
        "ambiguity_tested", facts->repeats.tested, "ambiguous", facts->repeats.ambiguous,
        "repeat_px", facts->repeats.distance_px, "coarse_median_px", facts->coarse_median_px,
        "overlap", facts->overlap);
    CLEANUP_JSON json_t *more = json_pack(
        "{s:i,s:i,s:i,s:f,s:f,s:f,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:b,s:i,s:i,s:f,s:f}",
        "coarse_tiles", facts->coarse_tiles, "coarse_heard", facts->coarse_heard, "coarse_agreeing",
        facts->coarse_agreeing, "search_score", facts->refine.search_score, "search_runner_up",
        facts->refine.search_runner_up, "search_mirrored", facts->search_mirrored, "votes",
        facts->refine.votes, "runner_up_votes", facts->refine.runner_up_votes, "mirrored_votes",
        facts->refine.mirrored_votes, "decoy_turned_votes", facts->decoys.turned.votes,
        "decoy_mirrored_votes", facts->decoys.mirrored.votes, "contradicting",
        facts->second.contradicting, "agreeing_elsewhere", facts->second.agreeing, "elsewhere_px",
        facts->second.distance_px, "still", pattern->still, "ground_tiles", pattern->ground,
        "ground_agreeing", pattern->ground_agreeing, "ground_shared", pattern->ground_shared,
        "tissue_shared", pattern->tissue_shared);
    if (!evidence || !more || json_object_update(evidence, more) < 0) {
        json_decref(evidence);
        return NULL;
    }
    return evidence;
}

static int describe(const struct verifier *verifier, const struct verify_facts *facts,
                    json_t **ret_verify, struct failure *failure) {
    char reason[VERIFY_REASON_BYTES];
    enum verify_status status = verify_decide(facts, verifier->context->params, reason);
    *ret_verify = json_pack(
        "{s:i,s:s,s:s,s:s,s:o,s:i,s:[I,I],s:[I,I],s:{s:f,s:f,s:i},s:o,s:o,s:o,s:o}", "version", 1,
        "status", verify_status_name(status), "reason", reason, "model",
        refine_model_name(&verifier->refine.transform, verifier->refine.model), "found_by",
        evidence_write(verifier->refine.found_by), "contrast", verifier->refine.inverted ? -1 : 1,
        "pre_size", (json_int_t)verifier->pre.layout.width, (json_int_t)verifier->pre.layout.height,
        "post_size", (json_int_t)verifier->post.layout.width,
        (json_int_t)verifier->post.layout.height, "residual_px", "median", facts->median_px, "p95",
        facts->p95_px, "tiles", facts->confident, "error_px", describe_error_bar(&facts->error_bar),
        "planted_shift", describe_planted(&facts->planted), "content",
        describe_content(&facts->content), "evidence", describe_evidence(facts));
    if (!*ret_verify)
        return failure_set(failure, -ENOMEM, "no memory for the verification's result");
    if (verifier->test_tiles)
        json_object_set(*ret_verify, VERIFY_TILES_MEMBER, verifier->test_tiles);
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
    verifier.pre.inverted = verifier.refine.inverted;
    if (r == 0)
        r = open_tiles(&verifier, &pair, failure);
    if (r == 0)
        r = gather_facts(&verifier, &facts, failure);
    return r == 0 ? describe(&verifier, &facts, ret_verify, failure) : r;
}
