/* The cache of decoded blocks against a plain model of "least recently used". */
#include "worker/tiff/block_cache.h"

#include "common/cleanup.h"
#include "worker/memory/tracked.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { BLOCK = 64, SLOTS = 7, INDICES = 23 };

/* The indices that are held, newest first. */
struct model {
    uint64_t held[SLOTS];
    size_t n;
};

static bool model_get(struct model *model, uint64_t index) {
    size_t at = 0;
    while (at < model->n && model->held[at] != index)
        at++;
    bool fresh = at == model->n;
    if (fresh && model->n < SLOTS)
        model->n++;
    else if (fresh)
        at--; /* the oldest gives way */
    memmove(model->held + 1, model->held, at * sizeof(*model->held));
    model->held[0] = index;
    return fresh;
}

static void replaces_the_least_recently_used(void **state) {
    (void)state;
    struct block_cache *cache = block_cache_new(BLOCK, SLOTS * BLOCK + BLOCK / 2);
    assert_non_null(cache);
    struct model model = {0};
    uint32_t random = 7;
    for (int round = 0; round < 20000; round++) {
        random = random * 1664525U + 1013904223U;
        uint64_t index = (uint64_t)(random >> 16) % INDICES << (random & 1 ? 40 : 0);
        bool fresh = false;
        uint64_t *block = block_cache_get(cache, index, &fresh);
        assert_int_equal(fresh, model_get(&model, index));
        if (fresh)
            memcpy(block, &index, sizeof(index));
        assert_int_equal(*block, index);
        block_cache_release(cache, block, true);
    }
    block_cache_free(cache);
}

/* Takes a block and gives it back at once. */
static bool was_fresh(struct block_cache *cache, uint64_t index, bool right) {
    bool fresh = false;
    void *block = block_cache_get(cache, index, &fresh);
    block_cache_release(cache, block, right);
    return fresh;
}

static void a_block_that_is_not_right_is_fresh_again(void **state) {
    (void)state;
    struct block_cache *cache = block_cache_new(BLOCK, 3 * BLOCK);
    assert_non_null(cache);
    assert_true(was_fresh(cache, 5, false));
    assert_true(was_fresh(cache, 5, true));
    assert_false(was_fresh(cache, 5, true));
    block_cache_free(cache);
}

static void one_block_is_always_held(void **state) {
    (void)state;
    struct block_cache *cache = block_cache_new(BLOCK, 0);
    assert_non_null(cache);
    for (uint64_t index = 0; index < 100; index++) {
        assert_true(was_fresh(cache, index, true));
        assert_false(was_fresh(cache, index, true));
    }
    block_cache_free(cache);
}

static void what_is_held_stays(void **state) {
    (void)state;
    struct block_cache *cache = block_cache_new(BLOCK, 3 * BLOCK);
    assert_non_null(cache);
    bool fresh = false;
    uint64_t *block = block_cache_get(cache, 1, &fresh);
    *block = 77;
    block_cache_release(cache, block, true);
    block = block_cache_get(cache, 1, &fresh);
    for (uint64_t index = 2; index < 50; index++)
        assert_true(was_fresh(cache, index, true));
    assert_int_equal(*block, 77);
    block_cache_release(cache, block, true);
    assert_false(was_fresh(cache, 1, true));
    block_cache_free(cache);
}

/* Fewer blocks than threads, and every hundredth filling fails: nobody ever sees another block's
 * bytes, nor waits for ever. */
static void *use_much(void *context) {
    struct block_cache *cache = context;
    uint32_t random = (uint32_t)(uintptr_t)&random;
    for (int round = 0; round < 20000; round++) {
        random = random * 1664525U + 1013904223U;
        uint64_t index = (uint64_t)(random >> 16) % INDICES;
        bool fresh = false, right = true;
        uint64_t *block = block_cache_get(cache, index, &fresh);
        if (fresh && random % 100 == 0)
            right = false;
        else if (fresh)
            for (size_t i = 0; i < BLOCK / sizeof(*block); i++)
                block[i] = index;
        for (size_t i = 0; right && i < BLOCK / sizeof(*block); i++)
            if (block[i] != index)
                return cache;
        block_cache_release(cache, block, right);
    }
    return NULL;
}

static void threads_share_it(void **state) {
    (void)state;
    for (uint64_t slots = 1; slots <= SLOTS; slots += 3) {
        struct block_cache *cache = block_cache_new(BLOCK, slots * BLOCK);
        assert_non_null(cache);
        pthread_t threads[4];
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, use_much, cache), 0);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
            void *wrong = NULL;
            assert_int_equal(pthread_join(threads[i], &wrong), 0);
            assert_null(wrong);
        }
        block_cache_free(cache);
    }
}

static void obeys_the_budget(void **state) {
    (void)state;
    tracked_set_budget(1 << 20);
    assert_null(block_cache_new(BLOCK, 2 << 20));
    assert_int_equal(tracked_now(), 0);
    tracked_set_budget(0);
    block_cache_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_the_least_recently_used),
        cmocka_unit_test(a_block_that_is_not_right_is_fresh_again),
        cmocka_unit_test(one_block_is_always_held),
        cmocka_unit_test(what_is_held_stays),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(obeys_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
