/* The tracked allocator: alignment, zeroes, budget, high-water marks, threads. The allocator's
 * state is the process's, so each test speaks of differences. */
#include "worker/memory/tracked.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static void zeroed_and_aligned(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 65, 4096, 100000, 1 << 20, 5000001};
    for (int round = 0; round < 2; round++) { /* the second round meets used memory */
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            CLEANUP_TRACKED unsigned char *buffer = tracked_alloc(sizes[i], 1, "aligned");
            assert_non_null(buffer);
            assert_int_equal((uintptr_t)buffer % 64, 0);
            for (size_t k = 0; k < sizes[i]; k++) {
                if (buffer[k])
                    fail_msg("byte %zu of %zu is not zero", k, sizes[i]);
            }
            memset(buffer, 0xaa, sizes[i]);
        }
    }
    assert_int_equal(tracked_now(), 0);
}

static void overflow_is_refused(void **state) {
    (void)state;
    assert_null(tracked_alloc(SIZE_MAX / 2, 3, "overflow"));
    assert_null(tracked_alloc(SIZE_MAX, 1, "overflow"));
    assert_null(tracked_alloc(SIZE_MAX - 64, 1, "overflow"));
    assert_int_equal(tracked_now(), 0);
}

static void budget_is_kept(void **state) {
    (void)state;
    tracked_set_budget(1000);
    CLEANUP_TRACKED void *most = tracked_alloc(900, 1, "most");
    assert_non_null(most);
    assert_null(tracked_alloc(101, 1, "too much"));
    CLEANUP_TRACKED void *rest = tracked_alloc(100, 1, "rest");
    assert_non_null(rest);
    assert_int_equal(tracked_now(), 1000);
    assert_int_equal(tracked_budget(), 1000);
    assert_null(tracked_alloc(1, 1, "too much"));
    tracked_set_budget(0);
}

static void peak_knows_what_stood(void **state) {
    (void)state;
    tracked_set_stage("early");
    void *small = tracked_alloc(10000000, 1, "small");
    tracked_set_stage("late");
    void *large = tracked_alloc(10, 3000000, "large");
    void *second = tracked_alloc(1000000, 5, "small");
    assert_non_null(small);
    assert_non_null(large);
    assert_non_null(second);
    tracked_free(small);
    tracked_free(large);
    tracked_set_stage("end");
    tracked_free(second);
    struct tracked_peak peak;
    tracked_get_peak(&peak);
    assert_int_equal(peak.bytes, 45000000);
    assert_string_equal(peak.stage, "late");
    assert_int_equal(peak.n_buffers, 2);
    assert_string_equal(peak.buffers[0].label, "large");
    assert_int_equal(peak.buffers[0].bytes, 30000000);
    assert_string_equal(peak.buffers[1].label, "small");
    assert_int_equal(peak.buffers[1].bytes, 15000000);
}

static void stage_peak_starts_anew(void **state) {
    (void)state;
    CLEANUP_TRACKED void *standing = tracked_alloc(500, 1, "standing");
    (void)tracked_take_stage_peak();
    tracked_free(tracked_alloc(3000, 1, "passing"));
    assert_int_equal(tracked_take_stage_peak(), 3500);
    assert_int_equal(tracked_take_stage_peak(), 500);
}

static void *churn(void *unused) {
    (void)unused;
    for (int i = 0; i < 2000; i++)
        tracked_free(tracked_alloc((size_t)(1 + i % 7) * 1000, 1, i % 2 ? "even" : "odd"));
    return NULL;
}

static void threads_add_up(void **state) {
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(tracked_now(), 0);
}

/* Late, because labels are never forgotten. */
static void many_labels_share_one_place(void **state) {
    (void)state;
    static char names[2 * TRACKED_MAX_LABELS][16];
    void *buffers[2 * TRACKED_MAX_LABELS];
    for (size_t i = 0; i < ARRAY_LEN(buffers); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "label %zu", i);
        buffers[i] = tracked_alloc(1 << 20, 1, names[i]);
        assert_non_null(buffers[i]);
    }
    struct tracked_peak peak;
    tracked_get_peak(&peak);
    assert_string_equal(peak.buffers[0].label, "other");
    uint64_t sum = 0;
    for (size_t i = 0; i < peak.n_buffers; i++)
        sum += peak.buffers[i].bytes;
    assert_int_equal(sum, peak.bytes);
    for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
        tracked_free(buffers[i]);
    assert_int_equal(tracked_now(), 0);
}

static void count_calls(void *context) {
    struct tracked_peak peak;
    tracked_get_peak(&peak); /* as a report does: it must not stand still here */
    (*(int *)context)++;
}

static void a_clear_rise_is_told(void **state) {
    (void)state;
    int calls = 0;
    struct tracked_peak peak;
    tracked_get_peak(&peak);
    tracked_watch(count_calls, &calls);
    const size_t high = (size_t)peak.bytes + (200 << 20), twentieth = high / 20;
    CLEANUP_TRACKED void *first = tracked_alloc(high, 1, "first");
    assert_int_equal(calls, 1);
    CLEANUP_TRACKED void *little = tracked_alloc(twentieth - 1, 1, "little");
    assert_int_equal(calls, 1);
    CLEANUP_TRACKED void *dust = tracked_alloc(1, 1, "dust"); /* together they are a twentieth */
    assert_int_equal(calls, 2);
    tracked_watch(NULL, NULL);
    CLEANUP_TRACKED void *unwatched = tracked_alloc(high, 1, "unwatched");
    assert_int_equal(calls, 2);
    assert_true(first && little && dust && unwatched);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_and_aligned),
        cmocka_unit_test(overflow_is_refused),
        cmocka_unit_test(budget_is_kept),
        cmocka_unit_test(peak_knows_what_stood),
        cmocka_unit_test(stage_peak_starts_anew),
        cmocka_unit_test(threads_add_up),
        cmocka_unit_test(many_labels_share_one_place),
        cmocka_unit_test(a_clear_rise_is_told), /* last: it leaves a high mark */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
