/* retry: every verdict, the ends of the count, and the steps after an out-of-memory death. */
#include "supervisor/engine/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

enum { M = 1 << 20 };

static void rows(void **state) {
    (void)state;
    static const struct {
        struct retry_facts facts;
        bool wanted;
    } table[] = {
        {{.verdict = VERDICT_OK, .cause = "", .tries = 1, .retries = 5}, false},
        {{.verdict = VERDICT_DOUBTFUL, .cause = "", .tries = 1, .retries = 5}, false},
        {{.verdict = VERDICT_TIMEOUT, .cause = "", .tries = 1, .retries = 5}, false},
        {{.verdict = VERDICT_CANCELLED, .cause = "", .tries = 1, .retries = 5}, false},
        {{.verdict = VERDICT_LOST, .cause = "", .tries = 1, .retries = 5}, false},
        {{.verdict = VERDICT_STALLED, .cause = "", .tries = 1, .retries = 1}, true},
        {{.verdict = VERDICT_KILLED, .cause = "", .tries = 1, .retries = 1}, true},
        {{.verdict = VERDICT_KILLED, .cause = "", .tries = 2, .retries = 1}, false},
        {{.verdict = VERDICT_CRASHED, true, "", .tries = 1, .retries = 1}, true},
        {{.verdict = VERDICT_CRASHED, .cause = "", .tries = 2, .retries = 1}, false},
        {{.verdict = VERDICT_CRASHED, .cause = "", .tries = 5, .retries = 5}, true},
        {{.verdict = VERDICT_CRASHED, .cause = "", .tries = 6, .retries = 5}, false},
        {{.verdict = VERDICT_CRASHED, .cause = "", .tries = 1, .retries = 0}, false},
        {{.verdict = VERDICT_FAILED, .cause = "input", .tries = 1, .retries = 5}, false},
        {{.verdict = VERDICT_FAILED, .cause = "environment", .tries = 1, .retries = 5}, true},
        {{.verdict = VERDICT_FAILED, .cause = "environment", .tries = 2, .retries = 5}, false},
        {{.verdict = VERDICT_FAILED, .cause = "environment", .tries = 1, .retries = 0}, false},
        {{.verdict = VERDICT_FAILED, true, "environment", .tries = 1, .retries = 5}, false},
        /* what ran out of memory before does not count as a crash */
        {{.verdict = VERDICT_CRASHED, .cause = "", .tries = 3, .retries = 1, .ooms = 2}, true},
        {{.verdict = VERDICT_CRASHED, .cause = "", .tries = 4, .retries = 1, .ooms = 2}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(retry_choose(&table[i].facts).step,
                         table[i].wanted ? RETRY_AGAIN : RETRY_NO);
}

/* What the attempts before held, and the step after. */
static struct retry_facts oom(enum verdict verdict, int ooms, uint64_t held, uint64_t budget) {
    return (struct retry_facts){
        .verdict = verdict,
        .cause = "",
        .tries = ooms,
        .retries = 1,
        .ooms = ooms,
        .is_likely_oom = true,
        .held_bytes = held,
        .budget_bytes = budget,
    };
}

static void expect_step(struct retry_facts facts, enum retry_step step, uint64_t floor_bytes) {
    const struct retry_choice choice = retry_choose(&facts);
    assert_int_equal(choice.step, step);
    assert_int_equal(choice.floor_bytes, floor_bytes);
}

static void out_of_memory(void **state) {
    (void)state;
    static const enum verdict verdicts[] = {VERDICT_OOM_LIMIT, VERDICT_OOM_MACHINE, VERDICT_KILLED};
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        expect_step(oom(verdicts[i], 1, 64 * M, 1024 * M), RETRY_LARGER, 96 * M);
        expect_step(oom(verdicts[i], 2, 96 * M, 1024 * M), RETRY_ALONE, 0);
        struct retry_facts last = oom(verdicts[i], 3, 1024 * M, 1024 * M);
        last.was_alone = true;
        expect_step(last, RETRY_NO, 0);
    }
}

static void out_of_memory_edges(void **state) {
    (void)state;
    /* no room for more beside others */
    expect_step(oom(VERDICT_OOM_LIMIT, 1, 64 * M, 96 * M), RETRY_ALONE, 0);
    expect_step(oom(VERDICT_OOM_LIMIT, 1, 64 * M, 96 * M + 1), RETRY_LARGER, 96 * M);
    expect_step(oom(VERDICT_OOM_LIMIT, 1, UINT64_MAX, UINT64_MAX), RETRY_ALONE, 0);
    expect_step(oom(VERDICT_KILLED, 1, 0, 96 * M), RETRY_ALONE, 0); /* nothing was measured */
    /* crashes before it leave it its chances */
    struct retry_facts facts = oom(VERDICT_OOM_MACHINE, 1, 64 * M, 1024 * M);
    facts.tries = 7;
    expect_step(facts, RETRY_LARGER, 96 * M);
    facts.retries = 0;
    expect_step(facts, RETRY_NO, 0);
    /* a kill that was not for memory is another count */
    facts = oom(VERDICT_KILLED, 0, 64 * M, 1024 * M);
    facts.is_likely_oom = false;
    facts.tries = 1;
    expect_step(facts, RETRY_AGAIN, 0);
    assert_false(retry_is_oom(VERDICT_CRASHED, true));
}

static void names(void **state) {
    (void)state;
    for (int i = 0; i < RETRY_COUNT; i++)
        assert_non_null(retry_step_name((enum retry_step)i));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(out_of_memory_edges),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
