/* See evidence.h. A match is the nearest descriptor that is clearly nearer than the next one (Lowe
 * 2004). Every two matches define a similarity; those whose turn and magnification contradict the
 * key points' own, or what is searched, are passed over, and the rest are scored by how many
 * matches agree: no chance in it, so no seed. */
#include "worker/align/evidence.h"

#include "worker/align/feature.h"
#include "worker/align/fit.h"
#include "worker/align/thumbnail.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>

enum {
    SIDE_PX = 512,
    MOST_KEYPOINTS = 1500,
    MOST_MATCHES = 400,
    LEAST_AGREEING = 5,
    FARTHEST_APART_PX = 400,
    LEAST_APART_PX = 12, /* nearer key points say nothing about the turn */
};

static const double PI = 3.14159265358979323846;
static const double CLEARLY_NEARER = 0.9;
static const double AGREE_PX = 4;
static const double TURN_SLACK = 0.35; /* rad: how exactly key points know their orientation */
static const double SCALE_SLACK = 0.1; /* beyond the scales searched: images may be sheared */

struct match {
    struct fit_match points; /* of the thumbnails */
    double turn_rad;         /* of the moving key point against the fixed one */
    double ratio;            /* of distances: less is surer */
};

struct matches {
    struct match *list; /* surest first */
    size_t count;
};

static void matches_cleanup(struct matches *matches) { tracked_free(matches->list); }

struct keypoints {
    struct bridge_keypoint *list;
    size_t count;
};

static void keypoints_cleanup(struct keypoints *keypoints) { tracked_free(keypoints->list); }

/* The image's tone as 8 bit, and its key points. */
static int find_keypoints(const struct evidence_pair *pair, const char *which,
                          const struct survey *survey, struct thumbnail *ret_thumbnail,
                          struct keypoints *ret, struct failure *failure) {
    double pitch = thumbnail_pitch(&pair->pre->layout, &pair->post->layout, SIDE_PX);
    int r = thumbnail_load(pair->context, which, survey, pitch, ret_thumbnail, failure);
    if (r < 0)
        return r;
    size_t count = (size_t)ret_thumbnail->width * (size_t)ret_thumbnail->height;
    feature_tone(survey, ret_thumbnail->pixels, count);
    CLEANUP_TRACKED unsigned char *tone = tracked_alloc(count, 1, "key points");
    ret->list = tracked_alloc(MOST_KEYPOINTS, sizeof(*ret->list), "key points");
    if (!tone || !ret->list)
        return failure_set(failure, -ENOMEM, "no memory for key points");
    for (size_t i = 0; i < count; i++)
        tone[i] = (unsigned char)lrintf(255 * ret_thumbnail->pixels[i]);
    return bridge_keypoints(tone, ret_thumbnail->width, ret_thumbnail->height, MOST_KEYPOINTS,
                            ret->list, &ret->count, failure);
}

__attribute__((target_clones("popcnt", "default"))) static int
distance(const struct bridge_keypoint *a, const struct bridge_keypoint *b) {
    int bits = 0;
    for (int i = 0; i < BRIDGE_DESCRIPTOR_WORDS; i++)
        bits += __builtin_popcountll(a->descriptor[i] ^ b->descriptor[i]);
    return bits;
}

static int compare_matches(const void *a, const void *b) {
    const struct match *x = a, *y = b;
    if (x->ratio != y->ratio)
        return x->ratio < y->ratio ? -1 : 1;
    if (x->points.y != y->points.y)
        return x->points.y < y->points.y ? -1 : 1;
    return (x->points.x > y->points.x) - (x->points.x < y->points.x);
}

static int match_keypoints(const struct keypoints *fixed, const struct keypoints *moving,
                           struct matches *ret, struct failure *failure) {
    ret->list = tracked_alloc(fixed->count + 1, sizeof(*ret->list), "key points");
    if (!ret->list)
        return failure_set(failure, -ENOMEM, "no memory for %zu matches", fixed->count);
    for (size_t i = 0; i < fixed->count && moving->count >= 2; i++) {
        const struct bridge_keypoint *a = &fixed->list[i], *b = NULL;
        int nearest = INT32_MAX, next = INT32_MAX;
        for (size_t j = 0; j < moving->count; j++) {
            int bits = distance(a, &moving->list[j]);
            if (bits < nearest) {
                next = nearest;
                nearest = bits;
                b = &moving->list[j];
            } else if (bits < next) {
                next = bits;
            }
        }
        if (b && nearest < CLEARLY_NEARER * next)
            ret->list[ret->count++] = (struct match){.points = {a->x, a->y, b->x, b->y, 1, 0, 1},
                                                     .turn_rad = b->angle_rad - a->angle_rad,
                                                     .ratio = nearest / (double)next};
    }
    qsort(ret->list, ret->count, sizeof(*ret->list), compare_matches);
    ret->count = ret->count < MOST_MATCHES ? ret->count : MOST_MATCHES;
    return 0;
}

/* What is searched, as params ask for. */
struct limits {
    double angle_rad, scale_min, scale_max;
};

/* The similarity through two matches, if it is one that could be. */
static bool similarity_of(const struct match *a, const struct match *b, const struct limits *limits,
                          struct map *ret) {
    const struct fit_match *p = &a->points, *q = &b->points;
    double dx = q->x - p->x, dy = q->y - p->y, du = q->u - p->u, dv = q->v - p->v;
    double squared = dx * dx + dy * dy;
    if (squared < LEAST_APART_PX * LEAST_APART_PX ||
        squared > (double)FARTHEST_APART_PX * FARTHEST_APART_PX)
        return false;
    double c = (dx * du + dy * dv) / squared, s = (dx * dv - dy * du) / squared;
    double scale = hypot(c, s), angle_rad = atan2(s, c);
    if (scale < limits->scale_min || scale > limits->scale_max ||
        fabs(angle_rad) > limits->angle_rad ||
        fabs(remainder(a->turn_rad - angle_rad, 2 * PI)) > TURN_SLACK ||
        fabs(remainder(b->turn_rad - angle_rad, 2 * PI)) > TURN_SLACK)
        return false;
    *ret = (struct map){
        {c, -s, p->u - c * p->x + s * p->y, s, c, p->v - s * p->x - c * p->y, 0, 0, 1}};
    return true;
}

static bool agrees(const struct match *match, const struct map *map) {
    const double *h = map->h;
    const struct fit_match *p = &match->points;
    double du = h[0] * p->x + h[1] * p->y + h[2] - p->u;
    double dv = h[3] * p->x + h[4] * p->y + h[5] - p->v;
    return du * du + dv * dv < AGREE_PX * AGREE_PX;
}

/* Most matches agree with it; at least LEAST_AGREEING. */
static bool find_consensus(const struct matches *matches, const struct limits *limits,
                           struct map *ret) {
    size_t best = LEAST_AGREEING - 1;
    for (size_t i = 0; i < matches->count; i++)
        for (size_t j = i + 1; j < matches->count; j++) {
            struct map map;
            if (!similarity_of(&matches->list[i], &matches->list[j], limits, &map))
                continue;
            size_t agreeing = 0;
            for (size_t k = 0; k < matches->count; k++)
                agreeing += agrees(&matches->list[k], &map);
            if (agreeing > best) {
                best = agreeing;
                *ret = map;
            }
        }
    return best >= LEAST_AGREEING;
}

/* Fits the map to those that agree with it, and takes them off the list. */
static void settle(struct matches *matches, struct map *map) {
    struct fit_match agreeing[MOST_MATCHES];
    size_t n_agreeing = 0, n_left = 0;
    for (size_t i = 0; i < matches->count; i++)
        if (agrees(&matches->list[i], map))
            agreeing[n_agreeing++] = matches->list[i].points;
        else
            matches->list[n_left++] = matches->list[i];
    matches->count = n_left;
    struct map fitted;
    if (fit_polish(agreeing, n_agreeing, FIT_SIMILARITY, map, &fitted) == 0)
        *map = fitted;
}

int evidence_features(const struct evidence_pair *pair, struct evidence_places *ret,
                      struct failure *failure) {
    const struct params *params = pair->context->params;
    const struct limits limits = {.angle_rad = params->angle_range_deg * PI / 180 + 1e-9,
                                  .scale_min = params->scale_min * (1 - SCALE_SLACK),
                                  .scale_max = params->scale_max * (1 + SCALE_SLACK)};
    CLEANUP(thumbnail_free) struct thumbnail fixed = {0};
    CLEANUP(thumbnail_free) struct thumbnail moving = {0};
    CLEANUP(keypoints_cleanup) struct keypoints on_fixed = {0};
    CLEANUP(keypoints_cleanup) struct keypoints on_moving = {0};
    CLEANUP(matches_cleanup) struct matches matches = {0};
    int r = find_keypoints(pair, "post", pair->post, &fixed, &on_fixed, failure);
    if (r == 0)
        r = find_keypoints(pair, "pre", pair->pre, &moving, &on_moving, failure);
    if (r == 0)
        r = match_keypoints(&on_fixed, &on_moving, &matches, failure);
    if (r < 0)
        return r;
    struct map in = thumbnail_from_full(&fixed), up = thumbnail_to_full(&moving), map;
    ret->count = 0;
    while (ret->count < EVIDENCE_MOST_PLACES && find_consensus(&matches, &limits, &map)) {
        settle(&matches, &map);
        struct map half = map_compose(&in, &map);
        ret->maps[ret->count++] = map_compose(&half, &up);
    }
    return 0;
}
