/* The queue through its life, each time once more after a restart: what memory says must be what
 * the files say. */
#include "tests/unit/queue_fixture.h"

static const char *const three[] = {"a", "b", "c/d", NULL};

static void assert_counts(const struct queue_batch *batch, uint32_t waiting, uint32_t running,
                          uint32_t ended) {
    assert_int_equal(batch->n_state[QUEUE_WAITING], waiting);
    assert_int_equal(batch->n_state[QUEUE_TAKEN] + batch->n_state[QUEUE_RUNNING], running);
    assert_int_equal(batch->n_state[QUEUE_ENDED], ended);
}

static struct queue_batch *again(struct queue_fixture *fixture, const char *name) {
    queue_fixture_reopen(fixture);
    struct queue_batch *batch = queue_find(fixture->queue, name);
    assert_non_null(batch);
    return batch;
}

static void submitted_batch_survives(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(
        fixture, &anna, "/data/NIGHT", three,
        ",\"command\":\"registrar submit\",\"on_finish\":\"mail\",\"options\":{\"retries\":3}");
    assert_int_equal(fixture->n_done, 0); /* never from within */
    queue_fixture_settle(fixture);
    assert_int_equal(fixture->n_done, 1);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(batch->name, "NIGHT");
        assert_string_equal(batch->user, "anna");
        assert_string_equal(batch->out, "/data/NIGHT");
        assert_string_equal(batch->command, "registrar submit");
        assert_string_equal(batch->on_finish, "mail");
        assert_int_equal(batch->uid, 1000);
        assert_int_equal(batch->options.retries, 3);
        assert_int_equal(batch->submitted_ms, NOW);
        assert_null(batch->damage);
        assert_counts(batch, 3, 0, 0);
        uint32_t number = 9;
        assert_int_equal(queue_find_task(batch, "c/d", &number), 0);
        assert_int_equal(number, 2);
        assert_int_equal(queue_find_task(batch, "c", &number), -ENOENT);
        CLEANUP_FREE char *id = NULL;
        assert_int_equal(queue_task_id(batch, 1, &id, NULL), 0);
        assert_string_equal(id, "b");
        batch = again(fixture, "NIGHT");
    }
}

static void results_are_kept(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o", three, "");
    assert_false(queue_fixture_run_next(fixture, batch, "ok"));
    assert_false(queue_fixture_run_next(fixture, batch, "failed"));
    for (int i = 0; i < 2; i++) {
        assert_counts(batch, 1, 0, 2);
        assert_int_equal(batch->n_verdict[VERDICT_OK], 1);
        assert_int_equal(batch->n_verdict[VERDICT_FAILED], 1);
        const struct queue_task_view view = queue_look(batch, 1);
        assert_int_equal(view.state, QUEUE_ENDED);
        assert_int_equal(view.verdict, VERDICT_FAILED);
        assert_int_equal(view.attempts, 1);
        assert_int_equal(view.wall_ms, 1500);
        assert_int_equal(view.peak_rss_bytes, 3 << 20);
        CLEANUP_FREE char *reason = queue_reason(fixture->queue, batch, 1);
        assert_string_equal(reason, "it said no");
        batch = again(fixture, "o");
    }
    assert_int_equal(batch->ended_ms, 0);
    assert_true(queue_fixture_run_next(fixture, batch, "ok"));
    assert_true(batch->ended_ms > 0);
    assert_false(batch->is_closed);
    batch = again(fixture, "o"); /* the daemon died before it dealt with the end */
    assert_true(batch->ended_ms > 0);
    assert_false(batch->is_closed);
    assert_int_equal(queue_end_batch(fixture->queue, batch, NOW, NULL, NULL, NULL), 0);
    batch = again(fixture, "o");
    assert_true(batch->is_closed);
}

static void what_ran_waits_again(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o", three, "");
    struct queue_taken first, second;
    assert_int_equal(queue_next(fixture->queue, batch, &first, NULL), 0);
    assert_int_equal(queue_next(fixture->queue, batch, &second, NULL), 0);
    assert_int_equal(second.number, 1);
    queue_started(fixture->queue, batch, first.number, NOW);
    ledger_commit_append(fixture->commit, "attempt_start",
                         json_pack("{s:s, s:s, s:i}", "batch", "o", "task", "a", "attempt", 1),
                         NULL, NULL, NULL);
    assert_counts(batch, 1, 2, 0);
    assert_false(queue_give_back(fixture->queue, batch, second.number, 0, NOW));
    assert_counts(batch, 2, 1, 0);
    queue_taken_free(&first);
    queue_taken_free(&second);
    batch = again(fixture, "o");
    assert_counts(batch, 3, 0, 0);
    assert_int_equal(queue_next(fixture->queue, batch, &first, NULL), 0);
    assert_string_equal(first.task.id, "a");
    assert_int_equal(first.attempts, 1); /* the one that was lost */
    assert_string_equal(first.task.command[0], "/bin/true");
    queue_taken_free(&first);
}

static void cancelled_stays_cancelled(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o", three, "");
    struct queue_change change;
    struct queue_taken taken;
    struct failure failure = {0};
    assert_int_equal(queue_next(fixture->queue, batch, &taken, NULL), 0);
    queue_started(fixture->queue, batch, taken.number, NOW);
    ledger_commit_append(fixture->commit, "attempt_start",
                         json_pack("{s:s, s:s, s:i}", "batch", "o", "task", "a", "attempt", 1),
                         NULL, NULL, NULL);
    assert_int_equal(
        queue_cancel(fixture->queue, &bert, batch, NULL, NOW, NULL, NULL, &change, &failure),
        -EPERM);
    ASSERT_MENTIONS(failure, "bert may not cancel the batch o: it belongs to anna");
    assert_int_equal(
        queue_cancel(fixture->queue, &anna, batch, "zz", NOW, NULL, NULL, &change, &failure),
        -ENOENT);
    ASSERT_MENTIONS(failure, "the batch o has no task zz");
    assert_int_equal(
        queue_cancel(fixture->queue, &chief, batch, NULL, NOW, NULL, NULL, &change, &failure), 0);
    assert_int_equal(change.n_changed, 3);
    assert_int_equal(change.n_running, 1);
    assert_int_equal(change.running[0], 0);
    assert_false(change.is_ended);
    queue_change_free(&change);
    assert_counts(batch, 0, 1, 2);
    assert_int_equal(
        queue_cancel(fixture->queue, &anna, batch, NULL, NOW, NULL, NULL, &change, &failure), 0);
    assert_int_equal(change.n_changed, 0); /* nothing more to do */
    queue_change_free(&change);
    queue_taken_free(&taken);
    batch = again(fixture, "o"); /* the daemon died before the engine had ended it */
    assert_counts(batch, 0, 0, 3);
    assert_int_equal(batch->n_verdict[VERDICT_CANCELLED], 3);
    assert_true(batch->ended_ms > 0);
    CLEANUP_FREE char *reason = queue_reason(fixture->queue, batch, 0);
    assert_string_equal(reason, "cancelled by chief");
}

static void retried_runs_again(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o", three, "");
    struct queue_change change;
    (void)queue_fixture_run_next(fixture, batch, "ok");
    (void)queue_fixture_run_next(fixture, batch, "failed");
    assert_true(queue_fixture_run_next(fixture, batch, "timeout"));
    assert_int_equal(queue_end_batch(fixture->queue, batch, NOW, NULL, NULL, NULL), 0);
    assert_int_equal(queue_retry(fixture->queue, &anna, batch, NULL, NULL, NULL, &change, NULL), 0);
    assert_int_equal(change.n_changed, 2);
    for (int i = 0; i < 2; i++) {
        assert_counts(batch, 2, 0, 1);
        assert_int_equal(batch->ended_ms, 0);
        assert_false(batch->is_closed);
        batch = again(fixture, "o");
    }
    struct queue_taken taken;
    assert_int_equal(queue_next(fixture->queue, batch, &taken, NULL), 0);
    assert_string_equal(taken.task.id, "b");
    assert_int_equal(taken.attempts, 1);
    assert_null(taken.earlier); /* he wants it done again */
    queue_taken_free(&taken);
}

static void same_batch_is_not_queued_twice(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o", three, "");
    struct queue_answer answer;
    struct failure failure = {0};
    assert_int_equal(
        queue_fixture_try(fixture, &anna, "/o", three, "/bin/true", "", &answer, &failure), 0);
    assert_ptr_equal(answer.batch, batch);
    assert_true(answer.is_same);
    assert_int_equal(answer.n_already, 3);
    assert_int_equal(answer.n_changed, 0);
    /* other work for the same folder */
    assert_int_equal(
        queue_fixture_try(fixture, &anna, "/o", three, "/bin/false", "", &answer, &failure),
        -EEXIST);
    ASSERT_MENTIONS(failure, "waits or runs in the batch o with other parameters");
    /* somebody else's folder of the same name is another place */
    assert_int_equal(
        queue_fixture_try(fixture, &bert, "/o", three, "/bin/false", "", &answer, &failure), 0);
    assert_string_equal(answer.name, "o-2");
    for (int i = 0; i < 3; i++)
        (void)queue_fixture_run_next(fixture, batch, "ok");
    assert_int_equal(queue_end_batch(fixture->queue, batch, NOW, NULL, NULL, NULL), 0);
    assert_int_equal(
        queue_fixture_try(fixture, &anna, "/o", three, "/bin/true", "", &answer, &failure), 0);
    assert_true(answer.is_same);
    assert_int_equal(answer.n_queued, 3);
    assert_int_equal(answer.n_seen, 3);
    batch = again(fixture, "o");
    assert_counts(batch, 3, 0, 0);
    struct queue_taken taken;
    assert_int_equal(queue_next(fixture->queue, batch, &taken, NULL), 0);
    assert_non_null(taken.earlier); /* to be looked at before it would run */
    assert_string_equal(json_string_value(json_object_get(taken.earlier, "verdict")), "ok");
    assert_false(queue_keep(fixture->queue, batch, &taken, NOW));
    queue_taken_free(&taken);
    assert_counts(batch, 2, 0, 1);
    batch = again(fixture, "o");
    assert_counts(batch, 2, 0, 1);
    assert_int_equal(queue_look(batch, 0).wall_ms, 1500);
}

static void only_what_is_new_is_queued(void **state) {
    static const char *const two[] = {"a", "b", NULL}, *const more[] = {"x", "b", "y", "a", NULL};
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o", two, "");
    (void)queue_fixture_run_next(fixture, batch, "ok");
    struct queue_answer answer;
    struct failure failure = {0};
    assert_int_equal(
        queue_fixture_try(fixture, &anna, "/o", more, "/bin/true", "", &answer, &failure), 0);
    assert_string_equal(answer.name, "o-2");
    assert_int_equal(answer.n_queued, 3);
    assert_int_equal(answer.n_already, 1); /* b waits in o */
    assert_int_equal(answer.n_seen, 1);    /* a ended there */
    batch = again(fixture, "o-2");
    static const char *const expected[] = {"x", "y", "a"};
    assert_counts(batch, 3, 0, 0);
    for (size_t i = 0; i < 3; i++) {
        struct queue_taken taken;
        assert_int_equal(queue_next(fixture->queue, batch, &taken, NULL), 0);
        assert_string_equal(taken.task.id, expected[i]);
        assert_int_equal(taken.earlier != NULL, i == 2);
        queue_taken_free(&taken);
    }
}

static void paused_and_ranked_stay_so(void **state) {
    static const char *const one[] = {"t", NULL};
    struct queue_fixture *fixture = *state;
    struct queue_batch *first = queue_fixture_submit(fixture, &anna, "/1", one, "");
    struct queue_batch *second = queue_fixture_submit(fixture, &anna, "/2", one, "");
    struct queue_batch *line[4];
    struct queue_change change;
    struct failure failure = {0};
    char why[QUEUE_WHY_BYTES];
    assert_int_equal(queue_order(fixture->queue, NOW, line, 4), 2);
    assert_ptr_equal(line[0], first);
    assert_string_equal(queue_why(fixture->queue, second, NOW, why),
                        "behind 1 task, first 1 of anna");
    assert_int_equal(
        queue_prioritise(fixture->queue, &anna, second, 5, NULL, NULL, &change, &failure), -EPERM);
    ASSERT_MENTIONS(failure, "only administrators may");
    assert_int_equal(queue_prioritise(fixture->queue, &chief, second, 5, NULL, NULL, &change, NULL),
                     0);
    assert_int_equal(queue_pause(fixture->queue, &anna, NULL, true, NULL, NULL, &change, &failure),
                     -EPERM);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(queue_order(fixture->queue, NOW, line, 4), 2);
        assert_string_equal(line[0]->name, "2");
        queue_fixture_reopen(fixture);
    }
    second = queue_find(fixture->queue, "2");
    assert_int_equal(queue_pause(fixture->queue, &anna, second, true, NULL, NULL, &change, NULL),
                     0);
    assert_int_equal(change.n_changed, 1);
    second = again(fixture, "2");
    assert_int_equal(queue_order(fixture->queue, NOW, line, 4), 1);
    assert_string_equal(queue_why(fixture->queue, second, NOW, why),
                        "paused by anna; registrar resume 2 lets it go on");
    assert_int_equal(queue_pause(fixture->queue, &anna, second, false, NULL, NULL, &change, NULL),
                     0);
    assert_int_equal(queue_pause(fixture->queue, &chief, NULL, true, NULL, NULL, &change, NULL), 0);
    second = again(fixture, "2");
    assert_int_equal(queue_order(fixture->queue, NOW, line, 4), 0);
    assert_string_equal(queue_why(fixture->queue, second, NOW, why),
                        "the whole queue is paused by chief");
    assert_int_equal(queue_pause(fixture->queue, &chief, NULL, false, NULL, NULL, &change, NULL),
                     0);
    second = again(fixture, "2");
    assert_null(queue_paused_by(fixture->queue));
    assert_int_equal(queue_order(fixture->queue, NOW, line, 4), 2);
}

static void users_share(void **state) {
    static const char *const one[] = {"t", NULL};
    struct queue_fixture *fixture = *state;
    struct queue_batch *hers = queue_fixture_submit(fixture, &anna, "/1", three, ""), *line[2];
    struct queue_batch *his = queue_fixture_submit(fixture, &bert, "/2", one, "");
    char why[QUEUE_WHY_BYTES];
    (void)queue_order(fixture->queue, NOW, line, 2);
    assert_ptr_equal(line[0], hers);
    (void)queue_fixture_run_next(fixture, hers, "ok");
    queue_charge(fixture->queue, hers, 1 << 30, 2000, NOW);
    for (int i = 0; i < 2; i++) { /* what she has used is in the ledger */
        (void)queue_order(fixture->queue, NOW, line, 2);
        assert_string_equal(line[0]->user, "bert");
        queue_fixture_reopen(fixture);
    }
    hers = queue_find(fixture->queue, "1");
    his = queue_find(fixture->queue, "2");
    assert_string_equal(queue_why(fixture->queue, hers, NOW, why),
                        "behind 1 task, first 2 of bert, who has used less of the machine");
    assert_string_equal(queue_why(fixture->queue, his, NOW, why), "");
}

static void not_before_and_quiet_hours_hold(void **state) {
    static const char *const one[] = {"t", NULL};
    struct queue_fixture *fixture = *state;
    struct window_list quiet;
    char why[QUEUE_WHY_BYTES];
    struct queue_batch *batch =
        queue_fixture_submit(fixture, &anna, "/1", one, ",\"not_before\":\"20:00\"");
    for (int i = 0; i < 2; i++) {
        struct queue_hold hold = queue_hold(fixture->queue, batch, NOW);
        assert_true(hold.is_held);
        assert_int_equal(hold.until_ms, NOW + INT64_C(20) * 3600 * 1000);
        assert_string_equal(queue_why(fixture->queue, batch, NOW, why), "not before 20:00");
        assert_false(queue_hold(fixture->queue, batch, hold.until_ms).is_held);
        batch = again(fixture, "1");
    }
    assert_int_equal(window_parse("daily 08:00-18:00; Sat,Sun 20:00-22:00 30%", &quiet, NULL), 0);
    queue_set_quiet_hours(fixture->queue, &quiet);
    const int64_t hour = 3600 * 1000, ten = NOW + 34 * hour;
    struct queue_hold hold = queue_hold(fixture->queue, batch, ten);
    assert_true(hold.is_held);
    assert_int_equal(hold.until_ms, NOW + 42 * hour);
    assert_string_equal(queue_why(fixture->queue, batch, ten, why), "quiet hours until 18:00");
    hold = queue_hold(fixture->queue, batch, NOW + 21 * hour); /* Saturday */
    assert_false(hold.is_held);
    assert_true(hold.memory_share > 0.29 && hold.memory_share < 0.31);
    assert_int_equal(hold.until_ms, NOW + 22 * hour);
}

static void old_batches_are_forgotten(void **state) {
    static const char *const one[] = {"t", NULL};
    struct queue_fixture *fixture = *state;
    static const char *const outs[] = {"/1", "/2", "/3"};
    char path[160];
    for (size_t i = 0; i < 3; i++) {
        struct queue_batch *batch = queue_fixture_submit(fixture, &anna, outs[i], one, "");
        if (i == 2)
            break; /* this one still waits */
        assert_true(queue_fixture_run_next(fixture, batch, "ok"));
        assert_int_equal(queue_end_batch(fixture->queue, batch, NOW, NULL, NULL, NULL), 0);
    }
    (void)snprintf(path, sizeof(path), "%s/batches/1.jsonl", fixture->ledger.folder);
    assert_int_equal(queue_forget(fixture->queue, 0, 10), 0);
    assert_int_equal(queue_forget(fixture->queue, 0, 1), 1);
    assert_int_equal(access(path, F_OK), 0); /* not before the record is safe */
    queue_fixture_settle(fixture);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(queue_forget(fixture->queue, INT64_MAX, 10), 1);
    queue_fixture_reopen(fixture);
    assert_int_equal(queue_count(fixture->queue), 1);
    assert_int_equal(fixture->n_set_aside, 0);
    assert_string_equal(queue_at(fixture->queue, 0)->name, "3");
    (void)queue_fixture_submit(fixture, &anna, "/1", one, ""); /* the name is free again */
    (void)again(fixture, "1");
}

static int count_walk(void *context, uint32_t number, const char *id,
                      const struct queue_task_view *view) {
    uint32_t *count = context;
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "t%05u", number);
    assert_string_equal(id, expected);
    assert_int_equal(view->state, QUEUE_WAITING);
    ++*count;
    return number == 7999 ? 7 : 0;
}

static void many_are_walked_in_blocks(void **state) {
    struct queue_fixture *fixture = *state;
    struct queue_submit *submit = NULL;
    struct queue_answer answer;
    CLEANUP_JSON json_t *header = queue_fixture_header("/o", 10000, "");
    assert_int_equal(queue_submit_begin(fixture->queue, &anna, header, NOW, &submit, NULL), 0);
    for (int i = 0; i < 10000; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "t%05d", i);
        CLEANUP_FREE char *line = queue_fixture_line(id, "/bin/true");
        assert_int_equal(queue_submit_line(submit, line, strlen(line), NULL), 0);
    }
    assert_int_equal(queue_submit_sync(submit), 0);
    assert_int_equal(queue_submit_commit(submit, NULL, NULL, &answer, NULL), 0);
    uint32_t count = 0;
    assert_int_equal(queue_walk(answer.batch, 100, 5000, count_walk, &count, NULL), 0);
    assert_int_equal(count, 5000);
    assert_int_equal(queue_walk(answer.batch, 7000, UINT32_MAX, count_walk, &count, NULL), 7);
    assert_int_equal(count, 6000);
}

int main(void) {
    (void)setenv("TZ", "UTC", 1);
#define QUEUE_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, queue_fixture_setup, queue_fixture_teardown)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(submitted_batch_survives),
        QUEUE_TEST(results_are_kept),
        QUEUE_TEST(what_ran_waits_again),
        QUEUE_TEST(cancelled_stays_cancelled),
        QUEUE_TEST(retried_runs_again),
        QUEUE_TEST(same_batch_is_not_queued_twice),
        QUEUE_TEST(only_what_is_new_is_queued),
        QUEUE_TEST(paused_and_ranked_stay_so),
        QUEUE_TEST(users_share),
        QUEUE_TEST(not_before_and_quiet_hours_hold),
        QUEUE_TEST(old_batches_are_forgotten),
        QUEUE_TEST(many_are_walked_in_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
