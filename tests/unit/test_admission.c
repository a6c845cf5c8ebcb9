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
        {0, 10, 0}, {1, 30, 1}, {2, 20, 0}, {3, 20, 0}, {4, 5, 1}};
    admission_sort(tasks, ARRAY_LEN(tasks));
    static const size_t expected[] = {2, 3, 0, 1, 4};
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        assert_int_equal(tasks[i].task, expected[i]);
    admission_sort(NULL, 0);
}

static void fit(void **state) {
    (void)state;
    static const struct admission_candidate tasks[] = {{0, 50, 0}, {1, 30, 0}, {2, 0, 0}};
    static const struct {
        size_t count;
        struct admission_room room; /* jobs, running, budget, reserved */
        ptrdiff_t pick;
    } table[] = {
        {0, {4, 0, 100, 0}, -1},   /* nothing waits */
        {3, {1, 0, 100, 0}, 0},    /* the largest first */
        {3, {1, 1, 100, 50}, -1},  /* no job is free */
        {3, {4, 1, 100, 50}, 0},   /* fits to the byte */
        {3, {4, 1, 100, 51}, 1},   /* backfill */
        {3, {4, 2, 100, 90}, 2},   /* one that reserves nothing */
        {3, {4, 2, 100, 100}, 2},  /* the budget is used up */
        {3, {4, 2, 100, 120}, -1}, /* overdrawn by force */
        {2, {4, 2, 100, 80}, -1},  /* nothing fits */
        {3, {4, 0, 10, 0}, 0},     /* above the whole budget: alone */
        {3, {4, 3, 0, 1000}, 0},   /* no budget */
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(admission_pick(tasks, table[i].count, &table[i].room), table[i].pick);
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
            waiting[i] = (struct admission_candidate){i, seed >> 16 & 127, 0};
        }
        admission_sort(waiting, n_waiting);
        struct admission_room room = {.jobs = 1 + round % 8, .budget_bytes = 100};
        while (done < ARRAY_LEN(waiting)) {
            ptrdiff_t at = admission_pick(waiting, n_waiting, &room);
            if (at >= 0) {
                running[room.running++] = waiting[at].memory_bytes;
                room.reserved_bytes += waiting[at].memory_bytes;
                n_waiting--;
                memmove(waiting + at, waiting + at + 1,
                        (n_waiting - (size_t)at) * sizeof(*waiting));
                assert_true(room.running <= room.jobs);
                assert_true(room.running == 1 || room.reserved_bytes <= room.budget_bytes);
                continue;
            }
            assert_true(room.running > 0);
            room.reserved_bytes -= running[--room.running];
            done++;
        }
        assert_int_equal(n_waiting, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(fit),
        cmocka_unit_test(batches_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
