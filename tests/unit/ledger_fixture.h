/* What the tests of the ledger share: a folder of their own, files as bytes, records to look at. */
#ifndef TESTS_UNIT_LEDGER_FIXTURE_H
#define TESTS_UNIT_LEDGER_FIXTURE_H

#include "supervisor/ledger/ledger_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

struct ledger_fixture {
    char folder[64];
    char path[128]; /* folder/ledger.jsonl */
};

/* memory: in /dev/shm where there is one, for tests that open a ledger thousands of times. */
static inline void ledger_fixture_make(struct ledger_fixture *fixture, bool memory) {
    const char *below = memory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "%s/registrar-XXXXXX", below);
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/ledger.jsonl", fixture->folder);
}

static inline void ledger_fixture_remove(const struct ledger_fixture *fixture) {
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", fixture->folder);
    assert_int_equal(system(command), 0);
}

static inline void ledger_fixture_write(const char *path, const void *bytes, size_t length) {
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
}

/* The caller frees. The bytes are followed by a NUL. */
static inline char *ledger_fixture_read(const char *path, size_t *ret_length) {
    struct stat status;
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    char *bytes = calloc(1, (size_t)status.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    *ret_length = (size_t)status.st_size;
    return bytes;
}

/* A ledger_store_replay_cb that counts (context: uint64_t *) and checks that seq has no gap. */
static inline int ledger_fixture_count(void *context, const json_t *record,
                                       struct failure *failure) {
    (void)failure;
    uint64_t *count = context;
    assert_int_equal(json_integer_value(json_object_get(record, "seq")), *count + 1);
    (*count)++;
    return 0;
}

/* cmocka setup and teardown: *state is a fixture. */
static inline int ledger_fixture_setup(void **state) {
    struct ledger_fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    ledger_fixture_make(fixture, false);
    *state = fixture;
    return 0;
}

static inline int ledger_fixture_teardown(void **state) {
    ledger_fixture_remove(*state);
    free(*state);
    return 0;
}

/* Opens a ledger that must be whole. */
static inline struct ledger_store *ledger_fixture_open(const char *path,
                                                       uint64_t expected_records) {
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    uint64_t count = 0;
    if (ledger_store_open(path, ledger_fixture_count, &count, &store, &recovery, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_int_equal(count, expected_records);
    assert_int_equal(recovery.n_records, expected_records);
    assert_int_equal(recovery.set_aside_bytes, 0);
    return store;
}

static inline void ledger_fixture_append(struct ledger_store *store, uint64_t expected_seq) {
    struct failure failure = {0};
    uint64_t seq = 0;
    CLEANUP_JSON json_t *fields =
        json_pack("{s:s, s:f}", "text", "line\nbreak \"quoted\" \x01", "x", 0.1);
    if (ledger_store_append(store, "note", fields, &seq, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_int_equal(seq, expected_seq);
}

#define ASSERT_MENTIONS(failure, words)                                                            \
    do {                                                                                           \
        if (!strstr((failure).text, words))                                                        \
            fail_msg("\"%s\" does not mention \"%s\"", (failure).text, words);                     \
    } while (0)

#endif
