/* Each thread reads the four tiles below a tile back from the file, reduces them and hands the
 * result in (tile_order.h), as painters do. The grids of all pictures are one grid here, one below
 * the other, so that the threads meet only between levels. */
#include "worker/output/ome_levels.h"

#include "worker/memory/tracked.h"
#include "worker/output/tile_order.h"
#include "worker/output/tile_queue.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <string.h>

enum {
    LEAST_LEVEL_PX = 512,
    TILE_PX = TIFF_WRITER_TILE_PX,
    PARCELS_PER_MAKER = 2,
};

/* A finished tile. */
struct parcel {
    struct tiff_writer_place place;
    size_t size;
    uint8_t *bytes; /* tracked */
};

struct level {
    const struct ome_levels_job *job;
    uint32_t number, rows;              /* of its own grid */
    uint32_t width_below, height_below; /* px */
    uint32_t columns_below, rows_below; /* of that grid */
    size_t most_raw_bytes, most_bytes;  /* of a picture's tile; of one as it stands in the file */
    struct tile_order *order;
};

struct maker {
    const struct level *level;
    struct tile_codec *codec;
    struct parcel *parcel;           /* in hand */
    uint8_t *packed, *below, *above; /* tracked */
};

uint32_t ome_levels_count(uint32_t width, uint32_t height) {
    uint32_t longest = width > height ? width : height, n = 0;
    while (tiff_writer_level_px(longest, n) > LEAST_LEVEL_PX)
        n++;
    return n;
}

/* --- one tile --- */

static inline uint32_t mean_of(uint32_t sum) { return (sum + 1 + (sum >> 2 & 1)) >> 2; }

static inline float mean_of_floats(float sum) { return sum / 4; }

#define DEFINE_REDUCE(name, type, sum_type, mean)                                                  \
    static void name(const type *below, uint32_t width, uint32_t height, size_t samples,           \
                     type *above) {                                                                \
        size_t row = TILE_PX * samples;                                                            \
        for (uint32_t y = 0; y < height; y += 2, above += row) {                                   \
            const type *upper = below + y * row;                                                   \
            const type *lower = y + 1 < height ? upper + row : upper;                              \
            for (uint32_t x = 0; x < width; x += 2) {                                              \
                size_t left = x * samples, right = x + 1 < width ? left + samples : left;          \
                for (size_t s = 0; s < samples; s++) {                                             \
                    sum_type sum = (sum_type)upper[left + s] + (sum_type)upper[right + s] +        \
                                   (sum_type)lower[left + s] + (sum_type)lower[right + s];         \
                    above[x / 2 * samples + s] = (type)mean(sum);                                  \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_REDUCE(reduce_u8, uint8_t, uint32_t, mean_of)
DEFINE_REDUCE(reduce_u16, uint16_t, uint32_t, mean_of)
DEFINE_REDUCE(reduce_float, float, float, mean_of_floats)

void ome_levels_reduce(const struct tile_codec_shape *shape, const void *below, uint32_t width,
                       uint32_t height, bool right, bool down, void *above) {
    size_t at =
        ((down ? TILE_PX / 2 : 0) * (size_t)TILE_PX + (right ? TILE_PX / 2 : 0)) * shape->samples;
    if (shape->is_float)
        reduce_float(below, width, height, shape->samples, (float *)above + at);
    else if (shape->bits == 16)
        reduce_u16(below, width, height, shape->samples, (uint16_t *)above + at);
    else
        reduce_u8(below, width, height, shape->samples, (uint8_t *)above + at);
}

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

static int reduce_quarter(struct maker *maker, const struct picture *picture,
                          const struct tiff_writer_place *from, bool right, bool down,
                          struct failure *failure) {
    const struct level *level = maker->level;
    size_t size = 0;
    int r = tiff_writer_read(level->job->writer, from, maker->packed, level->most_bytes, &size,
                             failure);
    if (r == 0)
        r = tile_codec_decode(maker->codec, &picture->shape, maker->packed, size, maker->below,
                              failure);
    if (r == 0)
        ome_levels_reduce(
            &picture->shape, maker->below, min_u32(TILE_PX, level->width_below - from->x * TILE_PX),
            min_u32(TILE_PX, level->height_below - from->y * TILE_PX), right, down, maker->above);
    return r;
}

static int make_tile(struct maker *maker, const struct tile_place *place, struct failure *failure) {
    const struct level *level = maker->level;
    const struct picture *picture = &level->job->set->pictures[place->y / level->rows];
    struct parcel *parcel = maker->parcel;
    parcel->place = (struct tiff_writer_place){.image = picture->image,
                                               .level = level->number,
                                               .x = place->x,
                                               .y = place->y % level->rows};
    memset(maker->above, 0, tile_codec_raw_bytes(&picture->shape));
    int r = 0;
    for (uint32_t quarter = 0; quarter < 4 && r == 0; quarter++) {
        bool right = quarter & 1, down = quarter & 2;
        struct tiff_writer_place from = {.image = picture->image,
                                         .level = level->number - 1,
                                         .x = 2 * parcel->place.x + right,
                                         .y = 2 * parcel->place.y + down};
        if (from.x < level->columns_below && from.y < level->rows_below)
            r = reduce_quarter(maker, picture, &from, right, down, failure);
    }
    return r < 0 ? r
                 : tile_codec_encode(maker->codec, &picture->shape, maker->above, parcel->bytes,
                                     &parcel->size, failure);
}

static int make_cb(void *context, const struct tile_place *place, struct failure *failure) {
    struct maker *maker = context;
    struct tile_order *order = maker->level->order;
    int r = make_tile(maker, place, failure);
    if (r < 0) { /* the others shall not wait for this tile */
        tile_order_stop(order, r, failure);
        return r;
    }
    r = tile_order_put(order, place->position, maker->parcel, failure);
    void *parcel = NULL;
    if (r == 0)
        r = tile_order_take(order, &parcel, failure);
    maker->parcel = parcel;
    return r;
}

static int deliver_cb(void *context, void *item, struct failure *failure) {
    const struct level *level = context;
    const struct parcel *parcel = item;
    return tiff_writer_append(level->job->writer, &parcel->place, parcel->bytes, parcel->size,
                              failure);
}

/* --- all levels --- */

struct crew {
    struct level level;
    struct maker *makers; /* owned, as what follows */
    struct parcel *parcels;
    void **workers, **loose; /* pointers to these */
    size_t n, n_parcels;
};

static uint32_t tiles_across(uint32_t px) { return (px - 1) / TILE_PX + 1; }

static void describe_level(struct level *level, uint32_t number) {
    level->number = number;
    level->width_below = tiff_writer_level_px(level->job->width, number - 1);
    level->height_below = tiff_writer_level_px(level->job->height, number - 1);
    level->columns_below = tiles_across(level->width_below);
    level->rows_below = tiles_across(level->height_below);
    level->rows = tiles_across(tiff_writer_level_px(level->job->height, number));
}

static int make_level(struct crew *crew, uint32_t number, struct failure *failure) {
    struct level *level = &crew->level;
    const struct ome_levels_job *job = level->job;
    describe_level(level, number);
    uint32_t columns = tiles_across(tiff_writer_level_px(job->width, number));
    struct tile_walk walk = {
        .columns = columns, .rows = level->rows * (uint32_t)job->set->n, .strip = columns};
    for (size_t i = 0; i < crew->n_parcels; i++)
        crew->loose[i] = &crew->parcels[i];
    level->order = tile_order_new(0, crew->loose, crew->n_parcels, deliver_cb, level);
    int r = level->order ? 0 : failure_set(failure, -ENOMEM, "no memory for %zu threads", crew->n);
    for (size_t i = 0; i < crew->n && r == 0; i++) {
        void *parcel = NULL;
        r = tile_order_take(level->order, &parcel, failure);
        crew->makers[i].parcel = parcel;
    }
    /* each level has a quarter of the pixels of the one before: three quarters of the time is left
     * to those after the first */
    double left = 1;
    for (uint32_t i = 1; i < number; i++)
        left /= 4;
    double start = job->start + (1 - job->start) * (1 - left);
    progress_span(job->progress, start, start + (1 - job->start) * left * 3 / 4);
    if (r == 0)
        r = tile_queue_run(&walk, 0, crew->workers, (int)crew->n, make_cb, job->progress, failure);
    tile_order_free(level->order);
    return r;
}

static uint64_t maker_bytes(const struct level *level) {
    return 2 * level->most_raw_bytes + (1 + PARCELS_PER_MAKER) * level->most_bytes +
           tile_codec_memory(level->job->compression, level->most_raw_bytes);
}

/* As many threads as there is room for, but one at least. */
static size_t count_makers(const struct level *level) {
    uint64_t budget = tracked_budget(), now = tracked_now(), each = maker_bytes(level);
    size_t n = (size_t)level->job->threads;
    while (budget > 0 && n > 1 && now + n * each > budget)
        n--;
    return n;
}

static int maker_open(struct maker *maker, const struct level *level, struct failure *failure) {
    maker->level = level;
    maker->packed = tracked_alloc(level->most_bytes, 1, "tile to be reduced");
    maker->below = tracked_alloc(level->most_raw_bytes, 1, "tile to be reduced");
    maker->above = tracked_alloc(level->most_raw_bytes, 1, "reduced tile");
    if (!maker->packed || !maker->below || !maker->above)
        return failure_set(failure, -ENOMEM, "no memory to reduce tiles; raise --worker-memory");
    return tile_codec_open(level->job->compression, level->most_raw_bytes, &maker->codec, failure);
}

static int crew_open(struct crew *crew, struct failure *failure) {
    crew->n = count_makers(&crew->level);
    crew->n_parcels = PARCELS_PER_MAKER * crew->n;
    crew->makers = calloc(crew->n, sizeof(*crew->makers));
    crew->parcels = calloc(crew->n_parcels, sizeof(*crew->parcels));
    crew->workers = calloc(crew->n, sizeof(*crew->workers));
    crew->loose = calloc(crew->n_parcels, sizeof(*crew->loose));
    if (!crew->makers || !crew->parcels || !crew->workers || !crew->loose)
        return failure_set(failure, -ENOMEM, "no memory for %zu threads", crew->n);
    int r = 0;
    for (size_t i = 0; i < crew->n_parcels && r == 0; i++) {
        crew->parcels[i].bytes = tracked_alloc(crew->level.most_bytes, 1, "reduced tiles");
        if (!crew->parcels[i].bytes)
            r = failure_set(failure, -ENOMEM, "no memory to reduce tiles; raise --worker-memory");
    }
    for (size_t i = 0; i < crew->n && r == 0; i++) {
        crew->workers[i] = &crew->makers[i];
        r = maker_open(&crew->makers[i], &crew->level, failure);
    }
    return r;
}

static void crew_close(struct crew *crew) {
    for (size_t i = 0; crew->makers && i < crew->n; i++) {
        tracked_free(crew->makers[i].packed);
        tracked_free(crew->makers[i].below);
        tracked_free(crew->makers[i].above);
        tile_codec_close(crew->makers[i].codec);
    }
    for (size_t i = 0; crew->parcels && i < crew->n_parcels; i++)
        tracked_free(crew->parcels[i].bytes);
    free(crew->makers);
    free(crew->parcels);
    free(crew->workers);
    free(crew->loose);
}

int ome_levels_run(const struct ome_levels_job *job, struct failure *failure) {
    struct crew crew = {.level = {.job = job}};
    for (size_t i = 0; i < job->set->n; i++) {
        const struct tile_codec_shape *shape = &job->set->pictures[i].shape;
        size_t raw = tile_codec_raw_bytes(shape), most = tile_codec_bound(job->compression, shape);
        crew.level.most_raw_bytes =
            raw > crew.level.most_raw_bytes ? raw : crew.level.most_raw_bytes;
        crew.level.most_bytes = most > crew.level.most_bytes ? most : crew.level.most_bytes;
    }
    int r = crew_open(&crew, failure);
    for (uint32_t number = 1; number <= job->n_levels && r == 0; number++)
        r = make_level(&crew, number, failure);
    crew_close(&crew);
    return r;
}
