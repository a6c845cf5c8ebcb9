/* Threads over one mutex-guarded table of stretches; see tile_queue.h. A tile takes milliseconds,
 * so one lock per tile costs nothing. */
#include "worker/output/tile_queue.h"

#include "worker/stage/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { STRIP_TILES = 16 };

struct stretch {
    uint64_t next, end; /* positions in the walk */
};

struct queue {
    pthread_mutex_t lock;
    struct stretch *stretches; /* one per worker */
    int n_workers;
    uint32_t columns, rows;
    uint64_t total, done;
    int error; /* the first worker's; 0: none */
    struct failure *failure;
    tile_queue_cb tile;
    struct progress *progress;
};

struct worker {
    struct queue *queue;
    int index;
    void *context;
};

/* Takes the far half of the longest stretch. False: nothing is left anywhere. */
static bool steal(struct queue *queue, struct stretch *mine) {
    struct stretch *longest = mine;
    for (int i = 0; i < queue->n_workers; i++) {
        struct stretch *other = &queue->stretches[i];
        if (other->end - other->next > longest->end - longest->next)
            longest = other;
    }
    uint64_t left = longest->end - longest->next;
    if (left == 0)
        return false;
    uint64_t middle = longest->next + left / 2;
    *mine = (struct stretch){.next = middle, .end = longest->end};
    longest->end = middle;
    return true;
}

static bool take(struct queue *queue, int index, uint64_t *ret_position) {
    (void)pthread_mutex_lock(&queue->lock);
    struct stretch *mine = &queue->stretches[index];
    bool taken = queue->error == 0 && (mine->next < mine->end || steal(queue, mine)) &&
                 mine->next < mine->end;
    if (taken)
        *ret_position = mine->next++;
    (void)pthread_mutex_unlock(&queue->lock);
    return taken;
}

static void stop(struct queue *queue, int error, const struct failure *failure) {
    (void)pthread_mutex_lock(&queue->lock);
    if (queue->error == 0) {
        queue->error = error;
        if (queue->failure)
            *queue->failure = *failure;
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

static double count_done(struct queue *queue) {
    (void)pthread_mutex_lock(&queue->lock);
    double fraction = (double)++queue->done / (double)queue->total;
    (void)pthread_mutex_unlock(&queue->lock);
    return fraction;
}

/* Strip by strip; row by row in a strip. The last strip may be narrower. */
static void locate(const struct queue *queue, uint64_t position, uint32_t *ret_x, uint32_t *ret_y) {
    uint64_t per_strip = (uint64_t)STRIP_TILES * queue->rows;
    uint32_t strip = (uint32_t)(position / per_strip), first = strip * STRIP_TILES;
    uint64_t within = position % per_strip;
    uint32_t left = queue->columns - first, width = left < STRIP_TILES ? left : STRIP_TILES;
    *ret_x = first + (uint32_t)(within % width);
    *ret_y = (uint32_t)(within / width);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    struct queue *queue = worker->queue;
    uint64_t position;
    while (take(queue, worker->index, &position)) {
        struct failure failure = {0};
        uint32_t x, y;
        locate(queue, position, &x, &y);
        int r = queue->tile(worker->context, x, y, &failure);
        if (r == 0)
            r = progress_set(queue->progress, count_done(queue));
        if (r < 0)
            stop(queue, r, &failure);
    }
    return NULL;
}

static void divide(struct queue *queue) {
    uint64_t n = (uint64_t)queue->n_workers;
    for (uint64_t i = 0; i < n; i++) {
        queue->stretches[i].next = queue->total * i / n;
        queue->stretches[i].end = queue->total * (i + 1) / n;
    }
}

int tile_queue_run(uint32_t columns, uint32_t rows, void *const *workers, int n_workers,
                   tile_queue_cb tile, struct progress *progress, struct failure *failure) {
    struct queue queue = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .n_workers = n_workers,
        .columns = columns,
        .rows = rows,
        .total = (uint64_t)columns * rows,
        .failure = failure,
        .tile = tile,
        .progress = progress,
    };
    size_t n = (size_t)n_workers;
    CLEANUP_FREE struct stretch *stretches = calloc(n, sizeof(*stretches));
    CLEANUP_FREE struct worker *contexts = calloc(n, sizeof(*contexts));
    CLEANUP_FREE pthread_t *threads = calloc(n, sizeof(*threads));
    if (!stretches || !contexts || !threads)
        return failure_set_errno(failure, -ENOMEM, "cannot start %d threads", n_workers);
    queue.stretches = stretches;
    divide(&queue);
    int started = 1;
    for (int i = 0; i < n_workers; i++)
        contexts[i] = (struct worker){.queue = &queue, .index = i, .context = workers[i]};
    /* a thread that cannot be started is no harm: the others take over its stretch */
    while (started < n_workers &&
           pthread_create(&threads[started], NULL, work, &contexts[started]) == 0)
        started++;
    (void)work(&contexts[0]);
    for (int i = 1; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_destroy(&queue.lock);
    return queue.error;
}
