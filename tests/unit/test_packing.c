/* packing: small tasks are kept for the gaps beside the large ones; batches end sooner than by
 * "largest first", and never later than by much; what cannot be told is not told. */
#include "supervisor/engine/packing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

enum { MAX_TASKS = 120, MAX_JOBS = 8 };

struct batch {
    struct admission_candidate waiting[MAX_TASKS];
    size_t n_waiting;
    struct packing_running running[MAX_JOBS];
    struct admission_room room;
    int64_t now_ms;
};

static uint64_t random_state = 1;

static uint64_t below(uint64_t most) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random_state >> 33) % most;
}

static void start(struct batch *batch, size_t at) {
    const struct admission_candidate one = batch->waiting[at];
    batch->running[batch->room.running++] =
        (struct packing_running){one.memory_bytes, one.margin_bytes, one.time_ms};
    admission_load_add(&batch->room.load, one.memory_bytes, one.margin_bytes);
    assert_true(admission_load_bytes(&batch->room.load) <= batch->room.budget_bytes);
    batch->n_waiting--;
    memmove(batch->waiting + at, batch->waiting + at + 1,
            (batch->n_waiting - at) * sizeof(*batch->waiting));
}

static void end_next(struct batch *batch) {
    size_t next = 0, n = (size_t)batch->room.running;
    for (size_t i = 0; i < n; i++)
        if (batch->running[i].left_ms < batch->running[next].left_ms)
            next = i;
    const int64_t gone_ms = batch->running[next].left_ms;
    batch->running[next] = batch->running[--n];
    batch->room.running--;
    batch->room.load = (struct admission_load){0};
    for (size_t i = 0; i < n; i++) {
        batch->running[i].left_ms -= gone_ms;
        admission_load_add(&batch->room.load, batch->running[i].memory_bytes,
                           batch->running[i].margin_bytes);
    }
    batch->now_ms += gone_ms;
}

/* When the whole batch has ended. */
static int64_t run(struct batch batch, bool packs) {
    for (;;) {
        ptrdiff_t at = admission_pick(batch.waiting, batch.n_waiting, &batch.room);
        if (at >= 0 && packs) {
            const ptrdiff_t better =
                packing_pick(batch.waiting, batch.n_waiting, batch.running, &batch.room);
            assert_true(better < (ptrdiff_t)batch.n_waiting);
            at = better < 0 ? at : better;
        }
        if (at >= 0)
            start(&batch, (size_t)at);
        else if (batch.room.running > 0)
            end_next(&batch);
        else
            break;
    }
    assert_int_equal(batch.n_waiting, 0);
    return batch.now_ms;
}

static void batches_end_sooner(void **state) {
    (void)state;
    double gain = 0;
    int worse = 0;
    for (int round = 0; round < 60; round++) {
        struct batch batch = {.n_waiting = 10 + below(MAX_TASKS - 10),
                              .room = {.jobs = 2 + (int)below(MAX_JOBS - 1)}};
        for (size_t i = 0; i < batch.n_waiting; i++)
            batch.waiting[i] = (struct admission_candidate){
                .task = i,
                .memory_bytes = 50 + below(300),
                .time_ms = round % 2 ? 1000 : 500 + (int64_t)below(5000),
                .stage = ADMISSION_KNOWN,
            };
        batch.room.budget_bytes = 400 + below(900);
        admission_sort(batch.waiting, batch.n_waiting);
        const int64_t largest_first_ms = run(batch, false), packed_ms = run(batch, true);
        gain += 1 - (double)packed_ms / (double)largest_first_ms;
        worse += packed_ms > largest_first_ms + largest_first_ms / 50;
    }
    print_message("%.1f %% sooner, %d of 60 later\n", 100 * gain / 60, worse);
    assert_true(gain / 60 > 0.02);
    assert_true(worse <= 3);
}

/* 60 + 60 leave 40 for a small one: each small one has its place beside a large one. */
static void gaps_are_filled(void **state) {
    (void)state;
    struct batch batch = {.n_waiting = 4, .room = {.jobs = 4, .budget_bytes = 100}};
    static const uint64_t needs[] = {60, 60, 40, 40};
    for (size_t i = 0; i < 4; i++)
        batch.waiting[i] = (struct admission_candidate){
            .task = i, .memory_bytes = needs[i], .time_ms = 1000, .stage = ADMISSION_KNOWN};
    assert_int_equal(run(batch, true), 2000);
}

static void what_cannot_be_told(void **state) {
    (void)state;
    struct admission_candidate tasks[] = {
        {.task = 0, .memory_bytes = 9, .time_ms = 10, .stage = ADMISSION_KNOWN},
        {.task = 1, .memory_bytes = 8, .time_ms = 10, .stage = ADMISSION_KNOWN},
    };
    const struct packing_running running[] = {{95, 0, 5}};
    struct admission_room room = {.jobs = 2, .budget_bytes = 100};
    assert_int_equal(packing_pick(tasks, 0, NULL, &room), -1);
    assert_int_equal(packing_pick(tasks, 2, NULL, &room), 0);
    room.running = 1;
    room.load.sure_bytes = 95;
    assert_int_equal(packing_pick(tasks, 2, running, &room), -1); /* nothing fits */
    room.running = 2;
    assert_int_equal(packing_pick(tasks, 2, running, &room), -1); /* no job is free */
    room = (struct admission_room){.jobs = PACKING_MOST_JOBS + 1, .budget_bytes = 100};
    assert_int_equal(packing_pick(tasks, 2, NULL, &room), -1);
    room.jobs = 2;
    tasks[1].time_ms = 0;
    assert_int_equal(packing_pick(tasks, 2, NULL, &room), -1); /* how long is not known */
}

/* It would run alone and first, while what is known of it is least. */
static void what_is_too_large_comes_last(void **state) {
    const struct admission_candidate tasks[] = {
        {.task = 0, .memory_bytes = 888, .stage = ADMISSION_KNOWN, .time_ms = 3000},
        {.task = 1, .memory_bytes = 282, .stage = ADMISSION_KNOWN, .time_ms = 1600},
        {.task = 2, .memory_bytes = 106, .stage = ADMISSION_KNOWN, .time_ms = 900},
    };
    const struct admission_room room = {.jobs = 3, .budget_bytes = 400};
    (void)state;
    assert_int_equal(packing_pick(tasks, 3, NULL, &room), 1);
    assert_int_equal(packing_pick(tasks, 1, NULL, &room), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_end_sooner),
        cmocka_unit_test(gaps_are_filled),
        cmocka_unit_test(what_cannot_be_told),
        cmocka_unit_test(what_is_too_large_comes_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
