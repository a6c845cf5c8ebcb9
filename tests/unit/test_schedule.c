/* schedule: how long a batch takes, on tables and against what no order can beat. */
#include "supervisor/memory/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

static void tables(void **state) {
    (void)state;
    static const struct {
        struct schedule_task tasks[4];
        size_t n;
        int jobs;
        uint64_t budget;
        int64_t ms;
        int at_once;
    } cases[] = {
        {{{0, 0}}, 0, 3, 0, 0, 0},
        {{{10, 5}}, 1, 3, 0, 5, 1},
        {{{10, 5}, {10, 7}, {10, 9}}, 3, 1, 0, 21, 1},
        {{{10, 5}, {10, 7}, {10, 9}}, 3, 2, 0, 12, 2}, /* 9 | 7 5 */
        {{{10, 5}, {10, 7}, {10, 9}}, 3, 9, 0, 9, 3},
        {{{10, 5}, {10, 7}, {10, 9}}, 3, 9, 20, 12, 2}, /* memory bounds */
        {{{10, 5}, {10, 7}, {10, 9}}, 3, 9, 19, 21, 1},
        {{{90, 5}, {10, 7}, {10, 9}}, 3, 9, 50, 14, 2}, /* above the budget: alone */
        {{{60, 5}, {50, 5}, {40, 5}, {5, 9}}, 4, 9, 100, 14, 2},
        {{{60, 5}, {50, 5}, {40, 5}, {5, 9}}, 4, 9, 105, 10, 3}, /* backfill */
        {{{10, 5}, {10, 0}}, 2, 1, 0, 5, 1},                     /* of unknown length */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct schedule_task tasks[4];
        int64_t ms = -1;
        int at_once = -1;
        for (size_t j = 0; j < ARRAY_LEN(tasks); j++)
            tasks[j] = cases[i].tasks[j];
        print_message("case %zu\n", i);
        assert_int_equal(
            schedule_play(tasks, cases[i].n, cases[i].jobs, cases[i].budget, &ms, &at_once), 0);
        assert_int_equal(ms, cases[i].ms);
        assert_int_equal(at_once, cases[i].at_once);
    }
}

/* Of thousands only bounds are told: what a played batch of the same kind comes close to. */
static void bounds_agree_with_play(void **state) {
    (void)state;
    enum { MANY = 4000, FEW = 2000 };
    struct schedule_task *tasks = calloc(MANY, sizeof(*tasks));
    assert_non_null(tasks);
    int64_t many_ms = 0, few_ms = 0;
    int at_once;
    for (int half = 0; half < 2; half++) {
        for (size_t i = 0; i < MANY; i++)
            tasks[i] =
                (struct schedule_task){100 + i * 7919 % 300, 10 + (int64_t)(i * 104729 % 90)};
        assert_int_equal(
            schedule_play(tasks, half ? FEW : MANY, 8, 1500, half ? &few_ms : &many_ms, &at_once),
            0);
        assert_int_equal(at_once, 8); /* of the smallest */
    }
    int64_t ms;
    assert_int_equal(schedule_play(tasks, MANY, 8, 499, &ms, &at_once), 0);
    assert_int_equal(at_once, 4); /* memory bounds */
    print_message("%lld and %lld\n", (long long)many_ms, (long long)few_ms);
    assert_in_range(2 * few_ms, many_ms, many_ms + many_ms / 10);
    free(tasks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(bounds_agree_with_play),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
