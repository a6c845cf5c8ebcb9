/* See evidence.h. A match is the nearest descriptor that is clearly nearer than the next one (Lowe
 * 2004). Every two matches define a similarity; those whose turn and magnification contradict the
 * key points' own, or what is searched, are passed over, and the rest are scored by how many
 * matches agree: no chance in it, so no seed. */
#include "worker/align/evidence.h"

#include "worker/align/feature.h"
#include "worker/align/fit.h"
#include "worker/align/sample.h"
#include "worker/align/thumbnail.h"
#include "worker/memory/tracked.h"
#include "worker/opencv/bridge.h"

#include <errno.h>
#include <math.h>

enum {
    SIDE_PX = 512,
    TILE_PX = 200,  /* at most; key points are found tile by tile, since that takes much memory */
    MARGIN_PX = 24, /* around a tile: what descriptors near its rim look at */
    MOST_KEYPOINTS = 6000,
    MOST_MATCHES = 400,
    LEAST_AGREEING = 5,
    SURELY_AGREEING = 20, /* unrelated images reach 5 */
    FARTHEST_APART_PX = 400,
    LEAST_APART_PX = 12, /* nearer key points say nothing about the turn */
};

static const double PI = 3.14159265358979323846;
static const double CLEARLY_NEARER = 0.9;
static const struct feature_scales SCALES = {0.7, 4.0, 8.0};
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

/* The strongest of a tile, which is looked at with a margin, join those found. */
static int find_in_tile(const struct thumbnail *image, const struct sample_window *tile,
                        size_t most, struct keypoints *ret, struct failure *failure) {
    int left = tile->x > MARGIN_PX ? tile->x - MARGIN_PX : 0;
    int top = tile->y > MARGIN_PX ? tile->y - MARGIN_PX : 0;
    int right = tile->x + tile->width + MARGIN_PX, bottom = tile->y + tile->height + MARGIN_PX;
    int width = (right < image->width ? right : image->width) - left;
    int height = (bottom < image->height ? bottom : image->height) - top;
    CLEANUP_TRACKED unsigned char *seen =
        tracked_alloc((size_t)width * (size_t)height, 1, "key points");
    CLEANUP_TRACKED struct bridge_keypoint *found =
        tracked_alloc(2 * most, sizeof(*found), "key points");
    if (!seen || !found)
        return failure_set(failure, -ENOMEM, "no memory for key points");
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            float value =
                image->pixels[(size_t)(top + y) * (size_t)image->width + (size_t)(left + x)];
            seen[y * width + x] = (unsigned char)lrintf(127.5F * (value + 1));
        }
    size_t n_found = 0;
    int r = bridge_keypoints(seen, width, height, 2 * most, found, &n_found, failure);
    size_t end = ret->count + most;
    for (size_t i = 0; i < n_found && ret->count < end; i++) {
        found[i].x += left;
        found[i].y += top;
        if (found[i].x >= tile->x && found[i].x < tile->x + tile->width && found[i].y >= tile->y &&
            found[i].y < tile->y + tile->height)
            ret->list[ret->count++] = found[i];
    }
    return r;
}

/* Key points of what the image shows at all, however faint: so many of each tile. */
static int find_keypoints(const struct evidence_pair *pair, const char *which,
                          const struct survey *survey, struct thumbnail *ret_thumbnail,
                          struct keypoints *ret, struct failure *failure) {
    double pitch = thumbnail_pitch(&pair->pre->layout, &pair->post->layout, SIDE_PX);
    int r = thumbnail_load(pair->context, which, survey, pitch, ret_thumbnail, failure);
    if (r < 0)
        return r;
    int width = ret_thumbnail->width, height = ret_thumbnail->height;
    size_t area = (size_t)width * (size_t)height;
    CLEANUP_TRACKED float *scratch = tracked_alloc(area, sizeof(*scratch), "key points");
    ret->list = tracked_alloc(MOST_KEYPOINTS, sizeof(*ret->list), "key points");
    if (!scratch || !ret->list)
        return failure_set(failure, -ENOMEM, "no memory for key points");
    feature_tone(survey, ret_thumbnail->pixels, area);
    r = feature_local(ret_thumbnail->pixels, width, height, &SCALES, scratch, failure);
    int columns = (width - 1) / TILE_PX + 1, rows = (height - 1) / TILE_PX + 1;
    size_t most = MOST_KEYPOINTS / (size_t)(columns * rows);
    for (int i = 0; i < columns * rows && r == 0; i++) {
        int x = i % columns * width / columns, y = i / columns * height / rows;
        struct sample_window tile = {x, y, (i % columns + 1) * width / columns - x,
                                     (i / columns + 1) * height / rows - y};
        r = find_in_tile(ret_thumbnail, &tile, most, ret, failure);
    }
    return r;
}

/* Squared. Thirty million of them, which sanitizers would make a minute of. */
__attribute__((no_sanitize("address", "undefined"))) static int
distance(const struct bridge_keypoint *a, const struct bridge_keypoint *b) {
    int sum = 0;
    for (int i = 0; i < BRIDGE_DESCRIPTOR_BYTES; i++) {
        int apart = a->descriptor[i] - b->descriptor[i];
        sum += apart * apart;
    }
    return sum;
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
            int away = distance(a, &moving->list[j]);
            if (away < nearest) {
                next = nearest;
                nearest = away;
                b = &moving->list[j];
            } else if (away < next) {
                next = away;
            }
        }
        if (b && nearest < CLEARLY_NEARER * CLEARLY_NEARER * next)
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

/* With the map that most matches agree with, how many; 0: less than LEAST_AGREEING. */
static size_t find_consensus(const struct matches *matches, const struct limits *limits,
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
    return best >= LEAST_AGREEING ? best : 0;
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
    *ret = (struct evidence_places){0};
    size_t agreeing;
    while (ret->count < EVIDENCE_MOST_PLACES &&
           (agreeing = find_consensus(&matches, &limits, &map)) > 0) {
        ret->sure |= agreeing >= SURELY_AGREEING;
        settle(&matches, &map);
        struct map half = map_compose(&in, &map);
        ret->maps[ret->count++] = map_compose(&half, &up);
    }
    return 0;
}
