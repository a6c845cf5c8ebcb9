/* The store on real files: creation, restarts, locking, a full disk. */
#include "supervisor/ledger/ledger_identity.h"
#include "supervisor/ledger/ledger_line.h"
#include "supervisor/ledger/ledger_lock.h"
#include "tests/unit/ledger_fixture.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <zlib.h>

static void seq_goes_on_over_restarts(void **state) {
    const struct ledger_fixture *fixture = *state;
    char id[64];
    uint64_t seq = 0;
    for (int round = 0; round < 5; round++) {
        struct ledger_store *store = ledger_fixture_open(fixture->path, seq);
        if (round == 0) {
            seq = 1; /* the record that names the ledger */
            (void)snprintf(id, sizeof(id), "%s", ledger_store_id(store));
            assert_true(ledger_identity_is_valid(id));
        }
        assert_string_equal(ledger_store_id(store), id);
        for (int i = 0; i < 7; i++)
            ledger_fixture_append(store, ++seq);
        if (round % 2) {
            struct failure failure = {0};
            assert_int_equal(ledger_store_sync(store, &failure), 0);
        }
        ledger_store_close(store);
    }
    size_t length = 0;
    CLEANUP_FREE char *bytes = ledger_fixture_read(fixture->path, &length);
    struct stat status;
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_true(status.st_blocks * 512 < 64 * 1024); /* the room ahead was given back */
    assert_non_null(strstr(bytes, id));
}

/* The line's outside is a promise to other programs: checked without our own decoder. */
static void a_line_is_as_promised(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = ledger_fixture_open(fixture->path, 0);
    ledger_fixture_append(store, 2);
    char boot[LEDGER_IDENTITY_BOOT_BYTES];
    struct failure failure = {0};
    assert_int_equal(ledger_identity_boot(LEDGER_IDENTITY_BOOT_FILE, boot, &failure), 0);
    ledger_store_close(store);
    size_t length = 0;
    CLEANUP_FREE char *bytes = ledger_fixture_read(fixture->path, &length);
    char *second = strchr(bytes, '\n') + 1;
    char *end = strchr(second, '\n');
    assert_ptr_equal(end + 1, bytes + length);
    assert_memory_equal(second, "{\"v\":1,\"seq\":2,\"time\":\"20", 25);
    char middle[256];
    (void)snprintf(middle, sizeof(middle),
                   "\",\"boot\":\"%s\",\"event\":\"note\",\"synced\":1,\"text\":\"line\\nbreak "
                   "\\\"quoted\\\" \\u0001\",\"x\":0.1,\"crc\":\"",
                   boot);
    assert_non_null(strstr(second, middle));
    char *crc = strstr(second, ",\"crc\":\"");
    assert_int_equal(strtoul(crc + 8, NULL, 16),
                     crc32(0, (const Bytef *)second, (uInt)(crc - second)));
    assert_memory_equal(crc + 16, "\"}\n", 3);
}

static void one_writer(void **state) {
    const struct ledger_fixture *fixture = *state;
    int ready[2], go[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        struct ledger_store *store = NULL;
        struct ledger_recovery recovery;
        char byte = 'x';
        if (ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, NULL) < 0 ||
            write(ready[1], &byte, 1) != 1)
            _exit(1);
        (void)close(go[1]);
        (void)!read(go[0], &byte, 1);
        _exit(0);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    assert_int_equal(ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure),
                     -EWOULDBLOCK);
    char who[32];
    (void)snprintf(who, sizeof(who), "process %d", (int)child);
    ASSERT_MENTIONS(failure, who);
    ASSERT_MENTIONS(failure, fixture->path);
    uint64_t count = 0; /* reading needs no lock */
    assert_int_equal(ledger_store_read(fixture->path, ledger_fixture_count, &count, &failure), 0);
    assert_int_equal(count, 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    ledger_store_close(ledger_fixture_open(fixture->path, 1)); /* the lock went with its process */
    for (int i = 0; i < 2; i++) {
        (void)close(ready[i]);
        (void)close(go[i]);
    }
}

/* A program started while the ledger is open must not keep its lock. */
static void the_lock_is_not_inherited(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = ledger_fixture_open(fixture->path, 0);
    FILE *stream = popen("echo started; cat /dev/zero", "r");
    assert_non_null(stream);
    char word[16];
    assert_non_null(fgets(word, sizeof(word), stream));
    ledger_store_close(store);
    ledger_store_close(ledger_fixture_open(fixture->path, 1));
    assert_int_not_equal(pclose(stream), 0); /* ends by SIGPIPE */
}

static void other_kinds_of_file(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    assert_int_equal(ledger_store_open(fixture->folder, NULL, NULL, &store, &recovery, &failure),
                     -EISDIR);
    assert_int_equal(ledger_store_read(fixture->folder, NULL, NULL, &failure), -EISDIR);
    ASSERT_MENTIONS(failure, "no plain file");
    assert_int_equal(ledger_store_read(fixture->path, NULL, NULL, &failure), -ENOENT);
    ASSERT_MENTIONS(failure, "there is no ledger");
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_int_equal(ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure),
                     -EINVAL);
    assert_int_equal(unlink(fixture->path), 0);
    ledger_fixture_write(fixture->path, "", 0);
    ledger_store_close(ledger_fixture_open(fixture->path, 0)); /* an empty file is a new ledger */
    ledger_store_close(ledger_fixture_open(fixture->path, 1));
}

static void what_does_not_fit_a_record(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = ledger_fixture_open(fixture->path, 0);
    struct failure failure = {0};
    CLEANUP_JSON json_t *own = json_pack("{s:i}", "seq", 7);
    assert_int_equal(ledger_store_append(store, "note", own, NULL, &failure), -EINVAL);
    ASSERT_MENTIONS(failure, "\"seq\"");
    char *text = malloc(LEDGER_LINE_MAX_BYTES + 1);
    memset(text, 'x', LEDGER_LINE_MAX_BYTES);
    text[LEDGER_LINE_MAX_BYTES] = '\0';
    CLEANUP_JSON json_t *big = json_pack("{s:s}", "text", text);
    assert_int_equal(ledger_store_append(store, "note", big, NULL, &failure), -EMSGSIZE);
    text[LEDGER_LINE_MAX_BYTES - 400] = '\0';
    CLEANUP_JSON json_t *biggest = json_pack("{s:s}", "text", text);
    free(text);
    json_t *deep = json_array();
    for (int i = 0; i < 100; i++) {
        json_t *outer = json_array();
        assert_int_equal(json_array_append_new(outer, deep), 0);
        deep = outer;
    }
    CLEANUP_JSON json_t *nested = json_pack("{s:o}", "x", deep);
    assert_int_equal(ledger_store_append(store, "note", nested, NULL, &failure), -EINVAL);
    ASSERT_MENTIONS(failure, "deeper");
    uint64_t seq = 0;
    assert_int_equal(ledger_store_append(store, "note", biggest, &seq, &failure), 0);
    assert_int_equal(seq, 2); /* what was refused took no number */
    ledger_store_close(store);
    ledger_store_close(ledger_fixture_open(fixture->path, 2));
}

/* When the disk is full the file stays whole, and the number is not consumed. */
static void a_full_disk_leaves_the_file_whole(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = ledger_fixture_open(fixture->path, 0);
    ledger_fixture_append(store, 2);
    struct stat status;
    assert_int_equal(stat(fixture->path, &status), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = (rlim_t)status.st_size + 100, .rlim_max = RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct failure failure = {0};
    int r = ledger_store_append(store, "note", NULL, NULL, &failure);
    assert_true(ledger_store_is_full(r));
    ASSERT_MENTIONS(failure, fixture->path);
    struct stat after;
    assert_int_equal(stat(fixture->path, &after), 0);
    assert_int_equal(after.st_size, status.st_size);
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ledger_fixture_append(store, 3);
    assert_int_equal(ledger_store_reserve(store, &failure), 0);
    assert_int_equal(stat(fixture->path, &after), 0);
    assert_true(after.st_blocks * 512 >= LEDGER_STORE_RESERVE_BYTES);
    ledger_store_close(store);
    ledger_store_close(ledger_fixture_open(fixture->path, 3));
}

/* Without room for the torn tail's copy nothing is cut. */
static void healing_needs_room(void **state) {
    const struct ledger_fixture *fixture = *state;
    if (mount("none", fixture->folder, "tmpfs", 0, "size=1m") < 0) {
        print_message("mount: %s\n", strerror(errno));
        skip();
    }
    ledger_store_close(ledger_fixture_open(fixture->path, 0));
    CLEANUP_FREE char *block = malloc(4096);
    memset(block, 'x', 4096);
    int fd = open(fixture->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    while (write(fd, block, 4096) == 4096)
        continue;
    (void)close(fd);
    struct stat before, after;
    assert_int_equal(stat(fixture->path, &before), 0);
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    int r = ledger_store_open(fixture->path, NULL, NULL, &store, &recovery, &failure);
    assert_int_equal(r, -ENOSPC);
    ASSERT_MENTIONS(failure, "cannot set aside the torn tail");
    assert_int_equal(stat(fixture->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(umount(fixture->folder), 0);
}

static int stop_at_second(void *context, const json_t *record, struct failure *failure) {
    (void)context;
    if (json_integer_value(json_object_get(record, "seq")) == 2)
        return failure_set(failure, -ECANCELED, "enough");
    return 0;
}

static void the_caller_may_stop(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct ledger_store *store = ledger_fixture_open(fixture->path, 0);
    ledger_fixture_append(store, 2);
    ledger_fixture_append(store, 3);
    ledger_store_close(store);
    struct failure failure = {0};
    struct ledger_recovery recovery;
    assert_int_equal(
        ledger_store_open(fixture->path, stop_at_second, NULL, &store, &recovery, &failure),
        -ECANCELED);
    assert_string_equal(failure.text, "enough");
    ledger_store_close(ledger_fixture_open(fixture->path, 3)); /* and nothing stays locked */
}

static void boot_ids(void **state) {
    const struct ledger_fixture *fixture = *state;
    static const struct {
        const char *text;
        int r;
    } cases[] = {
        {"23f65cdd-9487-4132-a024-7d0aa85d23f7\n", 0},
        {"23f65cdd-9487-4132-a024-7d0aa85d23f7", 0},
        {"", -EINVAL},
        {"23f65cdd", -EINVAL},
        {"23f65cdd-9487-4132-a024-7d0aa85d23f7 and more\n", -EINVAL},
        {"23f65cdd-9487-4132-a024-7d0aa85d\"3f7\n", -EINVAL},
    };
    char boot[LEDGER_IDENTITY_BOOT_BYTES];
    struct failure failure = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ledger_fixture_write(fixture->path, cases[i].text, strlen(cases[i].text));
        assert_int_equal(ledger_identity_boot(fixture->path, boot, &failure), cases[i].r);
    }
    assert_int_equal(ledger_identity_boot("/nonexistent", boot, &failure), -ENOENT);
    ASSERT_MENTIONS(failure, "/nonexistent");
}

static void holders(void **state) {
    const struct ledger_fixture *fixture = *state;
    struct stat status;
    char table[160], row[256];
    (void)snprintf(table, sizeof(table), "%s/locks", fixture->folder);
    ledger_fixture_write(fixture->path, "", 0);
    CLEANUP_CLOSE int fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &status), 0);
    static const struct {
        const char *format;
        int pid;
    } cases[] = {
        {"1: FLOCK  ADVISORY  WRITE 708 ff:ff:%llu 0 EOF\n", 708},
        {"1: POSIX  ADVISORY  WRITE 708 ff:ff:%llu 0 EOF\n", 0},
        {"1: FLOCK  ADVISORY  WRITE 0 ff:ff:%llu 0 EOF\n", 0}, /* of another PID namespace */
        {"1: -> FLOCK  ADVISORY  WRITE 708 ff:ff:%llu 0 EOF\n", 0},
        {"garbage %llu\n1: FLOCK", 0},
        {"1: FLOCK  ADVISORY  WRITE 708 ff:ff:1%llu 0 EOF\n", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)snprintf(row, sizeof(row), cases[i].format, (unsigned long long)status.st_ino);
        ledger_fixture_write(table, row, strlen(row));
        assert_int_equal(ledger_lock_holder(table, fd), cases[i].pid);
    }
    assert_int_equal(ledger_lock_holder("/nonexistent", fd), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(seq_goes_on_over_restarts, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_line_is_as_promised, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(one_writer, ledger_fixture_setup, ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(the_lock_is_not_inherited, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(other_kinds_of_file, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_a_record, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_file_whole, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(healing_needs_room, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(the_caller_may_stop, ledger_fixture_setup,
                                        ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(boot_ids, ledger_fixture_setup, ledger_fixture_teardown),
        cmocka_unit_test_setup_teardown(holders, ledger_fixture_setup, ledger_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
