/* admission: the order, the fit, and that every batch comes to its end within its budget. */
#include "supervisor/engine/admission.h"

#include "common/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

static void order(void **state) {
    (void)state;
    struct admission_candidate tasks[] = {
        {.task = 0, .memory_bytes = 10, .stage = ADMISSION_KNOWN},
        {.task = 1, .memory_bytes = 30, .tries = 1, .stage = ADMISSION_KNOWN},
        {.task = 2, .memory_bytes = 20, .stage = ADMISSION_KNOWN},
        {.task = 3, .memory_bytes = 20, .stage = ADMISSION_KNOWN},
        {.task = 4, .memory_bytes = 5, .tries = 1, .stage = ADMISSION_KNOWN},
        {.task = 5, .memory_bytes = 1, .stage = ADMISSION_LEARNING},
        {.task = 6, .size = 7, .kind = 1},
        {.task = 7, .size = 9},
        {.task = 8, .size = 3},
        {.task = 9, .memory_bytes = 40, .is_beside = true, .stage = ADMISSION_KNOWN},
        {.task = 10, .memory_bytes = 50, .is_beside = true, .stage = ADMISSION_KNOWN},
    };
    admission_sort(tasks, ARRAY_LEN(tasks));
    static const size_t expected[] = {8, 7, 6, 5, 2, 3, 0, 10, 9, 1, 4};
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        assert_int_equal(tasks[i].task, expected[i]);
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        assert_int_equal(admission_place(tasks, ARRAY_LEN(tasks), &tasks[i]), i);
    admission_sort(NULL, 0);
}

/* It only takes what nobody else can use. */
static void beside_its_kin(void **state) {
    (void)state;
    static const struct admission_candidate tasks[] = {
        {.task = 0, .memory_bytes = 30, .stage = ADMISSION_KNOWN},
        {.task = 1, .memory_bytes = 50, .is_beside = true, .stage = ADMISSION_KNOWN},
        {.task = 2, .memory_bytes = 20, .is_beside = true, .stage = ADMISSION_KNOWN},
    };
    static const struct {
        uint64_t used_bytes;
        ptrdiff_t pick;
    } table[] = {{50, 0}, {70, 0}, {75, 2}, {85, -1}};
    assert_int_equal(admission_known(tasks, ARRAY_LEN(tasks)), 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct admission_room room = {
            .jobs = 4, .running = 1, .budget_bytes = 100, .load = {table[i].used_bytes, 0}};
        assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), table[i].pick);
    }
}

static void fit(void **state) {
    (void)state;
    static const struct admission_candidate tasks[] = {
        {.task = 0, .memory_bytes = 50, .stage = ADMISSION_KNOWN},
        {.task = 1, .memory_bytes = 30, .stage = ADMISSION_KNOWN},
        {.task = 2, .memory_bytes = 0, .stage = ADMISSION_KNOWN},
    };
    static const struct {
        size_t count;
        struct admission_room room; /* jobs, running, budget, load, turns */
        ptrdiff_t pick;
    } table[] = {
        {0, {4, 0, 100, {0, 0}, 0, 0}, -1},   /* nothing waits */
        {3, {1, 0, 100, {0, 0}, 0, 0}, 0},    /* the largest first */
        {3, {1, 1, 100, {50, 0}, 0, 0}, -1},  /* no job is free */
        {3, {4, 1, 100, {50, 0}, 0, 0}, 0},   /* fits to the byte */
        {3, {4, 1, 100, {51, 0}, 0, 0}, 1},   /* backfill */
        {3, {4, 2, 100, {90, 0}, 0, 0}, 2},   /* one that reserves nothing */
        {3, {4, 2, 100, {100, 0}, 0, 0}, 2},  /* the budget is used up */
        {3, {4, 2, 100, {120, 0}, 0, 0}, -1}, /* overdrawn by force */
        {2, {4, 2, 100, {80, 0}, 0, 0}, -1},  /* nothing fits */
        {3, {4, 0, 10, {0, 0}, 0, 0}, 2},     /* the one that fits */
        {2, {4, 0, 10, {0, 0}, 0, 0}, 0},     /* above the whole budget: alone */
        {3, {4, 3, 0, {1000, 0}, 0, 0}, 0},   /* no budget */
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(admission_pick(tasks, table[i].count, &table[i].room), table[i].pick);
}

/* Of an unknown kind one runs alone; with one size known, small ones fill the other jobs. */
static void careful_start(void **state) {
    (void)state;
    struct admission_candidate tasks[8];
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        tasks[i] = (struct admission_candidate){.task = i, .size = (double)(8 - i)};
    admission_sort(tasks, ARRAY_LEN(tasks));
    struct admission_room room = {.jobs = 4, .budget_bytes = 1000};
    const ptrdiff_t first = admission_pick(tasks, ARRAY_LEN(tasks), &room);
    assert_int_equal(first, 3);
    assert_true(tasks[first].size > 3 && tasks[first].size < 6); /* middling */
    room.running = 1;
    room.load.sure_bytes = 1000;
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), -1);
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
        tasks[i].stage = ADMISSION_LEARNING;
        tasks[i].memory_bytes = 100 * (i + 1);
    }
    admission_sort(tasks, ARRAY_LEN(tasks)); /* 800, 700, ..., 100 */
    room.running = 0;
    room.load.sure_bytes = 0;
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), 4); /* 400 beside 1 + 2 + 3 */
    room.running = 3;
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), 0);
    room.running = 1;
    room.load.sure_bytes = 850;
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), 7);
    room = (struct admission_room){.jobs = 4, .budget_bytes = 50}; /* all bounds are above it */
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), 7);
}

/* The largest margin is kept free, all else adds up in full. */
static void one_margin(void **state) {
    (void)state;
    struct admission_load load = {0};
    admission_load_add(&load, 130, 30);
    assert_int_equal(admission_load_bytes(&load), 130);
    admission_load_add(&load, 140, 40);
    assert_int_equal(admission_load_bytes(&load), 240);
    const struct admission_candidate task = {
        .memory_bytes = 130, .margin_bytes = 20, .stage = ADMISSION_KNOWN};
    struct admission_room room = {.jobs = 9, .running = 2, .budget_bytes = 350, .load = load};
    assert_int_equal(admission_pick(&task, 1, &room), 0);
    room.budget_bytes--;
    assert_int_equal(admission_pick(&task, 1, &room), -1);
    admission_load_add(&load, UINT64_MAX, 0);
    assert_true(admission_load_bytes(&load) == UINT64_MAX);
}

/* A lower rank goes first; a higher one takes what is left over, but only so often. */
static void ranks(void **state) {
    (void)state;
    struct admission_candidate tasks[] = {
        {.task = 0, .rank = 2, .memory_bytes = 90, .stage = ADMISSION_KNOWN},
        {.task = 1, .rank = 1, .memory_bytes = 20, .tries = 1, .stage = ADMISSION_KNOWN},
        {.task = 2, .rank = 1, .memory_bytes = 60, .stage = ADMISSION_KNOWN},
        {.task = 3, .rank = 2, .memory_bytes = 10, .stage = ADMISSION_KNOWN},
        {.task = 4, .rank = 1, .size = 1},
    };
    admission_sort(tasks, ARRAY_LEN(tasks));
    static const uint64_t expected[] = {4, 2, 1, 0, 3};
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        assert_int_equal(tasks[i].task, expected[i]);
    struct admission_room room = {.jobs = 2, .budget_bytes = 100};
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), 0); /* unknown: alone */
    room = (struct admission_room){
        .jobs = 2, .running = 1, .budget_bytes = 100, .load.sure_bytes = 50};
    const struct admission_candidate *known = tasks + 1;
    assert_int_equal(admission_pick(known, 4, &room), 1); /* of its own rank, a later try */
    room.load.sure_bytes = 85;
    assert_int_equal(admission_pick(known, 4, &room), 3);
    room.overtaken = 3;
    assert_int_equal(admission_pick(known, 4, &room), 3);
    room.overtaken = 4;
    assert_int_equal(admission_pick(known, 4, &room), -1);
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), -1); /* not even unknown */
    room.running = 0;
    room.load.sure_bytes = 0;
    assert_int_equal(admission_pick(tasks, ARRAY_LEN(tasks), &room), 0);
}

static void reasons_to_wait(void **state) {
    (void)state;
    const struct admission_candidate known = {.memory_bytes = 50, .stage = ADMISSION_KNOWN};
    const struct admission_candidate unknown = {.size = 1};
    struct admission_room room = {
        .jobs = 2, .running = 2, .budget_bytes = 100, .load.sure_bytes = 60};
    assert_int_equal(admission_why(&known, &room), ADMISSION_WAITS_FOR_JOB);
    room.running = 1;
    assert_int_equal(admission_why(&known, &room), ADMISSION_WAITS_FOR_MEMORY);
    assert_int_equal(admission_why(&unknown, &room), ADMISSION_WAITS_TO_BE_ALONE);
    room.load.sure_bytes = 40;
    assert_int_equal(admission_why(&known, &room), ADMISSION_WAITS_FOR_TURN);
    room.load.sure_bytes = 140;
    assert_int_equal(admission_why(&known, &room), ADMISSION_WAITS_FOR_LARGE);
    room = (struct admission_room){.jobs = 2, .budget_bytes = 10};
    assert_int_equal(admission_why(&known, &room), ADMISSION_WAITS_FOR_TURN);
}

/* Plays whole batches: the budget holds unless a task runs alone, and all are run. */
static void batches_come_to_an_end(void **state) {
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        struct admission_candidate waiting[40];
        uint64_t running[8];
        size_t n_waiting = ARRAY_LEN(waiting), done = 0;
        for (size_t i = 0; i < n_waiting; i++) {
            seed = seed * 1103515245 + 12345;
            waiting[i] = (struct admission_candidate){
                .task = i, .memory_bytes = seed >> 16 & 127, .stage = ADMISSION_KNOWN};
        }
        admission_sort(waiting, n_waiting);
        struct admission_room room = {.jobs = 1 + round % 8, .budget_bytes = 100};
        while (done < ARRAY_LEN(waiting)) {
            ptrdiff_t at = admission_pick(waiting, n_waiting, &room);
            if (at >= 0) {
                running[room.running++] = waiting[at].memory_bytes;
                room.load.sure_bytes += waiting[at].memory_bytes;
                n_waiting--;
                memmove(waiting + at, waiting + at + 1,
                        (n_waiting - (size_t)at) * sizeof(*waiting));
                assert_true(room.running <= room.jobs);
                assert_true(room.running == 1 || room.load.sure_bytes <= room.budget_bytes);
                continue;
            }
            assert_true(room.running > 0);
            room.load.sure_bytes -= running[--room.running];
            done++;
        }
        assert_int_equal(n_waiting, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(beside_its_kin),
        cmocka_unit_test(fit),
        cmocka_unit_test(careful_start),
        cmocka_unit_test(one_margin),
        cmocka_unit_test(ranks),
        cmocka_unit_test(reasons_to_wait),
        cmocka_unit_test(batches_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
