/* What is taken into the queue, and what not: bounds on one user, room on the disk, and work that
 * is there already. */
#include "tests/unit/queue_fixture.h"

#include "supervisor/service/queue_state.h"

#include <pthread.h>

static const char *const three[] = {"a", "b", "c/d", NULL};

static int begin(struct queue_fixture *fixture, const struct rights_caller *caller, const char *out,
                 size_t n_tasks, struct queue_submit **ret, struct failure *failure) {
    CLEANUP_JSON json_t *header = queue_fixture_header(out, n_tasks, "");
    return queue_submit_begin(fixture->queue, caller, header, NOW, ret, failure);
}

/* Of a long line as often as it goes; returns the refusal. */
static int send_until_refused(struct queue_submit *submit, struct failure *failure) {
    enum { LONG_BYTES = 1000000 };
    CLEANUP_FREE char *word = malloc(LONG_BYTES + 1);
    memset(word, 'x', LONG_BYTES);
    word[LONG_BYTES] = '\0';
    CLEANUP_FREE char *line = queue_fixture_line("long", word);
    int r = 0;
    for (int i = 0; r == 0 && i < 10; i++)
        r = queue_submit_line(submit, line, strlen(line), failure);
    return r;
}

static void what_one_user_may_send_is_bounded(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_submit *first = NULL, *second = NULL;
    struct failure failure = {0};
    static const char *const ids[] = {"a", NULL};
    assert_int_equal(begin(fixture, &anna, "/o/1", QUEUE_MAX_TASKS, &first, &failure), 0);
    assert_int_equal(begin(fixture, &anna, "/o/2", QUEUE_MAX_TASKS, &second, &failure), 0);
    struct queue_user *user = queue_user_of(fixture->queue, anna.uid);
    user->unfinished_bytes = QUEUE_MAX_UNFINISHED_BYTES - (3 << 20); /* she is at it for a while */
    assert_int_equal(send_until_refused(first, &failure), -EBUSY);
    assert_non_null(strstr(failure.text,
                           "the batches that anna is submitting have more than 1024 MiB together"));
    assert_int_equal(send_until_refused(second, &failure), -EBUSY);
    (void)queue_fixture_submit(fixture, &bert, "/o/3", ids, ""); /* others may */
    queue_submit_abort(first);
    queue_submit_abort(second);
    (void)queue_fixture_submit(fixture, &anna, "/o/4", ids, "");
    user = queue_user_of(fixture->queue, anna.uid);
    assert_int_equal(user->unfinished_bytes, QUEUE_MAX_UNFINISHED_BYTES - (3 << 20));
}

static void how_many_tasks_one_user_may_have_is_bounded(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_submit *submit = NULL;
    struct failure failure = {0};
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o/1", three, "");
    const uint32_t n_tasks = batch->n_tasks;
    batch->n_tasks = QUEUE_MAX_USER_TASKS;
    int r = begin(fixture, &anna, "/o/2", 1, &submit, &failure);
    batch->n_tasks = n_tasks;
    assert_int_equal(r, -EBUSY);
    assert_non_null(strstr(failure.text,
                           "anna would have 8000001 tasks in the queue, and the most is 8000000"));
}

static void a_disk_that_gets_full_is_left_to_the_results(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_submit *submit = NULL;
    struct failure failure = {0};
    assert_int_equal(begin(fixture, &anna, "/o/1", QUEUE_MAX_TASKS, &submit, &failure), 0);
    queue_set_reserve(fixture->queue, UINT64_MAX);
    assert_int_equal(send_until_refused(submit, &failure), -ENOSPC);
    assert_non_null(strstr(failure.text, "nothing more is queued until there is room"));
    queue_submit_abort(submit);
    assert_int_equal(begin(fixture, &anna, "/o/1", 1, &submit, &failure), -ENOSPC);
    queue_set_reserve(fixture->queue, 0);
    assert_int_equal(begin(fixture, &anna, "/o/1", 1, &submit, &failure), 0);
    queue_submit_abort(submit);
}

static void *sync_in_thread(void *submit) { return queue_submit_sync(submit) == 0 ? submit : NULL; }

/* What the loop asks for, in another thread. */
static void sync_beside(struct queue_submit *submit) {
    pthread_t thread;
    void *done = NULL;
    assert_int_equal(pthread_create(&thread, NULL, sync_in_thread, submit), 0);
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_ptr_equal(done, submit);
}

/* However many lines that takes, and whatever happens to the queue meanwhile. */
static void what_is_there_is_compared_beside_the_loop(void **state) {
    static const char *const first_ids[] = {"a", "b", NULL}, *const later_ids[] = {"c", NULL};
    struct queue_fixture *fixture = *state;
    struct failure failure = {0};
    struct queue_submit *submit = NULL;
    struct queue_answer answer;
    struct queue_batch *first = queue_fixture_submit(fixture, &anna, "/o", first_ids, "");
    (void)queue_fixture_run_next(fixture, first, "failed");
    assert_true(queue_fixture_run_next(fixture, first, "ok"));
    assert_int_equal(queue_end_batch(fixture->queue, first, NOW, NULL, NULL, &failure), 0);
    assert_int_equal(begin(fixture, &anna, "/o", 4, &submit, &failure), 0);
    for (const char *id = "dcba"; *id; id++) {
        CLEANUP_FREE char *line = names_format("{\"id\":\"%c\",\"command\":[\"/bin/true\"],"
                                               "\"cwd\":\"/\",\"kind\":\"c\"}",
                                               *id); /* other bytes, the same work */
        assert_int_equal(queue_submit_line(submit, line, strlen(line), &failure), 0);
    }
    assert_true(queue_submit_prepare(submit));
    assert_int_equal(queue_forget(fixture->queue, INT64_MAX, 0), 0); /* it is looked at */
    sync_beside(submit);
    struct queue_batch *later = queue_fixture_submit(fixture, &anna, "/o", later_ids, "");
    assert_true(queue_submit_prepare(submit)); /* one more to compare with */
    sync_beside(submit);
    assert_true(queue_submit_prepare(submit)); /* c waits there: the file is written anew */
    sync_beside(submit);
    assert_false(queue_submit_prepare(submit));
    assert_int_equal(queue_submit_commit(submit, NULL, NULL, &answer, &failure), 0);
    assert_int_equal(answer.n_queued, 3);
    assert_int_equal(answer.n_already, 1);
    assert_int_equal(answer.n_seen, 2);
    assert_int_equal(later->n_state[QUEUE_WAITING], 1);
    assert_int_equal(queue_forget(fixture->queue, INT64_MAX, 0), 1);
    const char *name = answer.name;
    CLEANUP_FREE char *kept = strdup(name);
    queue_fixture_reopen(fixture);
    assert_int_equal(queue_find(fixture->queue, kept)->n_state[QUEUE_WAITING], 3);
}

static void a_retry_between_is_noticed(void **state) {
    static const char *const two[] = {"a", "b", NULL};
    struct queue_fixture *fixture = *state;
    struct failure failure = {0};
    struct queue_submit *submit = NULL;
    struct queue_answer answer;
    struct queue_change change;
    struct queue_batch *first = queue_fixture_submit(fixture, &anna, "/o", two, "");
    (void)queue_fixture_run_next(fixture, first, "failed");
    assert_int_equal(begin(fixture, &anna, "/o", 3, &submit, &failure), 0);
    for (size_t i = 0; three[i]; i++) {
        CLEANUP_FREE char *line = queue_fixture_line(three[i], "/bin/true");
        assert_int_equal(queue_submit_line(submit, line, strlen(line), &failure), 0);
    }
    while (queue_submit_prepare(submit))
        sync_beside(submit);
    assert_int_equal(queue_retry(fixture->queue, &anna, first, "a", NULL, NULL, &change, NULL), 0);
    queue_change_free(&change);
    assert_int_equal(queue_submit_commit(submit, NULL, NULL, &answer, &failure), -EBUSY);
    assert_non_null(strstr(failure.text, "were retried while this one was submitted"));
}

#define QUEUE_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, queue_fixture_setup, queue_fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(what_one_user_may_send_is_bounded),
        QUEUE_TEST(how_many_tasks_one_user_may_have_is_bounded),
        QUEUE_TEST(a_disk_that_gets_full_is_left_to_the_results),
        QUEUE_TEST(what_is_there_is_compared_beside_the_loop),
        QUEUE_TEST(a_retry_between_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
