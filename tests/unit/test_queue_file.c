/* What a client must not get in, and what a disk must not get past: hostile submits, damaged batch
 * files, a ledger that speaks of what is not there. Each is told in a sentence, and harms nothing
 * else. */
#include "tests/unit/queue_fixture.h"

static const char *const three[] = {"a", "b", "c", NULL};

static void hostile_headers_are_refused(void **state) {
    struct queue_fixture *fixture = *state;
    static const struct {
        const char *json, *mention;
    } rows[] = {
        {"{}", "\"tasks\" is missing"},
        {"{\"tasks\":0,\"out\":\"/o\"}", "must lie in 1 to"},
        {"{\"tasks\":99999999999,\"out\":\"/o\"}", "must lie in 1 to"},
        {"{\"tasks\":\"3\",\"out\":\"/o\"}", "must be a whole number"},
        {"{\"tasks\":3}", "\"out\" is missing"},
        {"{\"tasks\":3,\"out\":\"o\"}", "must be an absolute path"},
        {"{\"tasks\":3,\"out\":\"/o\\n\"}", "must be an absolute path"},
        {"{\"tasks\":3,\"out\":\"/o\",\"name\":\"../x\"}", "cannot be called \"../x\""},
        {"{\"tasks\":3,\"out\":\"/o\",\"name\":\".hidden\"}", "cannot be called"},
        {"{\"tasks\":3,\"out\":\"/o\",\"name\":\"-rf\"}", "cannot be called"},
        {"{\"tasks\":3,\"out\":\"/o\",\"name\":\"\"}", "cannot be called"},
        {"{\"tasks\":3,\"out\":\"/o\",\"name\":\"a\\u0007\"}", "cannot be called"},
        {"{\"tasks\":3,\"out\":\"/o\",\"priority\":1}", "only administrators may"},
        {"{\"tasks\":3,\"out\":\"/o\",\"options\":{\"force\":true}}",
         "--force is for administrators"},
        {"{\"tasks\":3,\"out\":\"/o\",\"priority\":-101}", "must lie in -100 to 100"},
        {"{\"tasks\":3,\"out\":\"/o\",\"not_before\":\"soon\"}", "give a time like 20:00"},
        {"{\"tasks\":3,\"out\":\"/o\",\"options\":{\"retries\":101}}", "must lie in 0 to 100"},
        {"{\"tasks\":3,\"out\":\"/o\",\"options\":{\"timeout_ms\":0}}", "must lie in 1 to"},
        {"{\"tasks\":3,\"out\":\"/o\",\"options\":{\"memory_share\":1.5}}", "must lie in 0 to 1"},
        {"{\"tasks\":3,\"out\":\"/o\",\"options\":{\"x\":1}}", "unknown key \"x\""},
        {"{\"tasks\":3,\"out\":\"/o\",\"options\":[]}", "must be an object"},
        {"{\"tasks\":3,\"out\":\"/o\",\"options\":{\"redo\":1}}", "must be true or false"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct queue_submit *submit = NULL;
        struct failure failure = {0};
        CLEANUP_JSON json_t *header = json_loads(rows[i].json, 0, NULL);
        assert_non_null(header);
        if (queue_submit_begin(fixture->queue, &anna, header, NOW, &submit, &failure) == 0)
            fail_msg("%s was taken", rows[i].json);
        ASSERT_MENTIONS(failure, rows[i].mention);
    }
}

static void hostile_lines_are_refused(void **state) {
    struct queue_fixture *fixture = *state;
    static const struct {
        const char *line, *mention;
    } rows[] = {
        {"", "task 1 is not JSON"},
        {"nonsense", "task 1 is not JSON"},
        {"{\"id\":\"a\"", "task 1 is not JSON"},
        {"[]", "task 1"},
        {"{\"id\":\"a\",\"id\":\"b\"}", "task 1 is not JSON: duplicate"},
        {"{\"id\":\"../a\",\"kind\":\"c\",\"command\":[\"x\"],\"cwd\":\"/\"}", "task 1"},
        {"{\"id\":\"a\",\"kind\":\"c\",\"command\":[],\"cwd\":\"/\"}", "task 1"},
        {"{\"id\":\"a\",\"kind\":\"c\",\"command\":[\"x\"],\"cwd\":\"here\"}", "task 1"},
        {"{\"id\":\"a\",\"kind\":\"c\",\"command\":[\"x\"],\"cwd\":\"/\",\"memory_bytes\":-1}",
         "task 1"},
        {"{\"id\":\"a\",\"kind\":\"c\",\"command\":[\"x\"],\"cwd\":\"/\",\"what\":1}", "task 1"},
    };
    CLEANUP_JSON json_t *header = queue_fixture_header("/o", 2, "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct queue_submit *submit = NULL;
        struct failure failure = {0};
        assert_int_equal(queue_submit_begin(fixture->queue, &anna, header, NOW, &submit, &failure),
                         0);
        if (queue_submit_line(submit, rows[i].line, strlen(rows[i].line), &failure) == 0)
            fail_msg("%s was taken", rows[i].line);
        ASSERT_MENTIONS(failure, rows[i].mention);
        queue_submit_abort(submit);
    }
    assert_int_equal(queue_count(fixture->queue), 0);
}

static void wrong_counts_are_refused(void **state) {
    struct queue_fixture *fixture = *state;
    static const char *const twice[] = {"a", "b", "a", NULL};
    struct failure failure = {0};
    struct queue_answer answer;
    struct queue_submit *submit = NULL;
    CLEANUP_JSON json_t *header = queue_fixture_header("/o", 2, "");
    CLEANUP_FREE char *line = queue_fixture_line("a", "/bin/true");
    assert_int_equal(queue_submit_begin(fixture->queue, &anna, header, NOW, &submit, &failure), 0);
    assert_int_equal(queue_submit_line(submit, line, strlen(line), &failure), 0);
    assert_int_equal(queue_submit_commit(submit, NULL, NULL, &answer, &failure), -EINVAL);
    ASSERT_MENTIONS(failure, "only 1 of the 2 tasks announced were sent");
    assert_int_equal(
        queue_fixture_try(fixture, &anna, "/o", twice, "/bin/true", "", &answer, &failure),
        -EINVAL);
    ASSERT_MENTIONS(failure, "tasks 1 and 3 have the same id, a");
    CLEANUP_JSON json_t *one = queue_fixture_header("/o", 1, "");
    assert_int_equal(queue_submit_begin(fixture->queue, &anna, one, NOW, &submit, &failure), 0);
    assert_int_equal(queue_submit_line(submit, line, strlen(line), &failure), 0);
    assert_int_equal(queue_submit_line(submit, line, strlen(line), &failure), -EINVAL);
    ASSERT_MENTIONS(failure, "task 2 is one more than the 1 that were announced");
    queue_submit_abort(submit);
    queue_fixture_reopen(fixture);
    assert_int_equal(fixture->n_set_aside, 0);
    assert_int_equal(queue_count(fixture->queue), 0);
}

static void ids_with_escapes_are_found(void **state) {
    struct queue_fixture *fixture = *state;
    /* the id first but escaped, and an id that is not the first member */
    static const char *const lines[] = {
        "{\"id\":\"\\u0061\\\"\",\"kind\":\"c\",\"command\":[\"x\"],\"cwd\":\"/\"}",
        "{\"kind\":\"c\", \"id\" : \"b\",\"command\":[\"x\"],\"cwd\":\"/\"}"};
    struct queue_submit *submit = NULL;
    struct queue_answer answer;
    struct failure failure = {0};
    CLEANUP_JSON json_t *header = queue_fixture_header("/o", 2, ",\"name\":\"Nacht 1\"");
    assert_int_equal(queue_submit_begin(fixture->queue, &anna, header, NOW, &submit, NULL), 0);
    for (size_t i = 0; i < 2; i++)
        if (queue_submit_line(submit, lines[i], strlen(lines[i]), &failure) < 0)
            fail_msg("%s", failure.text);
    assert_int_equal(queue_submit_commit(submit, NULL, NULL, &answer, NULL), 0);
    for (int i = 0; i < 2; i++) {
        const struct queue_batch *batch = queue_find(fixture->queue, "Nacht 1");
        uint32_t number = 9;
        assert_non_null(batch);
        assert_null(batch->damage);
        assert_int_equal(queue_find_task(batch, "a\"", &number), 0);
        assert_int_equal(number, 0);
        assert_int_equal(queue_find_task(batch, "b", &number), 0);
        CLEANUP_FREE char *id = NULL;
        assert_int_equal(queue_task_id(batch, 0, &id, NULL), 0);
        assert_string_equal(id, "a\"");
        queue_fixture_reopen(fixture);
    }
}

/* What becomes of the file's bytes. Returns the new length. */
typedef size_t (*mutate_cb)(char *bytes, size_t length);

static size_t cut_end(char *bytes, size_t length) {
    (void)bytes;
    return length - 10;
}
static size_t cut_all(char *bytes, size_t length) {
    (void)bytes, (void)length;
    return 0;
}
static size_t zero_middle(char *bytes, size_t length) {
    memset(strchr(bytes, '\n') + 1, 0, 30);
    return length;
}
static size_t flip_bit(char *bytes, size_t length) {
    char *program = strstr(bytes, "true");
    program[0] ^= 1;
    return length;
}
static size_t spoil_head(char *bytes, size_t length) {
    bytes[2] = '\n';
    return length;
}
static size_t foreign_order(char *bytes, size_t length) {
    char *order = strstr(bytes, "\"order\":1");
    order[8] = '7';
    return length;
}
static size_t lose_line(char *bytes, size_t length) {
    char *from = strchr(bytes, '\n') + 1, *to = strchr(from, '\n') + 1;
    memmove(from, to, length - (size_t)(to - bytes));
    return length - (size_t)(to - from);
}
static size_t add_behind(char *bytes, size_t length) {
    memcpy(bytes + length, "x\n", 2); /* the fixture's buffer has room */
    return length + 2;
}
static size_t remove_user(char *bytes, size_t length) {
    memcpy(strstr(bytes, "\"user\""), "\"uxer\"", 6);
    return length;
}

static void damage_is_told(void **state) {
    struct queue_fixture *fixture = *state;
    static const struct {
        mutate_cb mutate;
        const char *mention;
    } rows[] = {
        {cut_end, "its checksum does not fit"},
        {cut_all, "its end is missing"},
        {zero_middle, "is no task"},
        {flip_bit, "its checksum does not fit"},
        {spoil_head, "its first line is no batch's"},
        {foreign_order, "it belongs to another batch of that name"},
        {lose_line, "its checksum does not fit"},
        {add_behind, "something stands behind its end"},
        {remove_user, "its first line lacks something"},
        {NULL, "it cannot be opened"},
    };
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/batches/N.jsonl", fixture->ledger.folder);
    (void)queue_fixture_submit(fixture, &anna, "/o", three, ",\"name\":\"N\"");
    (void)queue_fixture_submit(fixture, &bert, "/p", three, ",\"name\":\"M\"");
    queue_fixture_settle(fixture);
    size_t length = 0;
    CLEANUP_FREE char *whole = ledger_fixture_read(path, &length);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_FREE char *bytes = calloc(1, length + 16);
        memcpy(bytes, whole, length);
        queue_fixture_close(fixture);
        assert_int_equal(unlink(path), 0);
        if (rows[i].mutate)
            ledger_fixture_write(path, bytes, rows[i].mutate(bytes, length));
        queue_fixture_open(fixture);
        struct queue_batch *batch = queue_find(fixture->queue, "N"), *line[2];
        assert_non_null(batch);
        if (!batch->damage || !strstr(batch->damage, rows[i].mention))
            fail_msg("row %zu: \"%s\"", i, batch->damage ? batch->damage : "no damage");
        assert_string_equal(batch->user, "anna");
        assert_int_equal(queue_order(fixture->queue, NOW, line, 2), 1); /* the other goes on */
        assert_string_equal(line[0]->name, "M");
        assert_null(line[0]->damage);
        struct queue_taken taken;
        assert_true(queue_next(fixture->queue, batch, &taken, NULL) < 0);
        struct queue_change change;
        assert_int_equal(
            queue_cancel(fixture->queue, &anna, batch, NULL, NOW, NULL, NULL, &change, NULL),
            0); /* to be rid of it */
        queue_change_free(&change);
        assert_int_equal(batch->n_state[QUEUE_ENDED], batch->n_tasks);
        if (i + 1 < ARRAY_LEN(rows)) { /* as it was */
            queue_fixture_close(fixture);
            ledger_fixture_write(path, whole, length);
            queue_fixture_open(fixture);
        }
    }
}

static void damage_while_it_is_read_is_told(void **state) {
    struct queue_fixture *fixture = *state;
    char path[160];
    struct queue_batch *batch = queue_fixture_submit(fixture, &anna, "/o", three, "");
    (void)snprintf(path, sizeof(path), "%s/batches/o.jsonl", fixture->ledger.folder);
    assert_int_equal(truncate(path, 0), 0);
    struct queue_taken taken;
    struct failure failure = {0};
    assert_int_equal(queue_next(fixture->queue, batch, &taken, &failure), -EIO);
    ASSERT_MENTIONS(failure, "cannot read task 1 of the batch o");
    assert_non_null(batch->damage);
    assert_int_equal(batch->n_state[QUEUE_WAITING], 3);
}

static void strange_records_are_passed_over(void **state) {
    struct queue_fixture *fixture = *state;
    static const char *const records[] = {
        "{}",
        "{\"state\":\"submit\"}",
        "{\"state\":\"submit\",\"batch\":\"../../etc/passwd\",\"order\":1}",
        "{\"state\":\"cancel\",\"batch\":\"nobody's\"}",
        "{\"state\":\"cancel\",\"batch\":\"o\",\"task\":\"zz\"}",
        "{\"state\":\"what\",\"batch\":\"o\"}",
        "{\"state\":5,\"batch\":\"o\"}",
        "{\"state\":\"priority\",\"batch\":\"o\",\"priority\":\"high\"}",
        "{\"batch\":\"o\",\"task\":\"zz\",\"verdict\":\"ok\"}",
        "{\"batch\":\"o\",\"task\":\"a\",\"verdict\":\"splendid\"}",
        "{\"batch\":\"o\",\"task\":\"a\",\"attempt\":-5,\"wall_s\":-1e300,\"reserved_bytes\":-1}",
        "{\"batch\":\"o\",\"task\":\"a\",\"attempts\":99999999999,\"wall_s\":1e300}",
        "{\"batch\":7,\"task\":[]}",
    };
    static const char *const events[] = {"batch", "attempt_end", "task_end", "note", "strange"};
    (void)queue_fixture_submit(fixture, &anna, "/o", three, "");
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        for (size_t k = 0; k < ARRAY_LEN(events); k++)
            ledger_commit_append(fixture->commit, events[k], json_loads(records[i], 0, NULL), NULL,
                                 NULL, NULL);
    queue_fixture_reopen(fixture);
    assert_int_equal(queue_count(fixture->queue), 1);
    const struct queue_batch *batch = queue_find(fixture->queue, "o");
    assert_int_equal(batch->n_state[QUEUE_WAITING], 3);
}

static void untold_files_are_set_aside(void **state) {
    struct queue_fixture *fixture = *state;
    char path[160], aside[192];
    (void)queue_fixture_submit(fixture, &anna, "/o", three, "");
    (void)snprintf(path, sizeof(path), "%s/batches/.5.tmp", fixture->ledger.folder);
    ledger_fixture_write(path, "half", 4);
    queue_fixture_reopen(fixture);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(fixture->n_set_aside, 0);
    (void)snprintf(path, sizeof(path), "%s/batches/unknown.jsonl", fixture->ledger.folder);
    (void)snprintf(aside, sizeof(aside), "%s.unknown", path);
    ledger_fixture_write(path, "whole", 5);
    queue_fixture_reopen(fixture);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(fixture->n_set_aside, 1);
    assert_int_equal(queue_count(fixture->queue), 1);
}

int main(void) {
    (void)setenv("TZ", "UTC", 1);
#define FILE_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, queue_fixture_setup, queue_fixture_teardown)
    const struct CMUnitTest tests[] = {
        FILE_TEST(hostile_headers_are_refused),
        FILE_TEST(hostile_lines_are_refused),
        FILE_TEST(wrong_counts_are_refused),
        FILE_TEST(ids_with_escapes_are_found),
        FILE_TEST(damage_is_told),
        FILE_TEST(damage_while_it_is_read_is_told),
        FILE_TEST(strange_records_are_passed_over),
        FILE_TEST(untold_files_are_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
