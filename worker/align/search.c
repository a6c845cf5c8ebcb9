/* See search.h. One Fourier transform serves two candidates: the moving image as it is in the real
 * part and its mirror image in the imaginary part, since correlation is linear. */
#include "worker/align/search.h"

#include "common/json_read.h"
#include "worker/align/feature.h"
#include "worker/align/map_json.h"
#include "worker/align/parallel.h"
#include "worker/align/sample.h"
#include "worker/align/thumbnail.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum {
    PEAKS = 2,       /* kept of each candidate */
    PEAK_RADIUS = 6, /* px: nearer maxima belong to the same peak */
    TAPER_PX = 8,
};

static const double LEAST_NORM = 1e-9; /* an empty canvas must not divide by zero */
static const double PI = 3.14159265358979323846;
/* A candidate half a step off still overlaps the finest structure kept (4 px) at the image's
 * typical radius (a third of a side). */
static const double ANGLE_STEP_DEG = 3, SCALE_STEP = 0.05;
/* Hypotheses whose maps differ by less than this share of the side, on average, are one. */
static const double SAME_SHARE = 0.06;
static const struct feature_scales SCALES = {1.0, 6.0, 10.0};

struct peak {
    double score;
    int x, y; /* shift, px */
};

struct candidate {
    double angle_rad, scale;
    struct peak peaks[PEAKS], mirrored;
};

struct search {
    const struct align_context *context;
    struct thumbnail fixed, moving; /* features; the moving one whitened */
    int size;                       /* of the canvas, px a side */
    float *spectrum;                /* of the fixed image, whitened, complex */
    double fixed_norm;
    struct candidate *candidates;
    size_t n_candidates;
    size_t n_items; /* of work: a candidate, with the one turned by 180 degrees if any */
    float *canvases[PARALLEL_MAX_THREADS]; /* two for each thread, one behind the other */
    atomic_size_t done;
};

static void search_cleanup(struct search *search) {
    thumbnail_free(&search->fixed);
    thumbnail_free(&search->moving);
    tracked_free(search->spectrum);
    tracked_free(search->candidates);
    for (int i = 0; i < PARALLEL_MAX_THREADS; i++)
        tracked_free(search->canvases[i]);
}

/* Divides each coefficient by the root of its magnitude. */
static void half_whiten(float *spectrum, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float re = spectrum[2 * i], im = spectrum[2 * i + 1];
        float magnitude = sqrtf(re * re + im * im);
        float factor = magnitude > 1e-6F ? 1 / sqrtf(magnitude) : 0;
        spectrum[2 * i] = re * factor;
        spectrum[2 * i + 1] = im * factor;
    }
}

/* Puts the image into the middle of a complex canvas; returns its offset through *ret_x, *ret_y. */
static void place(const struct thumbnail *image, int size, float *canvas, int *ret_x, int *ret_y) {
    int left = (size - image->width) / 2, top = (size - image->height) / 2;
    memset(canvas, 0, 2 * sizeof(*canvas) * (size_t)size * (size_t)size);
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++)
            canvas[2 * ((size_t)(y + top) * (size_t)size + (size_t)(x + left))] =
                image->pixels[(size_t)y * (size_t)image->width + (size_t)x];
    *ret_x = left;
    *ret_y = top;
}

static int prepare_fixed(struct search *search, struct failure *failure) {
    int left, top;
    place(&search->fixed, search->size, search->spectrum, &left, &top);
    int r = bridge_dft(search->spectrum, search->size, search->size, false, failure);
    if (r < 0)
        return r;
    size_t count = (size_t)search->size * (size_t)search->size;
    half_whiten(search->spectrum, count);
    double power = 0;
    for (size_t i = 0; i < 2 * count; i++)
        power += (double)search->spectrum[i] * search->spectrum[i];
    search->fixed_norm = sqrt(power / (double)count); /* Parseval */
    return 0;
}

/* The whitening of the moving image turns with it, so once is enough. */
static int prepare_moving(struct search *search, struct failure *failure) {
    float *canvas = search->canvases[0];
    int left, top, size = search->size;
    place(&search->moving, size, canvas, &left, &top);
    int r = bridge_dft(canvas, size, size, false, failure);
    if (r < 0)
        return r;
    half_whiten(canvas, (size_t)size * (size_t)size);
    r = bridge_dft(canvas, size, size, true, failure);
    if (r < 0)
        return r;
    for (int y = 0; y < search->moving.height; y++)
        for (int x = 0; x < search->moving.width; x++)
            search->moving.pixels[(size_t)y * (size_t)search->moving.width + (size_t)x] =
                canvas[2 * ((size_t)(y + top) * (size_t)size + (size_t)(x + left))];
    return 0;
}

/* Canvas pixels to moving pixels, both about their centres, without shift. */
static struct map canvas_map(const struct search *search, double angle_rad, double scale,
                             bool mirror) {
    struct map map = map_similarity(angle_rad, scale, 0, 0);
    if (mirror)
        for (int i = 0; i < 3; i++)
            map.h[i] = -map.h[i];
    double centre_x = (search->size - search->fixed.width) / 2 + (search->fixed.width - 1) / 2.0;
    double centre_y = (search->size - search->fixed.height) / 2 + (search->fixed.height - 1) / 2.0;
    struct map_point p = map_apply(&map, centre_x, centre_y);
    map.h[2] = (search->moving.width - 1) / 2.0 - p.x;
    map.h[5] = (search->moving.height - 1) / 2.0 - p.y;
    return map;
}

/* Fills one part (0 real, 1 imaginary) of the canvas; returns the norm. */
static double fill_part(const struct search *search, const struct map *map, int part,
                        float *canvas) {
    const struct thumbnail *moving = &search->moving;
    struct sample_block block = {moving->pixels, 0, 0, moving->width, moving->height};
    size_t size = (size_t)search->size;
    double power = 0;
    float row[2 * SEARCH_SIDE_PX * 4];
    for (size_t y = 0; y < size; y++) {
        struct sample_window window = {0, (int)y, search->size, 1};
        sample_linear(&block, map, &window, row);
        for (size_t x = 0; x < size; x++) {
            canvas[2 * (y * size + x) + (size_t)part] = row[x];
            power += (double)row[x] * row[x];
        }
    }
    return sqrt(power);
}

/* A shift in -size/2 .. size/2 - 1. */
static int wrap(int shift, int size) {
    int wrapped = ((shift % size) + size) % size;
    return wrapped < size / 2 ? wrapped : wrapped - size;
}

/* The largest value of one part that is not near a peak already taken. A negative norm asks for the
 * largest value of the negative. */
static struct peak find_peak(const struct search *search, const float *canvas, int part,
                             const struct peak *taken, int n_taken, double norm) {
    int size = search->size;
    float best = -HUGE_VALF, sign = norm < 0 ? -1 : 1;
    struct peak peak = {0};
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            float value = sign * canvas[2 * ((size_t)y * (size_t)size + (size_t)x) + (size_t)part];
            if (value <= best)
                continue;
            int dx = wrap(x, size), dy = wrap(y, size);
            bool near = false;
            for (int i = 0; i < n_taken; i++)
                near |= abs(dx - taken[i].x) <= PEAK_RADIUS && abs(dy - taken[i].y) <= PEAK_RADIUS;
            if (near)
                continue;
            best = value;
            peak = (struct peak){value / fabs(norm), dx, dy};
        }
    return peak;
}

/* From a turn about pixel 0 to one about the fixed image's centre. */
static void move_to_centre(const struct search *search, struct peak *peak) {
    int size = search->size;
    int twice_x = 2 * ((size - search->fixed.width) / 2) + search->fixed.width - 1;
    int twice_y = 2 * ((size - search->fixed.height) / 2) + search->fixed.height - 1;
    peak->x = wrap(peak->x + twice_x, size);
    peak->y = wrap(peak->y + twice_y, size);
}

/* Correlates the canvas' spectrum with the fixed one. turned: with the moving image turned by 180
 * degrees, whose spectrum is the conjugate, about pixel 0; the peaks are moved to the centre. */
static int find_peaks(const struct search *search, const float *spectrum, bool turned,
                      double plain_norm, double mirror_norm, float *canvas,
                      struct candidate *candidate, struct failure *failure) {
    const float *fixed = search->spectrum;
    float sign = turned ? -1 : 1;
    int size = search->size;
    for (size_t i = 0; i < (size_t)size * (size_t)size; i++) { /* times the conjugate */
        float re = spectrum[2 * i], im = sign * spectrum[2 * i + 1];
        canvas[2 * i] = re * fixed[2 * i] + im * fixed[2 * i + 1];
        canvas[2 * i + 1] = im * fixed[2 * i] - re * fixed[2 * i + 1];
    }
    int r = bridge_dft(canvas, size, size, true, failure);
    if (r < 0)
        return r;
    for (int i = 0; i < PEAKS; i++)
        candidate->peaks[i] =
            find_peak(search, canvas, 0, candidate->peaks, i, plain_norm * search->fixed_norm);
    /* i times the mirror image, conjugated, is minus i times its conjugate */
    candidate->mirrored =
        find_peak(search, canvas, 1, NULL, 0, sign * mirror_norm * search->fixed_norm);
    if (turned) {
        for (int i = 0; i < PEAKS; i++)
            move_to_centre(search, &candidate->peaks[i]);
        move_to_centre(search, &candidate->mirrored);
    }
    return 0;
}

static int try_item(void *opaque, int thread, size_t item, struct failure *failure) {
    struct search *search = opaque;
    struct candidate *candidate = &search->candidates[item];
    float *spectrum = search->canvases[thread];
    float *canvas = spectrum + 2 * (size_t)search->size * (size_t)search->size;
    struct map plain = canvas_map(search, candidate->angle_rad, candidate->scale, false);
    struct map mirror = canvas_map(search, candidate->angle_rad, candidate->scale, true);
    double plain_norm = fmax(fill_part(search, &plain, 0, spectrum), LEAST_NORM);
    double mirror_norm = fmax(fill_part(search, &mirror, 1, spectrum), LEAST_NORM);
    int r = bridge_dft(spectrum, search->size, search->size, false, failure);
    if (r == 0)
        r = find_peaks(search, spectrum, false, plain_norm, mirror_norm, canvas, candidate,
                       failure);
    if (r == 0 && item + search->n_items < search->n_candidates)
        r = find_peaks(search, spectrum, true, plain_norm, mirror_norm, canvas,
                       candidate + search->n_items, failure);
    if (r < 0)
        return r;
    size_t done = atomic_fetch_add(&search->done, 1);
    return progress_set(search->context->progress,
                        0.1 + 0.9 * (double)done / (double)search->n_items);
}

/* Angles in order, all scales of each; when the search goes all round, the second half of the list
 * is the first one turned by 180 degrees. */
static int list_candidates(struct search *search, struct failure *failure) {
    const struct params *params = search->context->params;
    double range = params->angle_range_deg, ratio = log(params->scale_max / params->scale_min);
    bool all_round = range >= 180 - ANGLE_STEP_DEG / 2;
    int half = (int)ceil((all_round ? 180 : range) / ANGLE_STEP_DEG);
    int n_angles = all_round ? 2 * half : 2 * half + 1;
    int n_scales = (int)ceil(ratio / SCALE_STEP) + 1;
    search->n_candidates = (size_t)n_angles * (size_t)n_scales;
    search->n_items = all_round ? search->n_candidates / 2 : search->n_candidates;
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
    return 0;
}

/* A candidate's peak as a map of full-resolution pixels. */
static struct search_hypothesis to_hypothesis(const struct search *search,
                                              const struct candidate *candidate,
                                              const struct peak *peak, bool mirror) {
    int left = (search->size - search->fixed.width) / 2;
    int top = (search->size - search->fixed.height) / 2;
    struct map shift = {{1, 0, left + peak->x, 0, 1, top + peak->y, 0, 0, 1}};
    struct map turn = canvas_map(search, candidate->angle_rad, candidate->scale, mirror);
    struct map small = map_compose(&shift, &turn);
    struct map in = thumbnail_from_full(&search->fixed), up = thumbnail_to_full(&search->moving);
    struct map half = map_compose(&in, &small);
    return (struct search_hypothesis){.score = peak->score,
                                      .angle_rad = candidate->angle_rad,
                                      .scale = candidate->scale,
                                      .map = map_compose(&half, &up)};
}

/* Mean distance between two maps over the corners and the centre of the fixed image, px. */
static double map_distance(const struct map *a, const struct map *b, double width, double height) {
    const double at[5][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0.5, 0.5}};
    double sum = 0;
    for (int i = 0; i < 5; i++) {
        struct map_point p = map_apply(a, at[i][0] * width, at[i][1] * height);
        struct map_point q = map_apply(b, at[i][0] * width, at[i][1] * height);
        sum += hypot(p.x - q.x, p.y - q.y) / 5;
    }
    return sum;
}

struct ranked {
    double score;
    size_t candidate;
    int peak;
};

static int compare_ranked(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->candidate > y->candidate) - (x->candidate < y->candidate); /* the same every time */
}

static int choose_hypotheses(const struct search *search, struct search_result *result,
                             struct failure *failure) {
    size_t count = search->n_candidates * PEAKS;
    CLEANUP_TRACKED struct ranked *ranked = tracked_alloc(count, sizeof(*ranked), "candidates");
    if (!ranked)
        return failure_set(failure, -ENOMEM, "no memory for %zu candidates", count);
    result->mirrored.score = -HUGE_VAL;
    for (size_t i = 0; i < search->n_candidates; i++) {
        const struct candidate *candidate = &search->candidates[i];
        for (int p = 0; p < PEAKS; p++)
            ranked[i * PEAKS + (size_t)p] = (struct ranked){candidate->peaks[p].score, i, p};
        if (candidate->mirrored.score > result->mirrored.score)
            result->mirrored = to_hypothesis(search, candidate, &candidate->mirrored, true);
    }
    qsort(ranked, count, sizeof(*ranked), compare_ranked);
    double width = search->fixed.width * search->fixed.pitch;
    double height = search->fixed.height * search->fixed.pitch;
    for (size_t i = 0; i < count && result->count < SEARCH_MAX_HYPOTHESES; i++) {
        const struct candidate *candidate = &search->candidates[ranked[i].candidate];
        struct search_hypothesis next =
            to_hypothesis(search, candidate, &candidate->peaks[ranked[i].peak], false);
        bool same = false;
        for (int j = 0; j < result->count && !same; j++)
            same = map_distance(&next.map, &result->hypotheses[j].map, width, height) <
                   SAME_SHARE * fmax(width, height);
        if (!same)
            result->hypotheses[result->count++] = next;
    }
    return 0;
}

static int run(struct search *search, struct search_result *result, struct failure *failure) {
    int longest = 0;
    const int sides[] = {search->fixed.width, search->fixed.height, search->moving.width,
                         search->moving.height};
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        longest = sides[i] > longest ? sides[i] : longest;
    search->size = bridge_dft_size(longest * 7 / 4);
    size_t floats = 2 * (size_t)search->size * (size_t)search->size;
    int threads = parallel_threads(search->context->threads);
    search->spectrum = tracked_alloc(floats, sizeof(float), "spectrum");
    bool complete = search->spectrum != NULL;
    for (int i = 0; i < threads; i++) {
        search->canvases[i] = tracked_alloc(2 * floats, sizeof(float), "correlation canvas");
        complete &= search->canvases[i] != NULL;
    }
    if (!complete)
        return failure_set(failure, -ENOMEM, "no memory to correlate %d x %d px on %d threads",
                           search->size, search->size, threads);
    int r = prepare_fixed(search, failure);
    if (r == 0)
        r = prepare_moving(search, failure);
    if (r == 0)
        r = list_candidates(search, failure);
    if (r == 0)
        r = parallel_run(search->n_items, threads, try_item, search, failure);
    return r == 0 ? choose_hypotheses(search, result, failure) : r;
}

/* A thumbnail's features. *ret_blank: nothing in it rises above the flat ground. */
static int make_features(const struct survey *survey, struct thumbnail *thumbnail, bool *ret_blank,
                         struct failure *failure) {
    size_t count = (size_t)thumbnail->width * (size_t)thumbnail->height;
    CLEANUP_TRACKED float *scratch = tracked_alloc(count, sizeof(float), "features");
    if (!scratch)
        return failure_set(failure, -ENOMEM, "no memory for features");
    feature_tone(survey, thumbnail->pixels, count);
    int r = feature_local(thumbnail->pixels, thumbnail->width, thumbnail->height, &SCALES, scratch,
                          failure);
    if (r < 0)
        return r;
    double power = 0;
    for (size_t i = 0; i < count; i++)
        power += (double)thumbnail->pixels[i] * thumbnail->pixels[i];
    *ret_blank = power < 1e-3 * (double)count;
    feature_taper(thumbnail->pixels, thumbnail->width, thumbnail->height, TAPER_PX);
    return 0;
}

static bool too_small(const struct survey *survey) {
    return survey->layout.width < SEARCH_LEAST_SIDE_PX ||
           survey->layout.height < SEARCH_LEAST_SIDE_PX;
}

static int run_on_images(struct search *search, const struct survey *pre, const struct survey *post,
                         struct search_result *result, struct failure *failure) {
    if (too_small(pre) || too_small(post)) {
        const struct survey *small = too_small(pre) ? pre : post;
        (void)snprintf(result->reason, sizeof(result->reason),
                       "the %s image is too small to align: %u x %u px; both sides need at least "
                       "%d px",
                       small == pre ? "pre" : "post", small->layout.width, small->layout.height,
                       SEARCH_LEAST_SIDE_PX);
        return 0;
    }
    bool pre_blank = false, post_blank = false;
    double pitch = thumbnail_pitch(&pre->layout, &post->layout, SEARCH_SIDE_PX);
    int r = thumbnail_load(search->context, "pre", pre, pitch, &search->moving, failure);
    if (r == 0)
        r = thumbnail_load(search->context, "post", post, pitch, &search->fixed, failure);
    if (r == 0)
        r = make_features(pre, &search->moving, &pre_blank, failure);
    if (r == 0)
        r = make_features(post, &search->fixed, &post_blank, failure);
    if (r < 0)
        return r;
    if (pre_blank || post_blank) {
        (void)snprintf(result->reason, sizeof(result->reason),
                       "the %s image is blank: nothing in it stands out from the background",
                       pre_blank ? "pre" : "post");
        return 0;
    }
    return run(search, result, failure);
}

static json_t *hypothesis_to_json(const struct search_hypothesis *hypothesis) {
    return json_pack("{s:f,s:f,s:f,s:o}", "score", hypothesis->score, "angle_deg",
                     hypothesis->angle_rad * 180 / PI, "scale", hypothesis->scale, "post_to_pre",
                     map_json_write(&hypothesis->map));
}

int align_search(const struct align_context *context, const json_t *pre_survey,
                 const json_t *post_survey, json_t **ret_search, struct failure *failure) {
    struct survey pre, post;
    int r = survey_read(pre_survey, "the pre survey", &pre, failure);
    if (r == 0)
        r = survey_read(post_survey, "the post survey", &post, failure);
    if (r < 0)
        return r;
    CLEANUP(search_cleanup) struct search search = {.context = context};
    struct search_result result = {0};
    r = run_on_images(&search, &pre, &post, &result, failure);
    if (r < 0)
        return r;
    CLEANUP_JSON json_t *hypotheses = json_array();
    for (int i = 0; i < result.count; i++)
        if (json_array_append_new(hypotheses, hypothesis_to_json(&result.hypotheses[i])) < 0)
            return failure_set(failure, -ENOMEM, "no memory for the search's result");
    *ret_search =
        result.count > 0
            ? json_pack("{s:I,s:O,s:o}", "candidates", (json_int_t)search.n_candidates,
                        "hypotheses", hypotheses, "mirrored", hypothesis_to_json(&result.mirrored))
            : json_pack("{s:s,s:O}", "reason", result.reason, "hypotheses", hypotheses);
    return *ret_search ? 0 : failure_set(failure, -ENOMEM, "no memory for the search's result");
}

static int hypothesis_read(const json_t *value, struct search_hypothesis *ret,
                           struct failure *failure) {
    double angle_deg = 0;
    int r = json_read_number(value, "score", "search", &ret->score, failure);
    if (r == 0)
        r = json_read_number(value, "angle_deg", "search", &angle_deg, failure);
    if (r == 0)
        r = json_read_number(value, "scale", "search", &ret->scale, failure);
    if (r == 0)
        r = map_json_read(json_object_get(value, "post_to_pre"), "search", &ret->map, failure);
    ret->angle_rad = angle_deg * PI / 180;
    return r;
}

int search_read(const json_t *checkpoint, struct search_result *ret, struct failure *failure) {
    struct search_result result = {0};
    const json_t *hypotheses = json_object_get(checkpoint, "hypotheses");
    if (!json_is_array(hypotheses) || json_array_size(hypotheses) > SEARCH_MAX_HYPOTHESES)
        return failure_set(failure, -EINVAL, "search: hypotheses must be a list of at most %d",
                           SEARCH_MAX_HYPOTHESES);
    for (size_t i = 0; i < json_array_size(hypotheses); i++) {
        int r = hypothesis_read(json_array_get(hypotheses, i), &result.hypotheses[result.count++],
                                failure);
        if (r < 0)
            return r;
    }
    const char *reason = json_string_value(json_object_get(checkpoint, "reason"));
    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason ? reason : "");
    if (result.count > 0) {
        int r = hypothesis_read(json_object_get(checkpoint, "mirrored"), &result.mirrored, failure);
        if (r < 0)
            return r;
    }
    *ret = result;
    return 0;
}
