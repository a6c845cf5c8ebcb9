/* Items on threads: each once, in spite of errors and more threads than items. */
#include "worker/align/parallel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { ITEMS = 1000 };

struct tally {
    atomic_int seen[ITEMS];
    size_t failing;
};

static int count(void *opaque, int thread, size_t item, struct failure *failure) {
    struct tally *tally = opaque;
    if (thread < 0 || thread >= PARALLEL_MAX_THREADS)
        return failure_set(failure, -EINVAL, "thread %d", thread);
    atomic_fetch_add(&tally->seen[item], 1);
    if (item == tally->failing)
        return failure_set(failure, -EBADF, "item %zu failed", item);
    return 0;
}

static void each_item_once(void **state) {
    (void)state;
    static const int threads[] = {-3, 1, 2, 7, 1000};
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct tally tally = {.failing = ITEMS};
        struct failure failure = {0};
        assert_int_equal(parallel_run(ITEMS, threads[i], count, &tally, &failure), 0);
        for (size_t item = 0; item < ITEMS; item++)
            assert_int_equal(tally.seen[item], 1);
    }
    assert_int_equal(parallel_run(0, 4, count, NULL, NULL), 0);
}

static void an_error_stops_and_is_passed_on(void **state) {
    (void)state;
    struct tally tally = {.failing = 10};
    struct failure failure = {0};
    assert_int_equal(parallel_run(ITEMS, 1, count, &tally, &failure), -EBADF);
    assert_string_equal(failure.text, "item 10 failed");
    assert_int_equal(tally.seen[11], 0);
    tally = (struct tally){.failing = 10};
    assert_int_equal(parallel_run(ITEMS, 4, count, &tally, NULL), -EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_once),
        cmocka_unit_test(an_error_stops_and_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
