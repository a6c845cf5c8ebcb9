/* Two buffers: painters fill one while the thread syncs what stands in the other; see tile_sync.h.
 * An error of fdatasync is final: the kernel has already marked the pages clean, so a second call
 * would lie (fsync(2), NOTES). */
#include "worker/output/tile_sync.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    MOST_WAITING = 256,       /* tiles: what a kill can cost, and what a stop must still sync */
    PAUSE_NS = 250 * 1000000, /* between two rounds: each costs the disk a flush per file */
};

struct tile_sync {
    struct tiff_writer *const *writers;
    size_t n_writers;
    struct tile_journal *journal;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct tile_journal_entry waiting[MOST_WAITING];
    size_t n_waiting;
    bool ending;
    struct failure failure; /* code 0: none so far */
};

/* Called by the thread alone. */
static int make_durable(struct tile_sync *sync, const struct tile_journal_entry *entries, size_t n,
                        struct failure *failure) {
    for (size_t i = 0; i < sync->n_writers; i++) {
        int r = tiff_writer_sync(sync->writers[i], failure);
        if (r < 0)
            return r;
    }
    return tile_journal_append(sync->journal, entries, n, failure);
}

static void wait_until_due(struct tile_sync *sync) {
    struct timespec due;
    (void)clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_nsec += PAUSE_NS;
    due.tv_sec += due.tv_nsec / 1000000000;
    due.tv_nsec %= 1000000000;
    int r = 0;
    while (r == 0 && !sync->ending && sync->n_waiting < MOST_WAITING)
        r = pthread_cond_timedwait(&sync->changed, &sync->lock, &due);
}

static void *work(void *argument) {
    struct tile_sync *sync = argument;
    struct tile_journal_entry entries[MOST_WAITING];
    (void)pthread_mutex_lock(&sync->lock);
    while (sync->failure.code == 0 && !(sync->ending && sync->n_waiting == 0)) {
        wait_until_due(sync);
        size_t n = sync->n_waiting;
        if (n == 0)
            continue;
        memcpy(entries, sync->waiting, n * sizeof(*entries));
        sync->n_waiting = 0;
        (void)pthread_cond_broadcast(&sync->changed);
        (void)pthread_mutex_unlock(&sync->lock);
        struct failure failure = {0};
        int r = make_durable(sync, entries, n, &failure);
        (void)pthread_mutex_lock(&sync->lock);
        if (r < 0)
            sync->failure = failure;
    }
    (void)pthread_cond_broadcast(&sync->changed);
    (void)pthread_mutex_unlock(&sync->lock);
    return NULL;
}

int tile_sync_open(struct tiff_writer *const *writers, size_t n_writers,
                   struct tile_journal *journal, struct tile_sync **ret, struct failure *failure) {
    struct tile_sync *sync = calloc(1, sizeof(*sync));
    if (!sync)
        return failure_set(failure, -ENOMEM, "no memory to sync the outputs");
    sync->writers = writers;
    sync->n_writers = n_writers;
    sync->journal = journal;
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic); /* these four fail for wrong arguments only */
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sync->changed, &monotonic);
    (void)pthread_mutex_init(&sync->lock, NULL);
    (void)pthread_condattr_destroy(&monotonic);
    int r = -pthread_create(&sync->thread, NULL, work, sync);
    if (r < 0) {
        free(sync);
        return failure_set_errno(failure, r, "cannot start the thread that syncs the outputs");
    }
    *ret = sync;
    return 0;
}

static int pass_on(const struct tile_sync *sync, struct failure *failure) {
    if (sync->failure.code < 0 && failure)
        *failure = sync->failure;
    return sync->failure.code;
}

int tile_sync_put(struct tile_sync *sync, const struct tile_journal_entry *entry,
                  struct failure *failure) {
    (void)pthread_mutex_lock(&sync->lock);
    while (sync->n_waiting == MOST_WAITING && sync->failure.code == 0)
        (void)pthread_cond_wait(&sync->changed, &sync->lock);
    int r = pass_on(sync, failure);
    if (r == 0) {
        sync->waiting[sync->n_waiting++] = *entry;
        if (sync->n_waiting == MOST_WAITING)
            (void)pthread_cond_broadcast(&sync->changed);
    }
    (void)pthread_mutex_unlock(&sync->lock);
    return r;
}

int tile_sync_close(struct tile_sync *sync, struct failure *failure) {
    if (!sync)
        return 0;
    (void)pthread_mutex_lock(&sync->lock);
    sync->ending = true;
    (void)pthread_cond_broadcast(&sync->changed);
    (void)pthread_mutex_unlock(&sync->lock);
    (void)pthread_join(sync->thread, NULL);
    int r = pass_on(sync, failure);
    (void)pthread_cond_destroy(&sync->changed);
    (void)pthread_mutex_destroy(&sync->lock);
    free(sync);
    return r;
}
