/* See parallel.h. One shared counter hands out the items; there is no queue and no condition, so
 * nothing can wait for ever. */
#include "worker/align/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

struct shared {
    size_t items;
    parallel_item_cb item;
    void *context;
    atomic_size_t next;
    pthread_mutex_t lock; /* of r and failure */
    int r;
    struct failure failure;
};

struct crew_member {
    struct shared *shared;
    int thread;
    pthread_t handle;
};

static void *work(void *opaque) {
    struct crew_member *member = opaque;
    struct shared *shared = member->shared;
    for (;;) {
        size_t i = atomic_fetch_add(&shared->next, 1);
        if (i >= shared->items)
            return NULL;
        struct failure failure = {0};
        int r = shared->item(shared->context, member->thread, i, &failure);
        if (r < 0) {
            (void)pthread_mutex_lock(&shared->lock); /* cannot fail: ours, never nested */
            if (shared->r == 0) {
                shared->r = r;
                shared->failure = failure;
            }
            (void)pthread_mutex_unlock(&shared->lock);
            atomic_store(&shared->next, shared->items);
        }
    }
}

int parallel_threads(int threads) {
    return threads < 1 ? 1 : threads > PARALLEL_MAX_THREADS ? PARALLEL_MAX_THREADS : threads;
}

int parallel_run(size_t items, int threads, parallel_item_cb item, void *context,
                 struct failure *failure) {
    struct shared shared = {
        .items = items, .item = item, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct crew_member crew[PARALLEL_MAX_THREADS];
    int wanted = parallel_threads(threads), started = 1;
    crew[0] = (struct crew_member){.shared = &shared, .thread = 0};
    while (started < wanted && (size_t)started < items) {
        crew[started] = (struct crew_member){.shared = &shared, .thread = started};
        if (pthread_create(&crew[started].handle, NULL, work, &crew[started]) != 0)
            break; /* fewer hands, the same result */
        started++;
    }
    (void)work(&crew[0]);
    for (int i = 1; i < started; i++)
        (void)pthread_join(crew[i].handle, NULL); /* cannot fail: joinable, joined once */
    if (shared.r < 0 && failure)
        *failure = shared.failure;
    return shared.r;
}
