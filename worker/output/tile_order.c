/* A handful of slots under one lock, searched from end to end; see tile_order.h. */
#include "worker/output/tile_order.h"

#include <pthread.h>
#include <stdbool.h>

struct slot {
    void *parcel;      /* borrowed; NULL: somebody fills it */
    uint64_t position; /* that it waits for; FREE_SLOT: none */
};

#define FREE_SLOT UINT64_MAX

struct tile_order {
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t freed;
    struct slot *slots;
    size_t n;
    uint64_t next; /* to be delivered */
    bool delivering;
    tile_order_cb deliver;
    void *context;
    int error;
    struct failure failure;
};

struct tile_order *tile_order_new(uint64_t first, void *const *parcels, size_t n,
                                  tile_order_cb deliver, void *context) {
    struct tile_order *order = calloc(1, sizeof(*order));
    struct slot *slots = calloc(n, sizeof(*slots));
    if (!order || !slots) {
        free(order);
        free(slots);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        slots[i] = (struct slot){.parcel = parcels[i], .position = FREE_SLOT};
    order->slots = slots;
    order->n = n;
    order->next = first;
    order->deliver = deliver;
    order->context = context;
    (void)pthread_mutex_init(&order->lock, NULL); /* with default attributes neither can fail */
    (void)pthread_cond_init(&order->freed, NULL);
    return order;
}

void tile_order_free(struct tile_order *order) {
    if (!order)
        return;
    (void)pthread_cond_destroy(&order->freed);
    (void)pthread_mutex_destroy(&order->lock);
    free(order->slots);
    free(order);
}

static int pass_on(const struct tile_order *order, struct failure *failure) {
    if (order->error < 0 && failure)
        *failure = order->failure;
    return order->error;
}

/* The slot with a parcel for this position; NULL: there is none. */
static struct slot *find(const struct tile_order *order, uint64_t position) {
    for (size_t i = 0; i < order->n; i++)
        if (order->slots[i].parcel && order->slots[i].position == position)
            return &order->slots[i];
    return NULL;
}

int tile_order_take(struct tile_order *order, void **ret, struct failure *failure) {
    (void)pthread_mutex_lock(&order->lock);
    struct slot *slot = NULL;
    while (order->error == 0 && !(slot = find(order, FREE_SLOT)))
        (void)pthread_cond_wait(&order->freed, &order->lock);
    if (slot) {
        *ret = slot->parcel;
        slot->parcel = NULL;
    }
    int r = pass_on(order, failure);
    (void)pthread_mutex_unlock(&order->lock);
    return r;
}

/* Called with the lock, which is open during each delivery. */
static void deliver_due(struct tile_order *order) {
    struct slot *slot;
    order->delivering = true;
    while (order->error == 0 && (slot = find(order, order->next))) {
        struct failure failure = {0};
        (void)pthread_mutex_unlock(&order->lock);
        int r = order->deliver(order->context, slot->parcel, &failure);
        (void)pthread_mutex_lock(&order->lock);
        if (r < 0 && order->error == 0) {
            order->error = r;
            order->failure = failure;
        }
        slot->position = FREE_SLOT;
        order->next++;
        (void)pthread_cond_broadcast(&order->freed);
    }
    order->delivering = false;
}

int tile_order_put(struct tile_order *order, uint64_t position, void *parcel,
                   struct failure *failure) {
    (void)pthread_mutex_lock(&order->lock);
    size_t i = 0;
    while (order->slots[i].parcel)
        i++;
    order->slots[i] = (struct slot){.parcel = parcel, .position = position};
    if (!order->delivering)
        deliver_due(order);
    int r = pass_on(order, failure);
    (void)pthread_mutex_unlock(&order->lock);
    return r;
}

void tile_order_stop(struct tile_order *order, int error, const struct failure *failure) {
    (void)pthread_mutex_lock(&order->lock);
    if (order->error == 0) {
        order->error = error;
        order->failure = *failure;
    }
    (void)pthread_cond_broadcast(&order->freed);
    (void)pthread_mutex_unlock(&order->lock);
}
