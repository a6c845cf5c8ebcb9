/* retry: every verdict, and the ends of the count. */
#include "supervisor/engine/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

static void rows(void **state) {
    (void)state;
    static const struct {
        struct retry_facts facts;
        bool wanted;
    } table[] = {
        {{VERDICT_OK, false, "", 1, 5}, false},
        {{VERDICT_DOUBTFUL, false, "", 1, 5}, false},
        {{VERDICT_TIMEOUT, false, "", 1, 5}, false},
        {{VERDICT_OOM_LIMIT, false, "", 1, 5}, false},
        {{VERDICT_CANCELLED, false, "", 1, 5}, false},
        {{VERDICT_LOST, false, "", 1, 5}, false},
        {{VERDICT_STALLED, false, "", 1, 1}, true},
        {{VERDICT_KILLED, false, "", 1, 1}, true},
        {{VERDICT_CRASHED, true, "", 1, 1}, true},
        {{VERDICT_OOM_MACHINE, false, "", 1, 1}, true},
        {{VERDICT_CRASHED, false, "", 2, 1}, false},
        {{VERDICT_CRASHED, false, "", 5, 5}, true},
        {{VERDICT_CRASHED, false, "", 6, 5}, false},
        {{VERDICT_CRASHED, false, "", 1, 0}, false},
        {{VERDICT_FAILED, false, "input", 1, 5}, false},
        {{VERDICT_FAILED, false, "environment", 1, 5}, true},
        {{VERDICT_FAILED, false, "environment", 2, 5}, false},
        {{VERDICT_FAILED, false, "environment", 1, 0}, false},
        {{VERDICT_FAILED, true, "environment", 1, 5}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(retry_wanted(&table[i].facts), table[i].wanted);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
