/* Back into order: many threads, few parcels, each position delivered once and in its turn; and an
 * error lets nobody wait for ever. */
#include "worker/output/tile_order.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { THREADS = 4, PARCELS = 6, FIRST = 1000, POSITIONS = 5000 };

struct parcel {
    uint64_t position;
};

struct world {
    struct tile_order *order;
    struct parcel parcels[PARCELS];
    atomic_ullong dealt;
    uint64_t delivered, fails_at, stops_at; /* positions from FIRST; 0: never */
    bool wrong;
    atomic_int n_failed;
};

/* No lock: deliveries come one at a time. */
static int deliver(void *context, void *item, struct failure *failure) {
    struct world *world = context;
    const struct parcel *parcel = item;
    if (parcel->position != FIRST + world->delivered)
        world->wrong = true;
    world->delivered++;
    return world->fails_at && world->delivered == world->fails_at
               ? failure_set(failure, -ENOSPC, "no space for %d", (int)parcel->position)
               : 0;
}

static void *work(void *context) {
    struct world *world = context;
    struct failure failure = {0};
    void *item = NULL;
    uint32_t random = (uint32_t)(uintptr_t)&random;
    int r = tile_order_take(world->order, &item, &failure);
    while (r == 0) {
        uint64_t dealt = atomic_fetch_add(&world->dealt, 1);
        if (dealt >= POSITIONS)
            return NULL;
        if (world->stops_at && dealt == world->stops_at) {
            struct failure why = {0};
            tile_order_stop(world->order, failure_set(&why, -EIO, "cannot read"), &why);
            r = -EIO;
            break;
        }
        struct parcel *parcel = item;
        parcel->position = FIRST + dealt;
        random = random * 1664525U + 1013904223U;
        for (volatile uint32_t i = 0; i < random >> 20; i++) /* tiles are not alike */
            ;
        r = tile_order_put(world->order, parcel->position, parcel, &failure);
        if (r == 0)
            r = tile_order_take(world->order, &item, &failure);
    }
    if ((r == -ENOSPC && strstr(failure.text, "no space for")) || r == -EIO)
        atomic_fetch_add(&world->n_failed, 1);
    return NULL;
}

static void run(struct world *world) {
    void *loose[PARCELS];
    for (size_t i = 0; i < PARCELS; i++)
        loose[i] = &world->parcels[i];
    world->order = tile_order_new(FIRST, loose, PARCELS, deliver, world);
    assert_non_null(world->order);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, world), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    tile_order_free(world->order);
    assert_false(world->wrong);
}

static void all_are_delivered_in_order(void **state) {
    (void)state;
    struct world world = {0};
    run(&world);
    assert_int_equal(world.delivered, POSITIONS);
    tile_order_free(NULL);
}

static void a_failed_delivery_is_the_last(void **state) {
    (void)state;
    struct world world = {.fails_at = 1234};
    run(&world);
    assert_int_equal(world.delivered, 1234);
    assert_int_equal(world.n_failed, THREADS);
}

static void a_position_that_never_comes(void **state) {
    (void)state;
    struct world world = {.stops_at = 777};
    run(&world);
    assert_true(world.delivered <= 777);
    assert_int_equal(world.n_failed, THREADS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_delivered_in_order),
        cmocka_unit_test(a_failed_delivery_is_the_last),
        cmocka_unit_test(a_position_that_never_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
