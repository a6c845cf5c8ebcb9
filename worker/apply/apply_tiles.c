/* See apply_tiles.h. Each thread has a renderer and a parcel in hand, fills it with a tile and
 * hands it in (tile_order.h); twice as many parcels as threads, so that one whose neighbour waits
 * for the disk need not wait too. */
#include "worker/apply/apply_tiles.h"

#include "worker/memory/tracked.h"
#include "worker/output/tile_order.h"
#include "worker/output/tile_plan.h"
#include "worker/output/tile_queue.h"

#include <errno.h>

_Static_assert((int)TILE_RENDER_PX == (int)TIFF_WRITER_TILE_PX, "tiles are written as rendered");

enum { PARCELS_PER_HAND = 2 };

/* A tile as it stands in the file. */
struct parcel {
    struct tile_place place;
    size_t size;
    uint8_t *bytes; /* tracked */
};

struct crew {
    const struct apply_tiles_job *job;
    struct tile_codec_shape shape;
    struct tile_order *order;
};

/* Of one thread. */
struct hand {
    struct crew *crew;
    struct tile_render *render;
    struct tile_codec *codec;
    struct parcel *parcel; /* in hand */
    uint64_t covered;
};

static int paint(struct hand *hand, const struct tile_place *place, struct failure *failure) {
    const struct tile_render_tile *tile;
    int r = tile_render_run(hand->render, place->x, place->y, &tile, failure);
    if (r < 0)
        return r;
    hand->parcel->place = *place;
    hand->covered += tile->n_covered;
    return tile_codec_encode(hand->codec, &hand->crew->shape, tile->aligned, hand->parcel->bytes,
                             &hand->parcel->size, failure);
}

static int paint_cb(void *worker, const struct tile_place *place, struct failure *failure) {
    struct hand *hand = worker;
    struct tile_order *order = hand->crew->order;
    int r = paint(hand, place, failure);
    if (r < 0) { /* the others shall not wait for this tile */
        tile_order_stop(order, r, failure);
        return r;
    }
    r = tile_order_put(order, place->position, hand->parcel, failure);
    void *parcel = NULL;
    if (r == 0)
        r = tile_order_take(order, &parcel, failure);
    hand->parcel = parcel;
    return r;
}

static int deliver_cb(void *context, void *item, struct failure *failure) {
    const struct crew *crew = context;
    const struct parcel *parcel = item;
    const struct tiff_writer_place to = {.x = parcel->place.x, .y = parcel->place.y};
    return tiff_writer_append(crew->job->writer, &to, parcel->bytes, parcel->size, failure);
}

static int open_parcel(const struct crew *crew, struct parcel *parcel, struct failure *failure) {
    parcel->bytes = tracked_alloc(tile_codec_bound(crew->job->picture->compression, &crew->shape),
                                  1, "tiles to be written");
    return parcel->bytes ? 0
                         : failure_set(failure, -ENOMEM,
                                       "no memory for tiles to be written; raise --worker-memory");
}

/* first: NULL, or the one whose caches it shares. */
static int open_hand(struct crew *crew, const struct hand *first, uint64_t cache_bytes,
                     struct hand *hand, struct failure *failure) {
    hand->crew = crew;
    int r = tile_codec_open(crew->job->picture->compression, tile_codec_raw_bytes(&crew->shape),
                            &hand->codec, failure);
    if (r < 0)
        return r;
    return first ? tile_render_open_beside(first->render, &hand->render, failure)
                 : tile_render_open(crew->job->task, cache_bytes, &hand->render, failure);
}

/* All stand ready. */
static int run(struct crew *crew, const struct tile_walk *walk, struct hand *hands,
               struct parcel *parcels, size_t n, struct failure *failure) {
    CLEANUP_FREE void **workers = calloc(n, sizeof(*workers));
    CLEANUP_FREE void **loose = calloc(n * PARCELS_PER_HAND, sizeof(*loose));
    if (!workers || !loose)
        return failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    for (size_t i = 0; i < n * PARCELS_PER_HAND; i++)
        loose[i] = &parcels[i];
    crew->order = tile_order_new(0, loose, n * PARCELS_PER_HAND, deliver_cb, crew);
    int r = crew->order ? 0 : failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    for (size_t i = 0; i < n && r == 0; i++) {
        void *parcel = NULL;
        r = tile_order_take(crew->order, &parcel, failure);
        hands[i].parcel = parcel;
        workers[i] = &hands[i];
    }
    if (r == 0)
        r = tile_queue_run(walk, 0, workers, (int)n, paint_cb, crew->job->progress, failure);
    tile_order_free(crew->order);
    return r;
}

int apply_tiles_run(const struct apply_tiles_job *job, uint64_t *ret_covered,
                    struct failure *failure) {
    struct crew crew = {.job = job, .shape = tiff_writer_shape(job->picture)};
    const enum params_compression compression = job->picture->compression;
    const struct tile_walk walk =
        tile_plan_walk(job->task, (tile_render_canvas_width(job->task) - 1) / TILE_RENDER_PX + 1,
                       (tile_render_canvas_height(job->task) - 1) / TILE_RENDER_PX + 1, 1);
    const struct tile_plan plan =
        tile_plan_make(job->task, job->threads,
                       PARCELS_PER_HAND * tile_codec_bound(compression, &crew.shape) +
                           tile_codec_memory(compression, tile_codec_raw_bytes(&crew.shape)));
    const size_t n = (size_t)plan.n_workers, n_parcels = n * PARCELS_PER_HAND;
    CLEANUP_FREE struct hand *hands = calloc(n, sizeof(*hands));
    CLEANUP_FREE struct parcel *parcels = calloc(n_parcels, sizeof(*parcels));
    uint64_t covered = 0;
    if (!hands || !parcels)
        return failure_set(failure, -ENOMEM, "no memory for %zu threads", n);
    int r = 0;
    for (size_t i = 0; i < n_parcels && r == 0; i++)
        r = open_parcel(&crew, &parcels[i], failure);
    for (size_t i = 0; i < n && r == 0; i++)
        r = open_hand(&crew, i > 0 ? hands : NULL, plan.cache_bytes, &hands[i], failure);
    if (r == 0)
        r = run(&crew, &walk, hands, parcels, n, failure);
    for (size_t i = n; i-- > 0;) { /* the first one owns the caches */
        covered += hands[i].covered;
        tile_render_close(hands[i].render);
        tile_codec_close(hands[i].codec);
    }
    for (size_t i = 0; i < n_parcels; i++)
        tracked_free(parcels[i].bytes);
    if (r == 0)
        *ret_covered = covered;
    return r;
}
