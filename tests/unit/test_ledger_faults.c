/* Every way to damage a ledger at every byte: cut, zeroed, flipped, overwritten. The rule: what a
 * later record calls synced is never given up silently, and anything else is healed. */
#include "tests/unit/ledger_fixture.h"

enum { N_RECORDS = 12 };

struct whole {
    struct ledger_fixture fixture;
    char *bytes;
    size_t length;
    size_t end[N_RECORDS + 1];      /* end[s]: offset behind record s; end[0] = 0 */
    uint64_t synced[N_RECORDS + 1]; /* what record s claims */
};

/* Records in groups: one to four between two syncs, the last group never synced. */
static int make_whole(void **state) {
    struct whole *whole = calloc(1, sizeof(*whole));
    assert_non_null(whole);
    ledger_fixture_make(&whole->fixture, true);
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    assert_int_equal(
        ledger_store_open(whole->fixture.path, NULL, NULL, &store, &recovery, &failure), 0);
    for (int seq = 2; seq <= N_RECORDS; seq++) {
        CLEANUP_JSON json_t *fields = json_pack("{s:s, s:i}", "task", "S/D", "n", seq);
        assert_int_equal(ledger_store_append(store, "note", fields, NULL, &failure), 0);
        if (seq == 3 || seq == 4 || seq == 8 || seq == 9)
            assert_int_equal(ledger_store_sync(store, &failure), 0);
    }
    ledger_store_close(store);
    whole->bytes = ledger_fixture_read(whole->fixture.path, &whole->length);
    const char *at = whole->bytes;
    for (int seq = 1; seq <= N_RECORDS; seq++) {
        const char *newline = strchr(at, '\n');
        assert_non_null(newline);
        whole->synced[seq] = strtoull(strstr(at, "\"synced\":") + 9, NULL, 10);
        at = newline + 1;
        whole->end[seq] = (size_t)(at - whole->bytes);
    }
    assert_int_equal(whole->end[N_RECORDS], whole->length);
    assert_int_equal(whole->synced[N_RECORDS], 9);
    *state = whole;
    return 0;
}

static int drop_whole(void **state) {
    struct whole *whole = *state;
    ledger_fixture_remove(&whole->fixture);
    free(whole->bytes);
    free(whole);
    return 0;
}

/* Opens the damaged file and checks the rule. Without a first record a file of garbage (longer than
 * it was, and not zero at its end) may be refused as no ledger at all. good: records whole before
 * the damage; promised: what the undamaged records claim. */
static void check(const struct whole *whole, const char *bytes, size_t length, uint64_t good,
                  uint64_t promised, size_t position) {
    const char *path = whole->fixture.path;
    ledger_fixture_write(path, bytes, length);
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    uint64_t seen = 0;
    int r = ledger_store_open(path, ledger_fixture_count, &seen, &store, &recovery, &failure);
    bool blank =
        good == 0 && r == -EMEDIUMTYPE && bytes[length - 1] != '\0' && length > whole->length;
    if (promised > good || blank) {
        if (!blank && r != -EBADMSG)
            fail_msg("byte %zu: record %d was promised, yet %d %s", position, (int)good + 1, r,
                     failure.text);
        char line[64];
        (void)snprintf(line, sizeof(line), "expected record %d", (int)good + 1);
        ASSERT_MENTIONS(failure, line);
        size_t left_length = 0;
        CLEANUP_FREE char *left = ledger_fixture_read(path, &left_length);
        assert_int_equal(left_length, length);
        assert_memory_equal(left, bytes, length);
        return;
    }
    if (r != 0)
        fail_msg("byte %zu: nothing promised is lost, yet %d %s", position, r, failure.text);
    assert_int_equal(seen, good);
    assert_int_equal(recovery.n_records, good);
    size_t good_bytes = whole->end[good];
    assert_int_equal(recovery.set_aside_bytes, length - good_bytes);
    if (recovery.set_aside_bytes > 0) {
        size_t aside_length = 0;
        CLEANUP_FREE char *aside = ledger_fixture_read(recovery.set_aside_path, &aside_length);
        assert_int_equal(aside_length, length - good_bytes);
        assert_memory_equal(aside, bytes + good_bytes, aside_length);
        assert_int_equal(unlink(recovery.set_aside_path), 0);
    }
    assert_int_equal(ledger_store_append(store, "note", NULL, NULL, &failure), 0);
    ledger_store_close(store);
    uint64_t again = 0;
    r = ledger_store_read(path, ledger_fixture_count, &again, &failure);
    assert_int_equal(r, 0);
    assert_int_equal(again, good + (good == 0) + (recovery.set_aside_bytes > 0) + 1);
}

/* Records whole before byte b, and what the records outside [first, last] of the damage claim. */
static uint64_t good_before(const struct whole *whole, size_t b) {
    uint64_t good = 0;
    while (good < N_RECORDS && whole->end[good + 1] <= b)
        good++;
    return good;
}

static uint64_t promised_outside(const struct whole *whole, size_t from, size_t to) {
    uint64_t promised = 0;
    for (int seq = 1; seq <= N_RECORDS; seq++)
        if ((whole->end[seq] <= from || whole->end[seq - 1] >= to) && whole->synced[seq] > promised)
            promised = whole->synced[seq];
    return promised;
}

static void cut_at_every_byte(void **state) {
    const struct whole *whole = *state;
    for (size_t b = 0; b <= whole->length; b++) {
        uint64_t good = good_before(whole, b);
        check(whole, whole->bytes, b, good, promised_outside(whole, b, SIZE_MAX), b);
    }
}

/* From every byte to the end, and some way beyond it: the blocks were allocated, never written. */
static void zero_from_every_byte(void **state) {
    const struct whole *whole = *state;
    const size_t beyond = 5000;
    CLEANUP_FREE char *damaged = calloc(1, whole->length + beyond);
    assert_non_null(damaged);
    for (size_t b = 0; b <= whole->length; b++) {
        memset(damaged, 0, whole->length);
        memcpy(damaged, whole->bytes, b);
        size_t length = whole->length + (b % 3 == 0 ? beyond : 0);
        check(whole, damaged, length, good_before(whole, b), promised_outside(whole, b, SIZE_MAX),
              b);
    }
}

static void flip_every_byte(void **state) {
    const struct whole *whole = *state;
    CLEANUP_FREE char *damaged = malloc(whole->length);
    assert_non_null(damaged);
    for (size_t b = 0; b < whole->length; b++) {
        memcpy(damaged, whole->bytes, whole->length);
        damaged[b] = (char)(damaged[b] ^ (1 << b % 8));
        check(whole, damaged, whole->length, good_before(whole, b),
              promised_outside(whole, b, b + 1), b);
    }
}

/* A hole of zeros with whole records behind it: a group whose pages reached the disk out of order,
 * or damage in the middle; the promise decides. */
static void zero_hole_at_every_byte(void **state) {
    const struct whole *whole = *state;
    const size_t hole = 100;
    CLEANUP_FREE char *damaged = malloc(whole->length);
    assert_non_null(damaged);
    for (size_t b = 0; b + hole < whole->length; b++) {
        memcpy(damaged, whole->bytes, whole->length);
        memset(damaged + b, 0, hole);
        check(whole, damaged, whole->length, good_before(whole, b),
              promised_outside(whole, b, b + hole), b);
    }
}

/* Garbage in place of the tail, newlines included. */
static void garbage_from_every_byte(void **state) {
    const struct whole *whole = *state;
    const size_t more = 700;
    CLEANUP_FREE char *damaged = malloc(whole->length + more);
    assert_non_null(damaged);
    unsigned seed = 1;
    for (size_t b = 0; b <= whole->length; b++) {
        memcpy(damaged, whole->bytes, b);
        for (size_t i = b; i < whole->length + more; i++) {
            seed = seed * 1103515245U + 12345U;
            damaged[i] = (char)(seed >> 16 & 15 ? seed >> 20 : '\n');
        }
        if (b < whole->length && damaged[b] == whole->bytes[b])
            damaged[b] ^= 1; /* or the record that it was to damage would be whole */
        damaged[whole->length + more - 1] = '!';
        check(whole, damaged, whole->length + more, good_before(whole, b),
              promised_outside(whole, b, SIZE_MAX), b);
    }
}

/* Whole lines taken away, doubled or swapped: no accident of the disk, even where nothing was
 * promised. */
static void lines_out_of_turn(void **state) {
    const struct whole *whole = *state;
    CLEANUP_FREE char *damaged = malloc(2 * whole->length);
    assert_non_null(damaged);
    for (int seq = 1; seq < N_RECORDS; seq++) {
        size_t start = whole->end[seq - 1], end = whole->end[seq], next = whole->end[seq + 1];
        struct {
            size_t from, to;
        } parts[][4] = {
            {{0, start}, {end, whole->length}, {0, 0}, {0, 0}},             /* missing */
            {{0, end}, {start, whole->length}, {0, 0}, {0, 0}},             /* doubled */
            {{0, start}, {end, next}, {start, end}, {next, whole->length}}, /* swapped */
        };
        for (size_t kind = 0; kind < ARRAY_LEN(parts); kind++) {
            size_t length = 0;
            for (size_t i = 0; i < 4; i++) {
                size_t bytes = parts[kind][i].to - parts[kind][i].from;
                memcpy(damaged + length, whole->bytes + parts[kind][i].from, bytes);
                length += bytes;
            }
            uint64_t good = (uint64_t)seq - (kind != 1);
            check(whole, damaged, length, good, UINT64_MAX, start);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cut_at_every_byte, make_whole, drop_whole),
        cmocka_unit_test_setup_teardown(zero_from_every_byte, make_whole, drop_whole),
        cmocka_unit_test_setup_teardown(flip_every_byte, make_whole, drop_whole),
        cmocka_unit_test_setup_teardown(zero_hole_at_every_byte, make_whole, drop_whole),
        cmocka_unit_test_setup_teardown(garbage_from_every_byte, make_whole, drop_whole),
        cmocka_unit_test_setup_teardown(lines_out_of_turn, make_whole, drop_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
