/* A supervisor SIGKILLed at random instants, over and over, on one ledger: what it had told of is
 * there, and seq has no gaps. */
#include "supervisor/ledger/ledger_commit.h"
#include "tests/unit/ledger_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 80, NEW_AFTER = 10, MAX_TEXT = 9000 };

struct writer {
    uv_loop_t loop;
    struct ledger_commit *commit;
    int pipe_fd;
    unsigned seed;
    int in_flight;
};

static unsigned next_random(unsigned *seed) {
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16;
}

static void append_burst(struct writer *writer);

static void on_done(void *context, uint64_t seq) {
    struct writer *writer = context;
    if (write(writer->pipe_fd, &seq, sizeof(seq)) != sizeof(seq))
        _exit(3);
    if (--writer->in_flight == 0)
        append_burst(writer);
}

/* One record or many, short or over several pages, all of one turn of the loop. */
static void append_burst(struct writer *writer) {
    char text[MAX_TEXT + 1];
    memset(text, 'x', MAX_TEXT);
    int n = 1 + (int)(next_random(&writer->seed) % 30);
    writer->in_flight = n;
    for (int i = 0; i < n; i++) {
        unsigned length = next_random(&writer->seed) % (i % 5 ? 200 : MAX_TEXT);
        ledger_commit_append(writer->commit, "note", json_pack("{s:s#}", "text", text, (int)length),
                             on_done, writer, NULL);
    }
}

static void run_writer(const char *path, int pipe_fd, unsigned seed) {
    struct writer writer = {.pipe_fd = pipe_fd, .seed = seed};
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    if (uv_loop_init(&writer.loop) < 0 ||
        ledger_store_open(path, NULL, NULL, &store, &recovery, &failure) < 0 ||
        ledger_commit_open(&writer.loop, store, NULL, NULL, &writer.commit, &failure) < 0)
        _exit(2);
    append_burst(&writer);
    (void)uv_run(&writer.loop, UV_RUN_DEFAULT);
    _exit(4); /* the chain never ends by itself */
}

/* Reads what the child told until it has told n_wanted records (or for good), and returns the last
 * seq. */
static uint64_t read_told(int fd, int n_wanted, uint64_t last) {
    uint64_t seq = 0;
    for (int n = 0; n < n_wanted; n++) {
        ssize_t got = read(fd, &seq, sizeof(seq));
        if (got == 0)
            break;
        assert_int_equal(got, sizeof(seq));
        assert_true(seq > last);
        last = seq;
    }
    return last;
}

static void killed_over_and_over(void **state) {
    (void)state;
    struct ledger_fixture fixture;
    ledger_fixture_make(&fixture, false);
    unsigned seed = 20261121;
    uint64_t present = 0;
    for (int round = 0; round < ROUNDS; round++) {
        if (round % NEW_AFTER == 0) { /* creation is an instant like any other */
            (void)unlink(fixture.path);
            present = 0;
        }
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t child = fork();
        if (child == 0)
            run_writer(fixture.path, ends[1], seed + (unsigned)round);
        (void)close(ends[1]);
        uint64_t told = read_told(ends[0], (int)(next_random(&seed) % 60) - 10, 0);
        /* a random instant within whatever it does next */
        struct timespec instant = {.tv_nsec = (long)(next_random(&seed) % 1000) * 1500};
        (void)ppoll(NULL, 0, &instant, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        told = read_told(ends[0], INT32_MAX, told);
        (void)close(ends[0]);
        uint64_t count = 0;
        struct failure failure = {0};
        int r = access(fixture.path, F_OK) == 0
                    ? ledger_store_read(fixture.path, ledger_fixture_count, &count, &failure)
                    : 0;
        if (r < 0)
            fail_msg("round %d: %s", round, failure.text);
        assert_true(count >= told);
        assert_true(count >= present); /* nor was anything taken away */
        present = count;
    }
    assert_true(present > NEW_AFTER);
    struct ledger_store *store = NULL;
    struct ledger_recovery recovery;
    struct failure failure = {0};
    assert_int_equal(ledger_store_open(fixture.path, NULL, NULL, &store, &recovery, &failure), 0);
    assert_true(recovery.n_records >= present);
    ledger_store_close(store);
    ledger_fixture_remove(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_over_and_over)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
