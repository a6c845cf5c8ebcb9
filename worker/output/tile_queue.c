/* Threads over one mutex-guarded counter; see tile_queue.h. A tile takes milliseconds, so one lock
 * per tile costs nothing. */
#include "worker/output/tile_queue.h"

#include "worker/stage/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

struct queue {
    pthread_mutex_t lock;
    const struct tile_walk *walk;
    uint64_t next, done, total;
    int error; /* the first worker's; 0: none */
    struct failure *failure;
    tile_queue_cb tile;
    struct progress *progress;
};

struct worker {
    struct queue *queue;
    void *context;
};

static bool take(struct queue *queue, struct tile_place *ret) {
    (void)pthread_mutex_lock(&queue->lock);
    bool taken = queue->error == 0 && queue->next < queue->total;
    if (taken)
        ret->position = queue->next++;
    (void)pthread_mutex_unlock(&queue->lock);
    if (taken)
        tile_walk_locate(queue->walk, ret->position, &ret->x, &ret->y);
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

static void *work(void *argument) {
    struct worker *worker = argument;
    struct queue *queue = worker->queue;
    struct tile_place place;
    while (take(queue, &place)) {
        struct failure failure = {0};
        int r = queue->tile(worker->context, &place, &failure);
        if (r == 0)
            r = progress_set(queue->progress, count_done(queue));
        if (r < 0)
            stop(queue, r, &failure);
    }
    return NULL;
}

int tile_queue_run(const struct tile_walk *walk, uint64_t first, void *const *workers,
                   int n_workers, tile_queue_cb tile, struct progress *progress,
                   struct failure *failure) {
    struct queue queue = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .walk = walk,
        .next = first,
        .done = first,
        .total = tile_walk_length(walk),
        .failure = failure,
        .tile = tile,
        .progress = progress,
    };
    size_t n = (size_t)n_workers;
    CLEANUP_FREE struct worker *contexts = calloc(n, sizeof(*contexts));
    CLEANUP_FREE pthread_t *threads = calloc(n, sizeof(*threads));
    if (!threads || !contexts)
        return failure_set_errno(failure, -ENOMEM, "cannot start %d threads", n_workers);
    int started = 1;
    for (int i = 0; i < n_workers; i++)
        contexts[i] = (struct worker){.queue = &queue, .context = workers[i]};
    /* a thread that cannot be started is no harm: the others do its share */
    while (started < n_workers &&
           pthread_create(&threads[started], NULL, work, &contexts[started]) == 0)
        started++;
    (void)work(&contexts[0]);
    for (int i = 1; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_destroy(&queue.lock);
    return queue.error;
}
