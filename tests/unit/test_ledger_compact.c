/* A ledger made smaller: the queue that comes of it must be the same, what counts must be there,
 * and what is damaged, torn or in use must stay as it is. */
#include "supervisor/ledger/ledger_compact.h"

#include "supervisor/ledger/ledger_keep.h"
#include "tests/unit/queue_fixture.h"

static const char *const three[] = {"a", "b", "c", NULL};

static struct ledger_compact_result compact(struct queue_fixture *fixture) {
    struct ledger_compact_result result = {0};
    struct failure failure = {0};
    if (ledger_compact_file(fixture->ledger.path, 0, &result, &failure) < 0)
        fail_msg("%s", failure.text);
    return result;
}

/* Everything that can be asked of the queue, as text. Caller owns. */
static char *describe(const struct queue_fixture *fixture) {
    char *text = strdup("");
    const struct queue *queue = fixture->queue;
    for (size_t i = 0; i < queue_count(queue); i++) {
        const struct queue_batch *batch = queue_at(queue, i);
        CLEANUP_FREE char *before = text;
        text = names_format("%s%s %s prio %d paused %d by %s closed %d ended %lld damage %d\n",
                            before, batch->name, batch->user, batch->priority, batch->is_paused,
                            batch->paused_by ? batch->paused_by : "-", batch->is_closed,
                            (long long)batch->ended_ms, batch->damage != NULL);
        for (uint32_t k = 0; k < batch->n_tasks; k++) {
            const struct queue_task_view view = queue_look(batch, k);
            CLEANUP_FREE char *sofar = text;
            CLEANUP_FREE char *reason = queue_reason(queue, batch, k);
            text = names_format("%s  %u: %d %s %d %lld %llu \"%s\"\n", sofar, k, (int)view.state,
                                view.state == QUEUE_ENDED ? verdict_name(view.verdict) : "",
                                view.attempts, (long long)view.wall_ms,
                                (unsigned long long)view.peak_rss_bytes, reason);
        }
    }
    CLEANUP_FREE char *batches = text;
    return names_format("%s%s", batches, queue_paused_by(queue) ? queue_paused_by(queue) : "");
}

/* Runs, failures, retries, cancels, a pause, a forgotten batch, one whose name comes again. */
static void make_history(struct queue_fixture *fixture) {
    struct queue_change change;
    struct queue_batch *first = queue_fixture_submit(fixture, &anna, "/first", three, "");
    struct queue_batch *second = queue_fixture_submit(fixture, &bert, "/second", three, "");
    struct queue_batch *gone = queue_fixture_submit(fixture, &anna, "/gone", three, "");
    for (int i = 0; i < 3; i++) {
        (void)queue_fixture_run_next(fixture, gone, "ok");
        (void)queue_fixture_run_next(fixture, first, i == 1 ? "failed" : "ok");
    }
    assert_int_equal(queue_end_batch(fixture->queue, gone, NOW, NULL, NULL, NULL), 0);
    assert_int_equal(queue_end_batch(fixture->queue, first, NOW, NULL, NULL, NULL), 0);
    for (int i = 0; i < 20; i++) { /* again and again */
        assert_int_equal(queue_retry(fixture->queue, &anna, first, "b", NULL, NULL, &change, NULL),
                         0);
        (void)queue_fixture_run_next(fixture, first, i == 19 ? "timeout" : "crashed");
        assert_int_equal(
            queue_pause(fixture->queue, &bert, second, i % 2 == 0, NULL, NULL, &change, NULL), 0);
    }
    (void)queue_fixture_run_next(fixture, second, "doubtful");
    assert_int_equal(
        queue_cancel(fixture->queue, &bert, second, "b", NOW, NULL, NULL, &change, NULL), 0);
    queue_change_free(&change);
    assert_int_equal(queue_prioritise(fixture->queue, &bert, second, -7, NULL, NULL, &change, NULL),
                     0);
    assert_int_equal(queue_forget(fixture->queue, INT64_MAX, 1), 1); /* gone: the others are open */
    queue_fixture_settle(fixture);
    (void)queue_fixture_submit(fixture, &bert, "/gone", three, "");
    assert_int_equal(queue_pause(fixture->queue, &chief, NULL, true, NULL, NULL, &change, NULL), 0);
    queue_fixture_reopen(fixture);
}

static void queue_stays_the_same(void **state) {
    struct queue_fixture *fixture = *state;
    make_history(fixture);
    CLEANUP_FREE char *before = describe(fixture);
    assert_non_null(strstr(before, "gone bert"));
    assert_non_null(strstr(before, "\"it said no\""));
    for (int i = 0; i < 2; i++) {
        queue_fixture_close(fixture);
        const struct ledger_compact_result result = compact(fixture);
        if (i == 0)
            assert_true(result.is_done && result.bytes_after < result.bytes_before * 2 / 3);
        queue_fixture_open(fixture);
        CLEANUP_FREE char *after = describe(fixture);
        assert_string_equal(after, before);
        struct queue_batch *line[4];
        struct queue_change change;
        assert_int_equal(
            queue_pause(fixture->queue, &chief, NULL, false, NULL, NULL, &change, NULL), 0);
        assert_int_equal(queue_order(fixture->queue, NOW, line, 4), 2);
        assert_int_equal(queue_pause(fixture->queue, &chief, NULL, true, NULL, NULL, &change, NULL),
                         0);
        queue_fixture_settle(fixture);
    }
}

struct compacted {
    bool is_over;
    int r;
    struct ledger_compact_result result;
};

static void on_compacted(void *context, int r, const struct ledger_compact_result *result,
                         const struct failure *failure) {
    struct compacted *compacted = context;
    (void)failure;
    *compacted = (struct compacted){.is_over = true, .r = r, .result = *result};
}

static void begin_compacting(struct queue_fixture *fixture, struct compacted *compacted) {
    struct failure failure = {0};
    *compacted = (struct compacted){.is_over = false};
    if (queue_compact(fixture->queue, &fixture->loop, 0, on_compacted, compacted, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_true(queue_is_compacting(fixture->queue));
}

/* What is done at every turn of the loop stands in the old file, waits for the new one, or comes
 * after it; all of it stays, told in order when it is on disk, and read back by number. */
static void queue_goes_on_while_it_is_compacted(void **state) {
    struct queue_fixture *fixture = *state;
    struct compacted compacted;
    struct queue_change change;
    make_history(fixture);
    struct queue_batch *batch = queue_find(fixture->queue, "gone");
    struct queue_taken taken;
    assert_int_equal(queue_next(fixture->queue, batch, &taken, NULL), 0);
    fixture->n_done = 0;
    begin_compacting(fixture, &compacted);
    int n = 0;
    for (; !compacted.is_over; n++) {
        assert_int_equal(queue_prioritise(fixture->queue, &bert, batch, -1 - n % 2,
                                          queue_fixture_done, fixture, &change, NULL),
                         0);
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    assert_false(queue_is_compacting(fixture->queue));
    assert_true(compacted.r == 0 && compacted.result.is_done);
    assert_true(compacted.result.bytes_after < compacted.result.bytes_before * 2 / 3);
    queue_fixture_settle(fixture);
    assert_int_equal(fixture->n_done, n);
    assert_false(queue_give_back(fixture->queue, batch, taken.number, 0, NOW));
    queue_taken_free(&taken);
    assert_int_equal(queue_cancel(fixture->queue, &bert, batch, "a", NOW, queue_fixture_done,
                                  fixture, &change, NULL),
                     0);
    queue_change_free(&change);
    assert_int_equal(fixture->n_done, n);
    queue_fixture_settle(fixture);
    assert_int_equal(fixture->n_done, n + 1);
    (void)queue_fixture_run_next(fixture, batch, "failed");
    CLEANUP_FREE char *live = describe(fixture);
    assert_non_null(strstr(live, "\"it said no\""));
    assert_non_null(strstr(live, "cancelled by bert"));
    queue_fixture_reopen(fixture);
    CLEANUP_FREE char *replayed = describe(fixture);
    assert_string_equal(replayed, live);
}

/* Closed after every number of turns, as far as it needs: the queue is the same. */
static void a_compaction_is_closed_at_any_time(void **state) {
    struct queue_fixture *fixture = *state;
    struct compacted compacted = {.is_over = false};
    char beside[sizeof(fixture->ledger.path) + 16];
    (void)snprintf(beside, sizeof(beside), "%s.compacting", fixture->ledger.path);
    make_history(fixture);
    CLEANUP_FREE char *before = describe(fixture);
    for (int n = 0; !compacted.is_over; n++) {
        begin_compacting(fixture, &compacted);
        for (int i = 0; i < n; i++)
            (void)uv_run(&fixture->loop, UV_RUN_ONCE);
        const bool was_over = compacted.is_over;
        queue_fixture_reopen(fixture);
        assert_true(compacted.is_over);
        compacted.is_over = was_over;
        assert_int_equal(access(beside, F_OK), -1);
        CLEANUP_FREE char *after = describe(fixture);
        assert_string_equal(after, before);
    }
    assert_true(compacted.r == 0);
}

/* The new file cannot be made: it is told, and all is as it was. */
static void a_compaction_that_fails_changes_nothing(void **state) {
    struct queue_fixture *fixture = *state;
    struct compacted compacted;
    char beside[sizeof(fixture->ledger.path) + 16];
    (void)snprintf(beside, sizeof(beside), "%s.compacting", fixture->ledger.path);
    make_history(fixture);
    CLEANUP_FREE char *before = describe(fixture);
    assert_int_equal(mkdir(beside, 0700), 0);
    begin_compacting(fixture, &compacted);
    while (!compacted.is_over)
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_int_equal(compacted.r, -EEXIST);
    assert_int_equal(rmdir(beside), 0);
    queue_fixture_reopen(fixture);
    CLEANUP_FREE char *after = describe(fixture);
    assert_string_equal(after, before);
}

static void use_is_not_forgotten(void **state) {
    static const char *const one[] = {"t", NULL};
    struct queue_fixture *fixture = *state;
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/a", one, ""), *line[2];
    /* more attempts of the kind than are kept as samples, all hers */
    for (int i = 0; i < LEDGER_KEEP_SAMPLES + 20; i++)
        ledger_commit_append(fixture->commit, "attempt_end",
                             json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:I, s:f}", "batch", "a",
                                       "user", "anna", "task", "t", "attempt", 1, "verdict", "ok",
                                       "kind", "c", "reserved_bytes",
                                       i < 20 ? (json_int_t)1 << 40 : (json_int_t)1, "wall_s", 2.0),
                             NULL, NULL, NULL);
    ledger_commit_append(fixture->commit, "task_end",
                         json_pack("{s:s, s:s, s:s, s:i}", "batch", "a", "task", "t", "verdict",
                                   "ok", "attempts", 1),
                         NULL, NULL, NULL);
    struct queue_change change;
    assert_non_null(batch);
    queue_fixture_reopen(fixture);
    batch = queue_find(fixture->queue, "a");
    assert_int_equal(queue_retry(fixture->queue, &anna, batch, "t", NULL, NULL, &change, NULL), 0);
    struct queue_batch *his = queue_fixture_submit(fixture, &bert, "/b", one, "");
    queue_charge(fixture->queue, his, 1 << 20, 1000, NOW);
    queue_fixture_settle(fixture);
    ledger_commit_append(fixture->commit, "attempt_end",
                         json_pack("{s:s, s:s, s:i, s:s, s:s, s:I, s:f}", "batch", "b", "task", "t",
                                   "attempt", 1, "verdict", "crashed", "kind", "d",
                                   "reserved_bytes", (json_int_t)1 << 30, "wall_s", 2.0),
                         NULL, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        queue_fixture_reopen(fixture);
        assert_int_equal(queue_order(fixture->queue, NOW, line, 2), 2);
        assert_string_equal(line[0]->user, "bert");
        queue_fixture_close(fixture);
        (void)compact(fixture); /* even twice */
        queue_fixture_open(fixture);
    }
}

/* The samples of kinds by the hundred are kept, of each user; not by the million, nor one user's in
 * place of another's. */
static void kinds_without_end_are_not_kept(void **state) {
    enum { KINDS = 4 * LEDGER_KEEP_KINDS };
    struct ledger_keep *keep = NULL;
    struct failure failure = {0};
    (void)state;
    assert_int_equal(ledger_keep_open(&keep, &failure), 0);
    for (int i = 0; i < KINDS + 4; i++) { /* the third is another's, the ends are of one task */
        CLEANUP_FREE char *kind = names_format("k%d", i);
        CLEANUP_JSON json_t *record =
            i == 0 ? json_pack("{s:s}", "event", "note")
            : i == KINDS + 3
                ? json_pack("{s:s, s:s, s:s}", "event", "task_end", "task", "t", "verdict", "ok")
                : json_pack("{s:s, s:s, s:s, s:s, s:i, s:s}", "event", "attempt_end", "task", "t",
                            "user", i == 2 ? "anna" : "bert", "kind", kind, "attempt", 1, "verdict",
                            "ok");
        assert_int_equal(ledger_keep_see(keep, record, &failure), 0);
    }
    ledger_keep_decide(keep);
    assert_int_equal(ledger_keep_count(keep), 1 + 1 + LEDGER_KEEP_KINDS + 1);
    assert_true(ledger_keep_counts(keep, 3));
    assert_false(ledger_keep_counts(keep, 4));
    assert_true(ledger_keep_counts(keep, KINDS + 3));
    ledger_keep_close(keep);
}

static int count_events(void *context, const json_t *record, struct failure *failure) {
    (void)failure;
    json_t *counts = context;
    const char *event = json_string_value(json_object_get(record, "event"));
    const char *task = json_string_value(json_object_get(record, "task"));
    CLEANUP_FREE char *key = names_format("%s %s", event, task ? task : "");
    const json_int_t n = json_integer_value(json_object_get(counts, key));
    return json_object_set_new(counts, key, json_integer(n + 1));
}

static json_int_t count_of(const json_t *counts, const char *key) {
    return json_integer_value(json_object_get(counts, key));
}

/* A run's ledger, without batches. */
static void a_runs_ledger_keeps_what_counts(void **state) {
    struct queue_fixture *fixture = *state;
    const char *path = fixture->ledger.path;
    for (int run = 0; run < 5; run++) {
        ledger_commit_append(fixture->commit, "batch",
                             json_pack("{s:s, s:s}", "state", "start", "id", "b"), NULL, NULL,
                             NULL);
        for (int i = 0; i < 2; i++) {
            const char *id = i ? "bad" : "good";
            ledger_commit_append(fixture->commit, "attempt_start",
                                 json_pack("{s:s, s:i}", "task", id, "attempt", run + 1), NULL,
                                 NULL, NULL);
            ledger_commit_append(fixture->commit, "attempt_end",
                                 json_pack("{s:s, s:i, s:s, s:s}", "task", id, "attempt", run + 1,
                                           "verdict", i ? "timeout" : "ok", "kind", "k"),
                                 NULL, NULL, NULL);
            ledger_commit_append(fixture->commit, "task_end",
                                 json_pack("{s:s, s:s, s:i}", "task", id, "verdict",
                                           i ? "timeout" : "ok", "attempts", run + 1),
                                 NULL, NULL, NULL);
        }
        ledger_commit_append(fixture->commit, "batch",
                             json_pack("{s:s, s:s}", "state", "end", "id", "b"), NULL, NULL, NULL);
    }
    ledger_commit_append(fixture->commit, "attempt_start",
                         json_pack("{s:s, s:i}", "task", "good", "attempt", 6), NULL, NULL, NULL);
    ledger_commit_append(fixture->commit, "from-the-future", json_pack("{s:i}", "x", 1), NULL, NULL,
                         NULL);
    queue_fixture_close(fixture);
    const struct ledger_compact_result result = compact(fixture);
    assert_true(result.is_done);
    CLEANUP_JSON json_t *counts = json_object();
    struct failure failure = {0};
    if (ledger_store_read(path, count_events, counts, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_int_equal(count_of(counts, "task_end good"), 1);
    assert_int_equal(count_of(counts, "task_end bad"), 1);
    assert_int_equal(count_of(counts, "attempt_start bad"), 5);
    assert_int_equal(count_of(counts, "attempt_start good"), 1); /* the one without an end */
    assert_int_equal(count_of(counts, "attempt_end bad"), 5);
    assert_int_equal(count_of(counts, "attempt_end good"), 5); /* for the model */
    assert_int_equal(count_of(counts, "batch "), 2);
    assert_int_equal(count_of(counts, "from-the-future "), 1);
    assert_int_equal(count_of(counts, "note "), 2); /* the ledger's first, and what was done */
    uint64_t n = 0;
    struct ledger_store *store = ledger_fixture_open(path, result.records_after);
    assert_int_equal(ledger_store_written(store), result.records_after);
    ledger_fixture_append(store, result.records_after + 1);
    ledger_store_close(store);
    assert_int_equal(ledger_store_read(path, ledger_fixture_count, &n, &failure), 0);
    queue_fixture_open(fixture);
}

static void what_must_not_be_touched_is_not(void **state) {
    struct queue_fixture *fixture = *state;
    struct ledger_compact_result result;
    struct failure failure = {0};
    const char *path = fixture->ledger.path;
    make_history(fixture);
    queue_fixture_settle(fixture);
    assert_int_equal(ledger_compact_file(path, 0, &result, &failure), -EWOULDBLOCK);
    queue_fixture_close(fixture);
    size_t length = 0;
    CLEANUP_FREE char *whole = ledger_fixture_read(path, &length);
    /* little to gain: left alone */
    assert_int_equal(ledger_compact_file(path, 0.99, &result, &failure), 0);
    assert_false(result.is_done);
    /* torn, then damaged */
    ledger_fixture_write(path, whole, length - 5);
    assert_int_equal(ledger_compact_file(path, 0, &result, &failure), -EUCLEAN);
    ASSERT_MENTIONS(failure, "ends in a torn record");
    whole[length / 2] ^= 1;
    ledger_fixture_write(path, whole, length);
    assert_int_equal(ledger_compact_file(path, 0, &result, &failure), -EBADMSG);
    ASSERT_MENTIONS(failure, "damaged in the middle");
    size_t after_length = 0;
    CLEANUP_FREE char *after = ledger_fixture_read(path, &after_length);
    assert_int_equal(after_length, length);
    assert_memory_equal(after, whole, length);
    whole[length / 2] ^= 1;
    ledger_fixture_write(path, whole, length);
    queue_fixture_open(fixture);
}

int main(void) {
    (void)setenv("TZ", "UTC", 1);
#define COMPACT_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, queue_fixture_setup, queue_fixture_teardown)
    const struct CMUnitTest tests[] = {
        COMPACT_TEST(queue_stays_the_same),
        COMPACT_TEST(queue_goes_on_while_it_is_compacted),
        COMPACT_TEST(a_compaction_is_closed_at_any_time),
        COMPACT_TEST(a_compaction_that_fails_changes_nothing),
        COMPACT_TEST(use_is_not_forgotten),
        cmocka_unit_test(kinds_without_end_are_not_kept),
        COMPACT_TEST(a_runs_ledger_keeps_what_counts),
        COMPACT_TEST(what_must_not_be_touched_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
