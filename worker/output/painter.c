/* A painter per thread. Each has a parcel in hand, fills it with one tile of every picture and
 * hands it in (tile_order.h); there are twice as many parcels as painters, so that a painter whose
 * tile was easy, or whose neighbour is waiting for the disk, need not wait too. See painter.h. */
#include "worker/output/painter.h"

#include "worker/memory/tracked.h"
#include "worker/output/tile_order.h"
#include "worker/output/tile_plan.h"
#include "worker/output/tile_queue.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)TILE_RENDER_PX == (int)TIFF_WRITER_TILE_PX, "tiles are written as rendered");

enum { TILE_PIXELS = TILE_RENDER_PX * TILE_RENDER_PX, PARCELS_PER_PAINTER = 2 };

/* One tile of every picture, as it stands in the file. */
struct parcel {
    struct tile_place place;
    uint32_t covered;
    size_t sizes[PICTURE_MOST];
    uint8_t *pictures[PICTURE_MOST]; /* into `room` */
    uint8_t *room;                   /* tracked */
};

struct crew {
    const struct painter_job *job;
    const struct picture_set *set;
    struct tile_order *order;
};

struct painter {
    struct crew *crew;
    struct tile_render *render;
    struct tile_codec *codec;
    struct parcel *parcel; /* in hand */
    float *difference;
    uint64_t overlap_pixels;
    uint32_t expected_end; /* canvas px: of the strip of tiles that it is in */
};

static void subtract(const struct tile_render_tile *tile, double scale, float *ret) {
    float factor = (float)scale;
    for (size_t y = 0; y < tile->height; y++) {
        size_t at = y * TILE_RENDER_PX;
        for (size_t x = 0; x < tile->width; x++) {
            float difference = tile->post_signal[at + x] - factor * tile->pre_signal[at + x];
            ret[at + x] = tile->covered[at + x] ? difference : 0.0F;
        }
    }
}

static const void *pixels_of(const struct painter *painter, const struct picture *picture,
                             const struct tile_render_tile *tile) {
    switch (picture->kind) {
    case PICTURE_PRE:
        return tile->aligned;
    case PICTURE_POST:
        return tile->post;
    default:
        subtract(tile, picture->difference->scale, painter->difference);
        return painter->difference;
    }
}

static int fill_parcel(struct painter *painter, const struct tile_render_tile *tile,
                       struct failure *failure) {
    const struct picture_set *set = painter->crew->set;
    struct parcel *parcel = painter->parcel;
    int r = 0;
    if (tile->width < TILE_RENDER_PX || tile->height < TILE_RENDER_PX)
        memset(painter->difference, 0, TILE_PIXELS * sizeof(float));
    for (size_t i = 0; i < set->n && r == 0; i++)
        r = tile_codec_encode(painter->codec, &set->pictures[i].shape,
                              pixels_of(painter, &set->pictures[i], tile), parcel->pictures[i],
                              &parcel->sizes[i], failure);
    return r;
}

/* Tiles come strip by strip (tile_walk.h). */
static void expect(struct painter *painter, const struct tile_place *place) {
    const struct tile_walk *walk = painter->crew->job->walk;
    uint32_t first = place->x / walk->strip * walk->strip;
    uint32_t end = first + walk->strip < walk->columns ? first + walk->strip : walk->columns;
    uint32_t width = tile_render_canvas_width(painter->crew->job->task);
    uint32_t end_x = end < walk->columns ? end * TILE_RENDER_PX : width;
    if (end_x != painter->expected_end)
        tile_render_expect(painter->render, first * TILE_RENDER_PX, end_x);
    painter->expected_end = end_x;
}

static int paint(struct painter *painter, const struct tile_place *place, struct failure *failure) {
    const struct tile_render_tile *tile;
    expect(painter, place);
    int r = tile_render_run(painter->render, place->x, place->y, &tile, failure);
    if (r < 0)
        return r;
    painter->parcel->place = *place;
    painter->parcel->covered = (uint32_t)tile->n_covered;
    painter->overlap_pixels += tile->n_covered;
    return fill_parcel(painter, tile, failure);
}

static int paint_cb(void *worker, const struct tile_place *place, struct failure *failure) {
    struct painter *painter = worker;
    struct tile_order *order = painter->crew->order;
    int r = paint(painter, place, failure);
    if (r < 0) { /* the others shall not wait for this tile */
        tile_order_stop(order, r, failure);
        return r;
    }
    r = tile_order_put(order, place->position, painter->parcel, failure);
    void *parcel = NULL;
    if (r == 0)
        r = tile_order_take(order, &parcel, failure);
    painter->parcel = parcel;
    return r;
}

static int deliver_cb(void *context, void *item, struct failure *failure) {
    const struct crew *crew = context;
    const struct parcel *parcel = item;
    const struct tile_place *place = &parcel->place;
    int r = 0;
    for (size_t i = 0; i < crew->set->n && r == 0; i++) {
        const struct picture *picture = &crew->set->pictures[i];
        struct tiff_writer_place to = {.image = picture->image, .x = place->x, .y = place->y};
        r = tiff_writer_append(crew->job->writers[picture->file], &to, parcel->pictures[i],
                               parcel->sizes[i], failure);
    }
    struct tile_journal_entry entry = {.tile = place->y * crew->job->walk->columns + place->x,
                                       .covered = parcel->covered};
    return r < 0 || !crew->job->sync ? r : tile_sync_put(crew->job->sync, &entry, failure);
}

/* --- setting up --- */

static size_t parcel_bytes(const struct crew *crew) {
    size_t sum = 0;
    for (size_t i = 0; i < crew->set->n; i++)
        sum += tile_codec_bound(crew->job->compression, &crew->set->pictures[i].shape);
    return sum;
}

static size_t most_tile_bytes(const struct crew *crew) {
    size_t most = 0;
    for (size_t i = 0; i < crew->set->n; i++) {
        size_t bytes = tile_codec_raw_bytes(&crew->set->pictures[i].shape);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int parcel_open(const struct crew *crew, struct parcel *parcel, struct failure *failure) {
    parcel->room = tracked_alloc(parcel_bytes(crew), 1, "tiles to be written");
    if (!parcel->room)
        return failure_set(failure, -ENOMEM,
                           "no memory for tiles to be written; raise --worker-memory");
    uint8_t *at = parcel->room;
    for (size_t i = 0; i < crew->set->n; i++) {
        parcel->pictures[i] = at;
        at += tile_codec_bound(crew->job->compression, &crew->set->pictures[i].shape);
    }
    return 0;
}

/* first: NULL, or the one whose caches it shares. */
static int painter_open(struct crew *crew, const struct painter *first, uint64_t cache_bytes,
                        struct painter *painter, struct failure *failure) {
    painter->crew = crew;
    painter->difference = tracked_alloc(TILE_PIXELS, sizeof(float), "difference tile");
    if (!painter->difference)
        return failure_set(failure, -ENOMEM,
                           "no memory for a difference tile; raise --worker-memory");
    int r =
        tile_codec_open(crew->job->compression, most_tile_bytes(crew), &painter->codec, failure);
    if (r < 0)
        return r;
    return first ? tile_render_open_beside(first->render, &painter->render, failure)
                 : tile_render_open(crew->job->task, cache_bytes, &painter->render, failure);
}

static void painter_close(struct painter *painter, struct painter_counts *counts) {
    counts->overlap_pixels += painter->overlap_pixels;
    if (painter->render) {
        counts->pre_read_bytes += tile_render_read_pre(painter->render);
        counts->post_read_bytes += tile_render_read_post(painter->render);
    }
    tile_render_close(painter->render);
    tile_codec_close(painter->codec);
    tracked_free(painter->difference);
}

/* The buffers of n painters stand ready. */
static int run_crew(struct crew *crew, struct painter *painters, struct parcel *parcels, size_t n,
                    struct failure *failure) {
    const struct painter_job *job = crew->job;
    size_t n_parcels = n * PARCELS_PER_PAINTER;
    CLEANUP_FREE void **workers = calloc(n, sizeof(*workers));
    CLEANUP_FREE void **loose = calloc(n_parcels, sizeof(*loose));
    if (!workers || !loose)
        return failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    for (size_t i = 0; i < n_parcels; i++)
        loose[i] = &parcels[i];
    crew->order = tile_order_new(job->first, loose, n_parcels, deliver_cb, crew);
    int r = crew->order ? 0 : failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    for (size_t i = 0; i < n && r == 0; i++) {
        void *parcel = NULL;
        r = tile_order_take(crew->order, &parcel, failure);
        painters[i].parcel = parcel;
        workers[i] = &painters[i];
    }
    if (r == 0)
        r = tile_queue_run(job->walk, job->first, workers, (int)n, paint_cb, job->progress,
                           failure);
    tile_order_free(crew->order);
    return r;
}

int painter_run(const struct painter_job *job, struct painter_counts *ret,
                struct failure *failure) {
    struct crew crew = {.job = job, .set = job->set};
    uint64_t each = TILE_PIXELS * sizeof(float) + PARCELS_PER_PAINTER * parcel_bytes(&crew) +
                    tile_codec_memory(job->compression, most_tile_bytes(&crew));
    struct tile_plan plan = tile_plan_make(job->task, job->threads, each);
    size_t n = (size_t)plan.n_workers, n_parcels = n * PARCELS_PER_PAINTER;
    *ret = (struct painter_counts){0};
    CLEANUP_FREE struct painter *painters = calloc(n, sizeof(*painters));
    CLEANUP_FREE struct parcel *parcels = calloc(n_parcels, sizeof(*parcels));
    if (!painters || !parcels)
        return failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    int r = 0;
    for (size_t i = 0; i < n_parcels && r == 0; i++)
        r = parcel_open(&crew, &parcels[i], failure);
    for (size_t i = 0; i < n && r == 0; i++)
        r = painter_open(&crew, i > 0 ? painters : NULL, plan.cache_bytes, &painters[i], failure);
    if (r == 0)
        r = run_crew(&crew, painters, parcels, n, failure);
    for (size_t i = n; i-- > 0;) /* the first one owns the caches */
        painter_close(&painters[i], ret);
    for (size_t i = 0; i < n_parcels; i++)
        tracked_free(parcels[i].room);
    return r;
}
