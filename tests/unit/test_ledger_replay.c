/* Reading a ledger that somebody or something has changed: what is no ledger, lines that no
 * accident writes, lines without end, the rule as a table. */
#include "supervisor/ledger/ledger_replay.h"

#include "tests/unit/ledger_fixture.h"

#include <zlib.h>

#define FRAME(seq, time) "{\"v\":1,\"seq\":" seq ",\"time\":\"" time "\",\"boot\":\"b\",\"event\":"
#define TIME "2026-11-21T20:00:00.123Z"

static void the_rule(void **state) {
    (void)state;
    static const struct {
        struct ledger_replay_facts facts;
        enum ledger_replay_state expected;
    } cases[] = {
        {{.n_records = 0}, LEDGER_REPLAY_CLEAN},
        {{.n_records = 9, .promised = 8}, LEDGER_REPLAY_CLEAN},
        {{.n_records = 9, .promised = 9, .any_bytes_behind = true}, LEDGER_REPLAY_TORN},
        {{.n_records = 9, .promised = 10, .any_bytes_behind = true}, LEDGER_REPLAY_DAMAGED},
        {{.n_records = 9, .any_bytes_behind = true, .out_of_turn = true}, LEDGER_REPLAY_DAMAGED},
        {{.n_records = 0, .promised = 1, .any_bytes_behind = true, .like_creation = true},
         LEDGER_REPLAY_DAMAGED},
        {{.any_bytes_behind = true, .like_creation = true}, LEDGER_REPLAY_TORN},
        {{.any_bytes_behind = true}, LEDGER_REPLAY_FOREIGN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(ledger_replay_judge(&cases[i].facts), cases[i].expected);
}

static void what_is_no_ledger_stays(void **state) {
    const struct ledger_fixture *fixture = *state;
    static const char jpeg[] = "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01";
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {jpeg, sizeof(jpeg)},
        {"task_key,min_memory_mb,max_memory_mb\nS/D,1,2\n", 46},
        {"\n", 1},
        {"{}\n{}\n", 6},
        {"{\"v\":1,\"seq\":2}\n", 16},
        {"\0\0\0\0x", 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ledger_fixture_write(fixture->path, cases[i].bytes, cases[i].length);
        struct ledger_store *store = NULL;
        struct ledger_recovery recovery;
        struct failure failure = {0};
        assert_int_equal(ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure),
                         -EMEDIUMTYPE);
        ASSERT_MENTIONS(failure, "is not a ledger");
        ASSERT_MENTIONS(failure, fixture->path);
        size_t length = 0;
        CLEANUP_FREE char *bytes = ledger_fixture_read(fixture->path, &length);
        assert_int_equal(length, cases[i].length);
        assert_memory_equal(bytes, cases[i].bytes, length);
    }
}

/* Adds text as a line with a right checksum. */
static void add_line(const char *path, const char *covered) {
    CLEANUP_FCLOSE FILE *file = fopen(path, "ae");
    assert_non_null(file);
    assert_true(fprintf(file, "%s,\"crc\":\"%08lx\"}\n", covered,
                        crc32(0, (const Bytef *)covered, (uInt)strlen(covered))) > 0);
}

/* The checksum is right, so no accident wrote it: refused, whatever had been promised. */
static void right_checksums_around_wrong_lines(void **state) {
    const struct ledger_fixture *fixture = *state;
    CLEANUP_FREE char *deep = malloc(300000);
    int used = sprintf(deep, "{\"v\":1,\"seq\":2,\"x\":");
    memset(deep + used, '[', 200000);
    deep[used + 200000] = '\0';
    const struct {
        const char *covered;
        int r;
        const char *mentions;
    } cases[] = {
        {deep, -EBADMSG, "not JSON"},
        {"{\"a\":", -EBADMSG, "not JSON"},
        {"{\"v\":1,\"v\":1,\"seq\":2", -EBADMSG, "not JSON"},
        {"{\"v\":1,\"text\":\"\xff\"", -EBADMSG, "not JSON"},
        {"{\"seq\":2", -EBADMSG, "version 0"},
        {"{\"v\":2,\"seq\":2", -EPROTONOSUPPORT, "newer"},
        {FRAME("2", "yesterday") "\"note\",\"synced\":1", -EBADMSG, "\"time\""},
        {FRAME("2", TIME) "\"\",\"synced\":1", -EBADMSG, "\"event\""},
        {FRAME("2", TIME) "7,\"synced\":1", -EBADMSG, "\"event\""},
        {FRAME("\"2\"", TIME) "\"note\",\"synced\":1", -EBADMSG, "\"seq\""},
        {FRAME("0", TIME) "\"note\",\"synced\":1", -EBADMSG, "\"seq\""},
        {FRAME("-2", TIME) "\"note\",\"synced\":1", -EBADMSG, "\"seq\""},
        {FRAME("2", TIME) "\"note\",\"synced\":2", -EBADMSG, "\"synced\""},
        {FRAME("2", TIME) "\"note\"", -EBADMSG, "\"synced\""},
        {FRAME("3", TIME) "\"note\",\"synced\":0", -EBADMSG, "lines are missing"},
        {FRAME("1", TIME) "\"note\",\"synced\":0", -EBADMSG, "record 1 a second time"},
        {FRAME("9223372036854775807", TIME) "\"note\",\"synced\":1", -EBADMSG, "missing"},
        {FRAME("99999999999999999999", TIME) "\"note\",\"synced\":1", -EBADMSG, "not JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)unlink(fixture->path);
        ledger_store_close(ledger_fixture_open(fixture->path, 0));
        add_line(fixture->path, cases[i].covered);
        struct ledger_store *store = NULL;
        struct ledger_recovery recovery;
        struct failure failure = {0};
        int r = ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure);
        if (r != cases[i].r)
            fail_msg("%.80s: %d %s", cases[i].covered, r, failure.text);
        ASSERT_MENTIONS(failure, cases[i].mentions);
        ASSERT_MENTIONS(failure, "line 2");
    }
}

/* What other lines may hold is no business of ours: NUL in a string, unknown events and members. */
static void what_later_versions_may_write(void **state) {
    const struct ledger_fixture *fixture = *state;
    ledger_store_close(ledger_fixture_open(fixture->path, 0));
    add_line(fixture->path, FRAME("2", TIME) "\"lunch\",\"synced\":1,\"x\":\"\\u0000\",\"y\":[{}]");
    ledger_store_close(ledger_fixture_open(fixture->path, 2));
}

static void a_first_record_without_a_name(void **state) {
    const struct ledger_fixture *fixture = *state;
    add_line(fixture->path, FRAME("1", TIME) "\"note\",\"synced\":0");
    struct failure failure = {0};
    assert_int_equal(ledger_store_read(fixture->path, NULL, NULL, &failure), -EBADMSG);
    ASSERT_MENTIONS(failure, "\"ledger_id\"");
}

/* Lines far beyond any record, and a zero tail of many MiB, in bounded memory. */
static void endless_lines(void **state) {
    const struct ledger_fixture *fixture = *state;
    static const char fills[] = {'\0', 'x'};
    for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
        (void)unlink(fixture->path);
        ledger_store_close(ledger_fixture_open(fixture->path, 0));
        struct stat whole;
        assert_int_equal(stat(fixture->path, &whole), 0);
        const size_t block_bytes = 1 << 20, blocks = 40;
        char *block = malloc(block_bytes);
        memset(block, fills[i], block_bytes);
        int fd = open(fixture->path, O_WRONLY | O_APPEND | O_CLOEXEC);
        for (size_t n = 0; n < blocks; n++)
            assert_int_equal(write(fd, block, block_bytes), block_bytes);
        (void)close(fd);
        free(block);
        struct ledger_store *store = NULL;
        struct ledger_recovery recovery;
        struct failure failure = {0};
        if (ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure) < 0)
            fail_msg("%s", failure.text);
        assert_int_equal(recovery.n_records, 1);
        assert_int_equal(recovery.set_aside_bytes, blocks * block_bytes);
        ledger_store_close(store);
        struct stat aside;
        assert_int_equal(stat(recovery.set_aside_path, &aside), 0);
        assert_int_equal(aside.st_size, blocks * block_bytes);
        if (fills[i] == '\0')
            assert_true(aside.st_blocks * 512 < (blkcnt_t)block_bytes); /* a hole */
        assert_int_equal(unlink(recovery.set_aside_path), 0);
        ledger_store_close(ledger_fixture_open(fixture->path, 2));
        size_t length = 0;
        CLEANUP_FREE char *healed = ledger_fixture_read(fixture->path, &length);
        char told[sizeof(recovery.set_aside_path) + 64];
        (void)snprintf(told, sizeof(told), "a torn tail of %zu bytes was set aside as %s",
                       blocks * block_bytes, recovery.set_aside_path);
        assert_non_null(strstr(healed, told));
    }
}

/* A long hole of zeros may hide a promise at its far end. */
static void a_promise_behind_a_long_hole(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = ledger_fixture_open(fixture->path, 0);
    ledger_fixture_append(store, 2);
    struct failure failure = {0};
    assert_int_equal(ledger_store_sync(store, &failure), 0);
    ledger_fixture_append(store, 3);
    ledger_store_close(store);
    size_t length = 0;
    CLEANUP_FREE char *bytes = ledger_fixture_read(fixture->path, &length);
    size_t first = (size_t)(strchr(bytes, '\n') + 1 - bytes);
    size_t third = (size_t)(strchr(bytes + first, '\n') + 1 - bytes);
    const size_t hole = 5 << 20;
    CLEANUP_FREE char *damaged = calloc(1, length + hole);
    memcpy(damaged, bytes, first);
    memcpy(damaged + third + hole, bytes + third, length - third);
    ledger_fixture_write(fixture->path, damaged, length + hole);
    struct ledger_recovery recovery;
    assert_int_equal(ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure),
                     -EBADMSG);
    ASSERT_MENTIONS(failure, "line 2");
    ASSERT_MENTIONS(failure, "records up to 2 had been safely on disk");
    ASSERT_MENTIONS(failure, "head -n 1 OTHER-NAME");
}

/* ---- some records alone ---- */

static bool wants_notes(void *context, const char *line, size_t length) {
    (void)context;
    return memmem(line, length, "\"event\":\"note\"", 14) != NULL;
}

static int add_seq(void *context, const json_t *record, struct failure *failure) {
    (void)failure;
    *(uint64_t *)context =
        *(uint64_t *)context * 10 + (uint64_t)json_integer_value(json_object_get(record, "seq"));
    return 0;
}

/* What is not wanted is passed over, and all the same checked; only what it says is not. */
static void some_records_alone(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    assert_int_equal(ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure), 0);
    static const char *const events[] = {"x", "note", "x", "x", "note"};
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        uint64_t seq;
        assert_int_equal(ledger_store_append(store, events[i], NULL, &seq, &failure), 0);
        assert_int_equal(ledger_store_sync(store, &failure), 0);
    }
    ledger_store_close(store);
    uint64_t seen = 0;
    assert_int_equal(ledger_store_search(fixture->path, wants_notes, add_seq, &seen, &failure), 0);
    assert_int_equal(seen, 136); /* 1, 3 and 6 */
    size_t length = 0;
    CLEANUP_FREE char *bytes = ledger_fixture_read(fixture->path, &length);
    char *fourth = strstr(bytes, "\"seq\":4,");
    assert_non_null(fourth);
    fourth[6]++; /* 5: neither the checksum nor the turn is right */
    ledger_fixture_write(fixture->path, bytes, length);
    seen = 0;
    assert_int_equal(ledger_store_search(fixture->path, wants_notes, add_seq, &seen, &failure),
                     -EBADMSG);
    ASSERT_MENTIONS(failure, "line 4: damaged in the middle");
    assert_int_equal(seen, 13);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule),
        cmocka_unit_test_setup_teardown(some_records_alone, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_ledger_stays, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(right_checksums_around_wrong_lines, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(what_later_versions_may_write, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_first_record_without_a_name, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(endless_lines, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_promise_behind_a_long_hole, ledger_fixture_setup,
                                        ledger_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
