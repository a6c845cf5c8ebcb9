/* See search.h. Coarse to fine: the sweep's best places, of each kind all different, are climbed
 * from at the finest size; what the climbs reach is sorted by score. */
#include "worker/align/search.h"

#include "worker/align/correlator.h"
#include "worker/align/parallel.h"
#include "worker/memory/tracked.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* How many places of each kind are climbed from. A pair at the edge of what can be solved was seen
 * at the fourth place of the sweep, and at the first one after the climb. */
enum {
    PLAIN_CLIMBS = 40,
    SECOND_CLIMBS = 100, /* of the second sweep */
    MIRRORED_CLIMBS = 12,
    INVERTED_CLIMBS = 8,
    MOST_INVERTED = 3,     /* hypotheses */
    PIXEL_SIZE_CLIMBS = 2, /* of the magnification that the files' tags tell */
    OTHERS = 2 * EVIDENCE_MOST_PLACES,
    MOST_PLACES = SECOND_CLIMBS + MIRRORED_CLIMBS + INVERTED_CLIMBS + PIXEL_SIZE_CLIMBS + OTHERS,
};

static const double PI = 3.14159265358979323846;
/* Places whose maps differ by less than this share of the side, on average, are one: before the
 * climb, and after it. */
static const double NEAR_SHARE = 0.1, SAME_SHARE = 0.06;
static const struct feature_scales FINE_SCALES = {0.7, 4.0, 8.0};
/* How a sweep looks. A candidate half a step off still overlaps the finest structure kept (4 px) at
 * the image's typical radius (a third of a side). */
struct sweep {
    int side_px;
    struct feature_scales scales;
    double angle_step_deg, scale_step;
    size_t climbs;         /* of the plain kind */
    double progress_to[2]; /* of the sweep and of the climbs */
};
static const struct sweep FIRST = {.side_px = SEARCH_SWEEP_SIDE_PX,
                                   .scales = {0.7, 3.3, 5.5},
                                   .angle_step_deg = 5,
                                   .scale_step = 0.085,
                                   .climbs = PLAIN_CLIMBS,
                                   .progress_to = {0.3, 0.4}};
static const struct sweep SECOND = {
    .side_px = SEARCH_SECOND_SIDE_PX,
    .scales = {0.7, 4.0, 8.0},
    .angle_step_deg = 5.0 * SEARCH_SWEEP_SIDE_PX / SEARCH_SECOND_SIDE_PX,
    .scale_step = 0.085 * SEARCH_SWEEP_SIDE_PX / SEARCH_SECOND_SIDE_PX,
    .climbs = SECOND_CLIMBS,
    .progress_to = {0.8, 1}};
/* The best place stands out when it scores so much more than the next one and than the mirrored. */
static const double STANDS_OUT = 1.3;
/* Then key points, the dearest evidence, are not asked: times the next score, and the score. */
static const double STANDS_OUT_ALONE = 4, CLEAR_SCORE = 0.5;

struct candidate {
    double angle_rad, scale;
    struct correlator_sweep found;
};

/* A place of the sweep, and what the climb makes of it. */
struct place {
    struct map map; /* full resolution */
    double score;
    unsigned found_by;
    bool inverted;
    bool exact;                  /* as good as it gets without the referee: not climbed from */
    struct correlator_pose pose; /* of the fine correlator */
};

struct search {
    const struct align_context *context;
    const struct survey *pre, *post;
    double pixel_size; /* evidence_pixel_size */
    struct correlator *sweeper, *fine;
    const struct sweep *sweep; /* at present */
    double progress_from, progress_to;
    struct candidate *candidates;
    size_t n_candidates;
    size_t n_items; /* of work: a candidate, with the one turned by 180 degrees if any */
    struct place places[MOST_PLACES];
    size_t n_places, n_climbed;
    struct evidence_places features, boundary;
    struct correlator_steps steps;
    atomic_size_t done;
};

static void search_cleanup(struct search *search) {
    correlator_close(search->sweeper);
    correlator_close(search->fine);
    tracked_free(search->candidates);
}

static int open_correlator(const struct search *search, int side_px,
                           const struct feature_scales *scales, struct correlator **ret,
                           const char **ret_blank, struct failure *failure) {
    struct correlator_images images = {.post = search->post,
                                       .pre = search->pre,
                                       .scales = *scales,
                                       .threads = search->context->threads};
    double pitch = thumbnail_pitch(&search->pre->layout, &search->post->layout, side_px);
    int r = thumbnail_load(search->context, "pre", search->pre, pitch, &images.moving, failure);
    if (r == 0)
        r = thumbnail_load(search->context, "post", search->post, pitch, &images.fixed, failure);
    if (r == 0)
        r = correlator_open(&images, ret, ret_blank, failure);
    thumbnail_free(&images.fixed);
    thumbnail_free(&images.moving);
    return r;
}

/* --- sweep --- */

/* Angles in order, all scales of each; when the search goes all round, the second half of the list
 * is the first one turned by 180 degrees. */
static int list_candidates(struct search *search, struct failure *failure) {
    const struct params *params = search->context->params;
    double range = params->angle_range_deg, ratio = log(params->scale_max / params->scale_min);
    bool all_round = range >= 180 - search->sweep->angle_step_deg / 2;
    int half = (int)ceil((all_round ? 180 : range) / search->sweep->angle_step_deg);
    int n_angles = all_round ? 2 * half : 2 * half + 1;
    int n_scales = (int)ceil(ratio / search->sweep->scale_step) + 1;
    search->n_candidates = (size_t)n_angles * (size_t)n_scales;
    search->n_items = all_round ? search->n_candidates / 2 : search->n_candidates;
    tracked_free(search->candidates);
    search->candidates =
        tracked_alloc(search->n_candidates, sizeof(*search->candidates), "candidates");
    if (!search->candidates)
        return failure_set(failure, -ENOMEM, "no memory for %zu candidates", search->n_candidates);
    for (int i = 0; i < n_angles; i++)
        for (int j = 0; j < n_scales; j++) {
            double turn_deg = all_round  ? 180.0 * i / half - 180
                              : half > 0 ? range * (i - half) / half
                                         : 0;
            double along = n_scales > 1 ? (double)j / (n_scales - 1) : 0.5;
            search->candidates[i * n_scales + j] = (struct candidate){
                .angle_rad = turn_deg * PI / 180, .scale = params->scale_min * exp(along * ratio)};
        }
    search->steps = (struct correlator_steps){
        .angle_rad = search->sweep->angle_step_deg / 2 * PI / 180,
        .scale_ratio = exp(search->sweep->scale_step / 2),
        .angle_limit_rad = all_round ? 2 * PI : range * PI / 180 + 1e-9,
        .scale_min = params->scale_min * (1 - 1e-9),
        .scale_max = params->scale_max * (1 + 1e-9),
        .rounds = 2,
    };
    return 0;
}

static int tell_progress(struct search *search, size_t items) {
    size_t done = atomic_fetch_add(&search->done, 1) + 1;
    double from = search->progress_from, to = search->progress_to;
    return progress_set(search->context->progress,
                        from + (to - from) * (double)done / (double)items);
}

/* The next work takes the stage from where the last one brought it. */
static void begin(struct search *search, double progress_to) {
    search->progress_from = search->progress_to;
    search->progress_to = progress_to;
    atomic_store(&search->done, 0);
}

static int sweep_item(void *opaque, int thread, size_t item, struct failure *failure) {
    struct search *search = opaque;
    struct candidate *candidate = &search->candidates[item];
    bool pair = item + search->n_items < search->n_candidates;
    int r = correlator_sweep(search->sweeper, thread, candidate->angle_rad, candidate->scale,
                             &candidate->found, pair ? &candidate[search->n_items].found : NULL,
                             failure);
    return r == 0 ? tell_progress(search, search->n_items) : r;
}

/* --- places --- */

/* Mean distance between two maps over the corners and the centre of the fixed image, as a share of
 * its longer side. */
static double map_distance(const struct search *search, const struct map *a, const struct map *b) {
    const double at[5][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0.5, 0.5}};
    double width = search->post->layout.width, height = search->post->layout.height, sum = 0;
    for (int i = 0; i < 5; i++) {
        struct map_point p = map_apply(a, at[i][0] * width, at[i][1] * height);
        struct map_point q = map_apply(b, at[i][0] * width, at[i][1] * height);
        sum += hypot(p.x - q.x, p.y - q.y) / 5;
    }
    return sum / fmax(width, height);
}

static bool is_near_any(const struct search *search, const struct map *map,
                        const struct place *places, size_t count, double share) {
    for (size_t i = 0; i < count; i++)
        if (map_distance(search, map, &places[i].map) < share)
            return true;
    return false;
}

struct ranked {
    double score;
    size_t index;
};

static int compare_ranked(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index); /* the same every time */
}

enum kind { PLAIN, MIRRORED, INVERTED, OF_PIXEL_SIZE };

static const struct correlator_pose *pose_of(const struct candidate *candidate, enum kind kind,
                                             size_t i) {
    return kind == MIRRORED   ? &candidate->found.mirrored
           : kind == INVERTED ? &candidate->found.inverted
                              : &candidate->found.peaks[i];
}

static bool is_of_kind(const struct search *search, const struct correlator_pose *pose,
                       enum kind kind) {
    return kind != OF_PIXEL_SIZE ||
           (search->pixel_size > 0 &&
            fabs(log(pose->scale / search->pixel_size)) < search->sweep->scale_step);
}

/* The best places of one kind, all different, join those to climb from. */
static int choose_places(struct search *search, enum kind kind, size_t most,
                         struct failure *failure) {
    size_t each = kind == MIRRORED || kind == INVERTED ? 1 : CORRELATOR_PEAKS;
    size_t count = search->n_candidates * each;
    CLEANUP_TRACKED struct ranked *ranked = tracked_alloc(count, sizeof(*ranked), "candidates");
    if (!ranked)
        return failure_set(failure, -ENOMEM, "no memory for %zu candidates", count);
    for (size_t i = 0; i < count; i++)
        ranked[i] =
            (struct ranked){pose_of(&search->candidates[i / each], kind, i % each)->score, i};
    qsort(ranked, count, sizeof(*ranked), compare_ranked);
    struct place *places = search->places + search->n_places;
    enum evidence evidence = kind == OF_PIXEL_SIZE ? EVIDENCE_PIXEL_SIZE : EVIDENCE_CORRELATION;
    size_t n = 0;
    for (size_t i = 0; i < count && n < most; i++) {
        size_t index = ranked[i].index;
        const struct correlator_pose *pose =
            pose_of(&search->candidates[index / each], kind, index % each);
        if (!is_of_kind(search, pose, kind))
            continue;
        struct map map = correlator_map(search->sweeper, pose);
        if (!is_near_any(search, &map, places, n, NEAR_SHARE))
            places[n++] = (struct place){.map = map,
                                         .score = pose->score,
                                         .found_by = 1U << evidence,
                                         .inverted = kind == INVERTED};
    }
    search->n_places += n;
    return 0;
}

static void add_places(struct search *search, const struct evidence_places *found,
                       enum evidence evidence, bool exact) {
    for (int i = 0; i < found->count; i++)
        search->places[search->n_places++] =
            (struct place){.map = found->maps[i], .found_by = 1U << evidence, .exact = exact};
}

static int climb_item(void *opaque, int thread, size_t item, struct failure *failure) {
    (void)failure; /* nothing in it can fail but being told to stop */
    struct search *search = opaque;
    struct place *place = &search->places[search->n_climbed + item];
    struct correlator_steps steps = search->steps;
    place->pose = correlator_pose(search->fine, &place->map);
    place->pose.inverted = place->inverted;
    steps.rounds = place->exact ? 0 : steps.rounds;
    correlator_climb(search->fine, thread, &steps, &place->pose);
    if (!place->exact)
        place->map = correlator_map(search->fine, &place->pose);
    place->score = place->pose.score;
    return tell_progress(search, search->n_places);
}

/* --- the result --- */

static struct search_hypothesis to_hypothesis(const struct place *place) {
    return (struct search_hypothesis){.score = place->score,
                                      .angle_rad = place->pose.angle_rad,
                                      .scale = place->pose.scale,
                                      .map = place->map,
                                      .inverted = place->inverted,
                                      .found_by = place->found_by};
}

/* The place joins those taken; at one that was taken before, only what found it does, and an exact
 * map takes the place of a rough one. */
static void take(const struct search *search, const struct place *place, size_t most,
                 struct place *taken, size_t *count) {
    for (size_t i = 0; i < *count; i++)
        if (place->inverted == taken[i].inverted &&
            map_distance(search, &place->map, &taken[i].map) < SAME_SHARE) {
            taken[i].found_by |= place->found_by;
            if (place->exact && !taken[i].exact)
                taken[i].map = place->map;
            taken[i].exact |= place->exact;
            return;
        }
    if (*count < most)
        taken[(*count)++] = *place;
}

enum group { COMMON, INVERSE, RARE };

static enum group group_of(const struct place *place) {
    bool rare = (place->found_by & ~(1U << EVIDENCE_CORRELATION)) != 0;
    return place->inverted ? INVERSE : rare ? RARE : COMMON;
}

/* The group's places, best first, join those taken while these are fewer than most. */
static void take_group(const struct search *search, enum group group, const struct ranked *ranked,
                       size_t most, struct place *taken, size_t *count) {
    for (size_t i = 0; i < search->n_places; i++) {
        const struct place *place = &search->places[ranked[i].index];
        if (!place->pose.mirrored && group_of(place) == group)
            take(search, place, most, taken, count);
    }
}

/* By score, with room kept for what is not correlation's, where the score counts for little, and
 * for inverted contrast. */
static void choose_hypotheses(const struct search *search, struct search_result *result) {
    struct ranked ranked[MOST_PLACES] = {{0}};
    size_t n_rare = 0, count = 0;
    for (size_t i = 0; i < search->n_places; i++) {
        ranked[i] = (struct ranked){search->places[i].score, i};
        n_rare += group_of(&search->places[i]) == RARE;
    }
    qsort(ranked, search->n_places, sizeof(*ranked), compare_ranked);
    struct place taken[SEARCH_MAX_HYPOTHESES];
    size_t most = SEARCH_MAX_HYPOTHESES;
    take_group(search, COMMON, ranked, most - n_rare - MOST_INVERTED, taken, &count);
    take_group(search, INVERSE, ranked, count + MOST_INVERTED, taken, &count);
    take_group(search, RARE, ranked, most, taken, &count);
    take_group(search, COMMON, ranked, most, taken, &count);
    for (size_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){taken[i].score, i};
    qsort(ranked, count, sizeof(*ranked), compare_ranked);
    for (size_t i = 0; i < count; i++)
        result->hypotheses[result->count++] = to_hypothesis(&taken[ranked[i].index]);
}

static void choose_mirrored(const struct search *search, struct search_result *result) {
    const struct place *best = NULL;
    for (size_t i = 0; i < search->n_places; i++) {
        const struct place *place = &search->places[i];
        if (place->pose.mirrored && (!best || place->score > best->score))
            best = place;
    }
    if (best)
        result->mirrored = to_hypothesis(best);
}

static int sweep_all(struct search *search, struct failure *failure) {
    begin(search, search->sweep->progress_to[0]);
    int threads = parallel_threads(search->context->threads);
    int r = parallel_run(search->n_items, threads, sweep_item, search, failure);
    search->n_places = search->n_climbed = 0;
    if (r == 0)
        r = choose_places(search, PLAIN, search->sweep->climbs, failure);
    if (r == 0)
        r = choose_places(search, MIRRORED, MIRRORED_CLIMBS, failure);
    if (r == 0)
        r = choose_places(search, INVERTED, INVERTED_CLIMBS, failure);
    return r == 0 ? choose_places(search, OF_PIXEL_SIZE, PIXEL_SIZE_CLIMBS, failure) : r;
}

static void close_sweeper(struct search *search) {
    correlator_close(search->sweeper);
    search->sweeper = NULL;
}

/* From the places that are new. */
static int climb_all(struct search *search, struct failure *failure) {
    begin(search, search->sweep->progress_to[1]);
    int r = parallel_run(search->n_places - search->n_climbed,
                         parallel_threads(search->context->threads), climb_item, search, failure);
    search->n_climbed = search->n_places;
    return r;
}

/* Sweeps, and climbs from the best places and from where other evidence points. *ret_blank: NULL,
 * or as of correlator_open; then the places are left alone. */
static int look(struct search *search, const struct sweep *sweep, const char **ret_blank,
                struct failure *failure) {
    close_sweeper(search);
    search->sweep = sweep;
    int r = open_correlator(search, sweep->side_px, &sweep->scales, &search->sweeper, ret_blank,
                            failure);
    if (r < 0 || *ret_blank)
        return r;
    r = list_candidates(search, failure);
    if (r == 0)
        r = sweep_all(search, failure);
    if (r < 0)
        return r;
    add_places(search, &search->features, EVIDENCE_FEATURES, true);
    add_places(search, &search->boundary, EVIDENCE_BOUNDARY, false);
    return climb_all(search, failure);
}

/* Whether one place is so many times better than chance, as the mirrored and all others show it. */
static bool one_stands_out(const struct search *search, double times, double least) {
    const struct place *best = &search->places[0];
    for (size_t i = 1; i < search->n_places; i++)
        if (!search->places[i].pose.mirrored && search->places[i].score > best->score)
            best = &search->places[i];
    double next = 0;
    for (size_t i = 0; i < search->n_places; i++) {
        const struct place *place = &search->places[i];
        bool other = place->pose.mirrored || place->inverted != best->inverted ||
                     map_distance(search, &place->map, &best->map) >= SAME_SHARE;
        if (other)
            next = fmax(next, place->score);
    }
    return best->score > times * next && best->score >= least;
}

static int run(struct search *search, struct search_result *result, const char **ret_blank,
               struct failure *failure) {
    int r =
        open_correlator(search, SEARCH_SIDE_PX, &FINE_SCALES, &search->fine, ret_blank, failure);
    if (r < 0 || *ret_blank)
        return r;
    const struct evidence_pair pair = {search->context, search->pre, search->post};
    r = evidence_boundary(&pair, &search->boundary, failure);
    if (r == 0)
        r = look(search, &FIRST, ret_blank, failure);
    if (r < 0 || *ret_blank)
        return r;
    if (!one_stands_out(search, STANDS_OUT_ALONE, CLEAR_SCORE)) {
        close_sweeper(search); /* room for key points */
        r = evidence_features(&pair, &search->features, failure);
        add_places(search, &search->features, EVIDENCE_FEATURES, true);
        if (r == 0)
            r = climb_all(search, failure);
    }
    const char *blank = NULL; /* at another size: what was found before stays */
    if (r == 0 && !one_stands_out(search, STANDS_OUT, 0) && !search->features.sure)
        r = look(search, &SECOND, &blank, failure);
    if (r < 0)
        return r;
    choose_hypotheses(search, result);
    choose_mirrored(search, result);
    return 0;
}

static bool too_small(const struct survey *survey) {
    return survey->layout.width < SEARCH_LEAST_SIDE_PX ||
           survey->layout.height < SEARCH_LEAST_SIDE_PX;
}

static int run_on_images(struct search *search, struct search_result *result,
                         struct failure *failure) {
    const struct survey *pre = search->pre, *post = search->post;
    if (too_small(pre) || too_small(post)) {
        const struct survey *small = too_small(pre) ? pre : post;
        (void)snprintf(result->reason, sizeof(result->reason),
                       "the %s image is too small to align: %u x %u px; both sides need at least "
                       "%d px",
                       small == pre ? "pre" : "post", small->layout.width, small->layout.height,
                       SEARCH_LEAST_SIDE_PX);
        return 0;
    }
    const char *blank = NULL;
    int r = run(search, result, &blank, failure);
    if (r == 0 && blank)
        (void)snprintf(result->reason, sizeof(result->reason),
                       "the %s image is blank: nothing in it stands out from the background",
                       blank);
    return r;
}

int align_search(const struct align_context *context, const json_t *pre_survey,
                 const json_t *post_survey, json_t **ret_search, struct failure *failure) {
    struct survey pre, post;
    int r = survey_read(pre_survey, "the pre survey", &pre, failure);
    if (r == 0)
        r = survey_read(post_survey, "the post survey", &post, failure);
    if (r < 0)
        return r;
    CLEANUP(search_cleanup)
    struct search search = {.context = context,
                            .pre = &pre,
                            .post = &post,
                            .pixel_size = evidence_pixel_size(image_get_info(context->pre),
                                                              image_get_info(context->post))};
    struct search_result result = {0};
    r = run_on_images(&search, &result, failure);
    return r == 0 ? search_write(&result, ret_search, failure) : r;
}
