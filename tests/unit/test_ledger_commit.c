/* Group commit: order, groups, speed, a full disk, a failing one. */
#include "supervisor/ledger/ledger_commit.h"

#include "common/clock.h"
#include "tests/unit/ledger_fixture.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

struct bench {
    struct ledger_fixture fixture;
    uv_loop_t loop;
    struct ledger_store *store;
    struct ledger_commit *commit;
    uint64_t told;      /* the last seq that done reported */
    int n_told, n_left; /* n_left: chained appends still to make */
    bool full, fatal;
    int n_states;
    char text[FAILURE_TEXT_BYTES];
};

static void on_state(void *context, bool full, bool fatal, const char *text) {
    struct bench *bench = context;
    bench->full = full;
    bench->fatal = fatal;
    bench->n_states++;
    (void)snprintf(bench->text, sizeof(bench->text), "%s", text);
}

static void open_both(struct bench *bench) {
    struct ledger_recovery recovery;
    struct failure failure = {0};
    if (ledger_store_open(bench->fixture.path, NULL, NULL, &bench->store, &recovery, &failure) < 0)
        fail_msg("%s", failure.text);
    assert_int_equal(
        ledger_commit_open(&bench->loop, bench->store, on_state, bench, &bench->commit, &failure),
        0);
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    ledger_fixture_make(&bench->fixture, false);
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    open_both(bench);
    *state = bench;
    return 0;
}

static void close_both(struct bench *bench) {
    ledger_commit_close(bench->commit);
    ledger_store_close(bench->store);
    bench->commit = NULL;
    bench->store = NULL;
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
}

static int teardown(void **state) {
    struct bench *bench = *state;
    close_both(bench);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    ledger_fixture_remove(&bench->fixture);
    free(bench);
    return 0;
}

static void on_done(void *context, uint64_t seq) {
    struct bench *bench = context;
    assert_int_equal(seq, bench->told + 1); /* in the order of the file */
    bench->told = seq;
    bench->n_told++;
}

static uint64_t append(struct bench *bench, const char *text) {
    uint64_t seq = 0;
    ledger_commit_append(bench->commit, "note", json_pack("{s:s}", "text", text), on_done, bench,
                         &seq);
    return seq;
}

static uint64_t records_in_file(const struct bench *bench) {
    uint64_t count = 0;
    struct failure failure = {0};
    if (ledger_store_read(bench->fixture.path, ledger_fixture_count, &count, &failure) < 0)
        fail_msg("%s", failure.text);
    return count;
}

/* write(2) and its kin that this process has made; negative where the kernel does not count. */
static long count_writes(void) {
    char row[128];
    long count = -1;
    CLEANUP_FCLOSE FILE *file = fopen("/proc/self/io", "re");
    while (file && fgets(row, sizeof(row), file))
        (void)sscanf(row, "syscw: %ld", &count);
    return count;
}

static void one_group_is_one_write(void **state) {
    struct bench *bench = *state;
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    long before = count_writes();
    if (before < 0)
        skip();
    bench->told = 1;
    for (int i = 0; i < 1000; i++)
        (void)append(bench, "x");
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(bench->n_told, 1000);
    assert_in_range(count_writes() - before, 1, 10); /* libuv wakes its loop by a write too */
}

/* Records that were appended to the store directly are not forgotten by the first sync. */
static void earlier_records_are_synced_too(void **state) {
    struct bench *bench = *state;
    struct failure failure = {0};
    assert_int_equal(ledger_store_append(bench->store, "note", NULL, NULL, &failure), 0);
    assert_int_equal(ledger_store_safe(bench->store), 1);
    close_both(bench);
    open_both(bench);
    assert_int_equal(ledger_store_append(bench->store, "note", NULL, NULL, &failure), 0);
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(ledger_store_safe(bench->store), 3);
}

static void told_after_disk_and_in_order(void **state) {
    struct bench *bench = *state;
    bench->told = 1; /* the ledger's own first record */
    for (int i = 0; i < 100; i++)
        assert_int_equal(append(bench, "x"), i + 2);
    assert_int_equal(bench->n_told, 0); /* never from within append */
    assert_int_equal(records_in_file(bench), 1);
    assert_false(ledger_commit_idle(bench->commit));
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_true(ledger_commit_idle(bench->commit));
    assert_int_equal(bench->n_told, 100);
    assert_int_equal(records_in_file(bench), 101);
    assert_int_equal(bench->n_states, 0);
}

static void on_chained(void *context, uint64_t seq) {
    struct bench *bench = context;
    on_done(context, seq);
    if (--bench->n_left > 0)
        ledger_commit_append(bench->commit, "note", json_pack("{s:s}", "text", "chained"),
                             on_chained, bench, NULL);
}

static void a_chain_costs_little(void **state) {
    struct bench *bench = *state;
    bench->told = 1;
    bench->n_left = 1000;
    int64_t start = clock_monotonic_ms();
    ledger_commit_append(bench->commit, "note", json_object(), on_chained, bench, NULL);
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    int64_t took = clock_monotonic_ms() - start;
    assert_int_equal(bench->n_told, 1000);
    print_message("1000 records, each after the one before: %d ms\n", (int)took);
    assert_true(took < 20000); /* a sanity bound for slow disks; the figure is printed */
}

static void closing_keeps_what_waits(void **state) {
    struct bench *bench = *state;
    (void)append(bench, "one");
    (void)append(bench, "two");
    close_both(bench);
    assert_int_equal(bench->n_told, 0); /* nobody is called after close */
    assert_int_equal(records_in_file(bench), 3);
    open_both(bench);
}

static void on_done_close(void *context, uint64_t seq) {
    struct bench *bench = context;
    (void)seq;
    ledger_commit_close(bench->commit);
    bench->commit = NULL;
}

static void closing_from_a_callback(void **state) {
    struct bench *bench = *state;
    ledger_commit_append(bench->commit, "note", json_object(), on_done_close, bench, NULL);
    (void)append(bench, "never told");
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(bench->n_told, 0);
    assert_int_equal(records_in_file(bench), 3);
    ledger_store_close(bench->store);
    open_both(bench);
}

static void what_cannot_be_recorded_is_fatal(void **state) {
    struct bench *bench = *state;
    assert_int_equal(append(bench, "kept"), 2);
    assert_int_equal(append(bench, "\xff not UTF-8"), 0);
    assert_int_equal(append(bench, "too late"), 0);
    assert_int_equal(bench->n_states, 0);
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_true(bench->fatal);
    assert_non_null(strstr(bench->text, "not UTF-8"));
    assert_int_equal(records_in_file(bench), 2);
    assert_true(ledger_commit_idle(bench->commit));
}

/* A file size limit stands for a full disk: the kernel refuses the same calls. */
static void set_limit(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void run_until_state(struct bench *bench, int n_states) {
    while (bench->n_states < n_states)
        (void)uv_run(&bench->loop, UV_RUN_ONCE);
}

static void full_and_again_room(void **state) {
    struct bench *bench = *state;
    struct stat status;
    bench->told = 1;
    assert_int_equal(stat(bench->fixture.path, &status), 0);
    char text[400];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)signal(SIGXFSZ, SIG_IGN);
    set_limit((rlim_t)status.st_size + 2 * 500); /* room for some records, not for all */
    for (int i = 0; i < 10; i++)
        assert_int_equal(append(bench, text), i + 2);
    run_until_state(bench, 1);
    assert_true(bench->full);
    assert_non_null(strstr(bench->text, bench->fixture.folder));
    assert_non_null(strstr(bench->text, "is full"));
    assert_non_null(strstr(bench->text, "continues by itself"));
    while (bench->n_told == 0)
        (void)uv_run(&bench->loop, UV_RUN_ONCE);
    assert_in_range(bench->n_told, 1, 3); /* those that fitted were told */
    assert_false(ledger_commit_idle(bench->commit));
    assert_int_equal(records_in_file(bench), 1 + (uint64_t)bench->n_told);
    assert_int_equal(append(bench, "while full"), 12); /* takes its place in the row */
    set_limit(RLIM_INFINITY);
    run_until_state(bench, 2);
    assert_false(bench->full);
    assert_false(bench->fatal);
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(bench->n_told, 11);
    assert_int_equal(records_in_file(bench), 12);
}

/* The real thing: a file system of 2 MiB, filled by somebody else. */
static void a_full_file_system(void **state) {
    struct bench *bench = *state;
    close_both(bench);
    if (mount("none", bench->fixture.folder, "tmpfs", 0, "size=2m") < 0) {
        open_both(bench);
        print_message("mount: %s\n", strerror(errno));
        skip();
    }
    open_both(bench);
    bench->told = 1;
    (void)append(bench, "reserves space");
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(bench->n_told, 1);
    char filler[160];
    (void)snprintf(filler, sizeof(filler), "%s/filler", bench->fixture.folder);
    CLEANUP_FREE char *block = calloc(1, 4096);
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, 4096) == 4096)
        continue;
    assert_int_equal(errno, ENOSPC);
    /* the room kept ahead takes what the running tasks still bring */
    int n = 0;
    for (; !bench->full; n++) {
        (void)append(bench, "still fits");
        (void)uv_run(&bench->loop, UV_RUN_NOWAIT);
        assert_true(n < 10000);
    }
    for (int i = 0; i < 100; i++)
        (void)append(bench, "fits even now");
    while (bench->n_told < 1 + n + 100)
        (void)uv_run(&bench->loop, UV_RUN_ONCE);
    assert_true(bench->full);
    assert_int_equal(bench->n_states, 1);
    assert_int_equal(ftruncate(fd, 0), 0);
    run_until_state(bench, 2);
    assert_false(bench->full);
    (void)close(fd);
    assert_int_equal(records_in_file(bench), 2 + (uint64_t)n + 100);
    close_both(bench);
    assert_int_equal(umount(bench->fixture.folder), 0);
    open_both(bench);
}

/* The descriptor behind the ledger is replaced by a pipe, whose fdatasync the kernel refuses. */
static void on_done_break(void *context, uint64_t seq) {
    struct bench *bench = context;
    bench->told = seq;
}

static int find_descriptor(const char *path) {
    struct stat wanted, status;
    assert_int_equal(stat(path, &wanted), 0);
    for (int fd = 3; fd < 256; fd++)
        if (fstat(fd, &status) == 0 && status.st_ino == wanted.st_ino &&
            status.st_dev == wanted.st_dev)
            return fd;
    fail_msg("nobody has %s open", path);
    return -1;
}

static void a_failing_sync_is_fatal(void **state) {
    struct bench *bench = *state;
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    struct failure failure = {0};
    assert_int_equal(ledger_store_append(bench->store, "note", NULL, NULL, &failure), 0);
    int ends[2];
    int fd = find_descriptor(bench->fixture.path);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], fd), fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_true(ledger_store_sync(bench->store, &failure) < 0);
    ASSERT_MENTIONS(failure, "could not be written to disk");
    ASSERT_MENTIONS(failure, bench->fixture.path);
    assert_true(ledger_store_sync(bench->store, &failure) < 0); /* and stays so */
    ledger_commit_append(bench->commit, "note", json_object(), on_done_break, bench, NULL);
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_true(bench->fatal);
    assert_int_equal(bench->told, 0); /* nobody was told */
}

static void a_ledger_taken_away_is_fatal(void **state) {
    struct bench *bench = *state;
    char elsewhere[160];
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s.moved", bench->fixture.path);
    assert_int_equal(rename(bench->fixture.path, elsewhere), 0);
    (void)append(bench, "into the void");
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_true(bench->fatal);
    assert_int_equal(bench->n_told, 0);
    assert_non_null(strstr(bench->text, "deleted or moved away"));
}

static void a_ledger_changed_by_others_is_fatal(void **state) {
    struct bench *bench = *state;
    CLEANUP_CLOSE int fd = open(bench->fixture.path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "hello\n", 6), 6);
    (void)append(bench, "behind it");
    assert_int_equal(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    assert_true(bench->fatal);
    assert_int_equal(bench->n_told, 0);
    assert_non_null(strstr(bench->text, "changed by another program"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_group_is_one_write, setup, teardown),
        cmocka_unit_test_setup_teardown(earlier_records_are_synced_too, setup, teardown),
        cmocka_unit_test_setup_teardown(told_after_disk_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chain_costs_little, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_keeps_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_from_a_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_recorded_is_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(full_and_again_room, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_file_system, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_sync_is_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ledger_taken_away_is_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ledger_changed_by_others_is_fatal, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
