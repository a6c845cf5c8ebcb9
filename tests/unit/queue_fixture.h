/* What the tests of the queue share: a state directory with a real ledger and a real loop, callers,
 * batches of commands. */
#ifndef TESTS_UNIT_QUEUE_FIXTURE_H
#define TESTS_UNIT_QUEUE_FIXTURE_H

#include "supervisor/service/queue.h"
#include "tests/unit/ledger_fixture.h"

#include "common/names.h"

#define NOW INT64_C(1763769600000) /* 2025-11-22 00:00 UTC */

static const struct rights_caller anna = {.uid = 1000, .gid = 1000, .user = "anna"};
static const struct rights_caller bert = {.uid = 1001, .gid = 1001, .user = "bert"};
static const struct rights_caller chief = {
    .uid = 1002, .gid = 1002, .user = "chief", .is_admin = true};

struct queue_fixture {
    struct ledger_fixture ledger;
    uv_loop_t loop;
    struct queue *queue;
    struct ledger_store *store;
    struct ledger_commit *commit;
    size_t n_set_aside;
    int n_done; /* records that were told to be on disk */
};

static inline void queue_fixture_done(void *context, uint64_t seq) {
    struct queue_fixture *fixture = context;
    assert_true(seq > 0);
    fixture->n_done++;
}

static inline void queue_fixture_open(struct queue_fixture *fixture) {
    struct ledger_recovery recovery;
    struct failure failure = {0};
    int r = queue_open(fixture->ledger.folder, &fixture->queue, &failure);
    if (r == 0)
        r = ledger_store_open(fixture->ledger.path, queue_replay, fixture->queue, &fixture->store,
                              &recovery, &failure);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    if (r == 0)
        r = ledger_commit_open(&fixture->loop, fixture->store, NULL, NULL, &fixture->commit,
                               &failure);
    if (r == 0)
        r = queue_attach(fixture->queue, fixture->store, fixture->commit, &fixture->n_set_aside,
                         &failure);
    if (r < 0)
        fail_msg("%s", failure.text);
}

/* Until everything is on disk and told. */
static inline void queue_fixture_settle(struct queue_fixture *fixture) {
    while (!ledger_commit_idle(fixture->commit))
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
}

static inline void queue_fixture_close(struct queue_fixture *fixture) {
    queue_fixture_settle(fixture);
    queue_stop_compacting(fixture->queue);
    ledger_commit_close(fixture->commit);
    (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    queue_close(fixture->queue);
    ledger_store_close(fixture->store);
    fixture->queue = NULL;
}

static inline void queue_fixture_reopen(struct queue_fixture *fixture) {
    queue_fixture_close(fixture);
    queue_fixture_open(fixture);
}

static inline int queue_fixture_setup(void **state) {
    struct queue_fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    ledger_fixture_make(&fixture->ledger, false);
    queue_fixture_open(fixture);
    *state = fixture;
    return 0;
}

static inline int queue_fixture_teardown(void **state) {
    struct queue_fixture *fixture = *state;
    if (fixture->queue)
        queue_fixture_close(fixture);
    ledger_fixture_remove(&fixture->ledger);
    free(fixture);
    return 0;
}

static inline char *queue_fixture_line(const char *id, const char *program) {
    return names_format("{\"id\":\"%s\",\"kind\":\"c\",\"command\":[\"%s\"],\"cwd\":\"/\",\"need\":"
                        "{\"size\":1.0}}",
                        id, program);
}

/* What a client announces. more: further members, ",\"name\":...", or "". */
static inline json_t *queue_fixture_header(const char *out, size_t n_tasks, const char *more) {
    CLEANUP_FREE char *text = names_format("{\"out\":\"%s\",\"tasks\":%zu%s}", out, n_tasks, more);
    json_t *header = json_loads(text, 0, NULL);
    assert_non_null(header);
    return header;
}

/* Submits tasks with these ids, NULL-terminated, as commands of that program. */
static inline int queue_fixture_try(struct queue_fixture *fixture,
                                    const struct rights_caller *caller, const char *out,
                                    const char *const *ids, const char *program, const char *more,
                                    struct queue_answer *ret, struct failure *failure) {
    struct queue_submit *submit = NULL;
    size_t n = 0;
    while (ids[n])
        n++;
    CLEANUP_JSON json_t *header = queue_fixture_header(out, n, more);
    int r = queue_submit_begin(fixture->queue, caller, header, NOW, &submit, failure);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        CLEANUP_FREE char *line = queue_fixture_line(ids[i], program);
        r = queue_submit_line(submit, line, strlen(line), failure);
        if (r < 0) {
            queue_submit_abort(submit);
            return r;
        }
    }
    return queue_submit_commit(submit, queue_fixture_done, fixture, ret, failure);
}

static inline struct queue_batch *queue_fixture_submit(struct queue_fixture *fixture,
                                                       const struct rights_caller *caller,
                                                       const char *out, const char *const *ids,
                                                       const char *more) {
    struct queue_answer answer;
    struct failure failure = {0};
    if (queue_fixture_try(fixture, caller, out, ids, "/bin/true", more, &answer, &failure) < 0)
        fail_msg("%s", failure.text);
    struct queue_batch *batch = queue_find(fixture->queue, answer.name);
    assert_ptr_equal(batch, answer.batch);
    return batch;
}

/* What the engine writes of a task that it took. Returns the seq of its task_end. */
static inline uint64_t queue_fixture_record_end(struct queue_fixture *fixture,
                                                const struct queue_batch *batch, const char *id,
                                                int attempt, const char *verdict) {
    uint64_t seq = 0;
    ledger_commit_append(fixture->commit, "attempt_start",
                         json_pack("{s:s, s:s, s:s, s:i, s:i}", "batch", batch->name, "user",
                                   batch->user, "task", id, "attempt", attempt, "pid", 1),
                         NULL, NULL, NULL);
    ledger_commit_append(fixture->commit, "attempt_end",
                         json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:f}", "batch", batch->name,
                                   "user", batch->user, "task", id, "attempt", attempt, "verdict",
                                   verdict, "reserved_bytes", (json_int_t)1 << 30, "wall_s", 2.0),
                         NULL, NULL, NULL);
    ledger_commit_append(fixture->commit, "task_end",
                         json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:f, s:I, s:s, s:s, s:s}",
                                   "batch", batch->name, "user", batch->user, "task", id, "verdict",
                                   verdict, "reason",
                                   strcmp(verdict, "ok") == 0 ? "" : "it said no", "attempts",
                                   attempt, "wall_s", 1.5, "peak_rss_bytes", (json_int_t)3 << 20,
                                   "cause", "", "kind", "c", "fingerprint", "00000000"),
                         NULL, NULL, &seq);
    assert_true(seq > 0);
    queue_fixture_settle(fixture);
    return seq;
}

/* Takes the next task, "runs" it, and tells the queue. True: the batch's last. */
static inline bool queue_fixture_run_next(struct queue_fixture *fixture, struct queue_batch *batch,
                                          const char *verdict) {
    struct queue_taken taken;
    struct failure failure = {0};
    struct queue_result result = {.wall_ms = 1500, .peak_rss_bytes = 3 << 20, .now = NOW + 5000};
    if (queue_next(fixture->queue, batch, &taken, &failure) < 0)
        fail_msg("%s", failure.text);
    queue_started(fixture->queue, batch, taken.number, NOW + 1000);
    result.attempts = taken.attempts + 1;
    assert_int_equal(verdict_parse(verdict, &result.verdict), 0);
    result.seq = queue_fixture_record_end(fixture, batch, taken.task.id, result.attempts, verdict);
    const bool is_last = queue_result(fixture->queue, batch, taken.number, &result);
    queue_taken_free(&taken);
    return is_last;
}

#endif
