/* trace_reader: real processes, and a /proc that no kernel would show. */
#include "supervisor/memory/trace_reader.h"
#include "tests/unit/folder_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { MIB = 1 << 20 };

static struct trace_sample must_read(struct trace_reader *reader) {
    struct trace_sample sample = {.at_us = 5};
    assert_int_equal(trace_reader_read(reader, true, &sample), 0);
    assert_int_equal(sample.at_us, 5);
    assert_int_equal(sample.resident_bytes, sample.anonymous_bytes + sample.file_bytes);
    return sample;
}

/* A child that touches so much, says so, and waits. */
static pid_t start_holder(size_t bytes) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            _exit(1);
        memset(memory, 1, bytes);
        (void)!write(ready[1], "", 1);
        for (;;)
            (void)pause();
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void end_holder(pid_t pid) {
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void ourselves_with_and_without_children(void **state) {
    (void)state;
    CLEANUP(trace_reader_close) struct trace_reader alone, all;
    trace_reader_init(&alone, "/proc", getpid(), false);
    trace_reader_init(&all, "/proc", getpid(), true);
    const struct trace_sample before = must_read(&all);
    assert_true(before.file_bytes > 0 && before.anonymous_bytes > 0);
    const pid_t first = start_holder(64 * MIB), second = start_holder(32 * MIB);
    assert_true(must_read(&alone).resident_bytes < before.resident_bytes + 8 * MIB);
    const struct trace_sample with = must_read(&all);
    assert_true(with.anonymous_bytes >= before.anonymous_bytes + 96 * MIB);
    assert_int_equal(all.count, 3);
    uint64_t surplus = 0;
    assert_int_equal(trace_reader_surplus(&all, &surplus), 0);
    assert_true(surplus < 3 * before.resident_bytes);
    end_holder(first);
    end_holder(second);
    assert_true(must_read(&all).anonymous_bytes < before.anonymous_bytes + 8 * MIB);
    assert_int_equal(all.count, 1);
}

static void shared_pages_are_surplus(void **state) {
    (void)state;
    const size_t bytes = 64 * MIB;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    memset(memory, 1, bytes);
    const pid_t child = start_holder(4096); /* it has our pages too */
    CLEANUP(trace_reader_close) struct trace_reader all;
    trace_reader_init(&all, "/proc", getpid(), true);
    const uint64_t sum = must_read(&all).resident_bytes;
    assert_true(sum >= 2 * bytes);
    uint64_t surplus = 0;
    assert_int_equal(trace_reader_surplus(&all, &surplus), 0);
    assert_true(sum - surplus < bytes + bytes / 4);
    assert_true(sum - surplus > bytes);
    end_holder(child);
    assert_int_equal(munmap(memory, bytes), 0);
}

static void a_zombie_has_nothing(void **state) {
    (void)state;
    struct trace_sample sample = {0};
    const pid_t pid = start_holder(MIB);
    CLEANUP(trace_reader_close) struct trace_reader reader;
    trace_reader_init(&reader, "/proc", pid, true);
    (void)must_read(&reader);
    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t ended;
    assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
    assert_int_equal(trace_reader_read(&reader, true, &sample), -ESRCH);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(trace_reader_read(&reader, true, &sample), -ESRCH);
}

static void hostile_files(void **state) {
    static const struct {
        const char *statm;
        int code;
        uint64_t pages, shared;
    } rows[] = {
        {"100 40 10 1 0 20 0\n", 0, 40, 10},
        {"100 40 90 1 0 20 0\n", 0, 40, 40}, /* the counters are no snapshot */
        {"0 0 0 0 0 0 0\n", -ESRCH, 0, 0},
        {"", -ESRCH, 0, 0},
        {"100\n", -EPROTO, 0, 0},
        {"100 40", -EPROTO, 0, 0},
        {"100 -40 10 1\n", -EPROTO, 0, 0},
        {"100 max 10 1\n", -EPROTO, 0, 0},
        {"100 40 x 1\n", -EPROTO, 0, 0},
        {"100 99999999999999999999 1 1\n", -EPROTO, 0, 0},
        {"100 18446744073709551615 1 1\n", -EPROTO, 0, 0}, /* times the page size */
    };
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trace_sample sample = {0};
        folder_write(*state, "7/statm", rows[i].statm);
        CLEANUP(trace_reader_close) struct trace_reader reader;
        trace_reader_init(&reader, *state, 7, true);
        assert_int_equal(trace_reader_read(&reader, true, &sample), rows[i].code);
        assert_int_equal(sample.resident_bytes, rows[i].pages * page);
        assert_int_equal(sample.file_bytes, rows[i].shared * page);
    }
}

static void swap_children_and_surplus_of_made_up_files(void **state) {
    struct trace_sample sample = {0};
    uint64_t surplus = 0;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    CLEANUP(trace_reader_close) struct trace_reader reader;
    trace_reader_init(&reader, *state, 7, true);
    folder_write(*state, "7/statm", "100 40 10 1 0 20 0\n");
    folder_write(*state, "7/status", "Name:\tx\nVmSwap:\t      12 kB\nThreads:\t2\n");
    folder_write(*state, "7/task/7/children", "");
    folder_write(*state, "7/task/9/children", "");
    folder_write(*state, "9/task/9/children", "11 7 12 "); /* a loop, and one that is gone */
    folder_write(*state, "11/statm", "100 2 1 1 0 20 0\n");
    folder_write(*state, "11/status", "VmSwap:\t18446744073709551615 kB\n");
    assert_int_equal(trace_reader_read(&reader, true, &sample), 0);
    assert_int_equal(sample.resident_bytes, 42 * page);
    assert_int_equal(sample.file_bytes, 11 * page);
    assert_int_equal(sample.swap_bytes, 12 * 1024);
    assert_int_equal(trace_reader_surplus(&reader, &surplus), -ENODATA);
    folder_write(*state, "7/smaps_rollup", "0-1 ---p [rollup]\nRss:  100 kB\nPss:  70 kB\n");
    folder_write(*state, "11/smaps_rollup", "Rss:  100 kB\nPss:  10 kB\n");
    assert_int_equal(trace_reader_surplus(&reader, &surplus), 0);
    assert_int_equal(surplus, 120 * 1024);
    folder_write(*state, "11/smaps_rollup", "Rss:  100 kB\nPss:  1000 kB\n");
    assert_int_equal(trace_reader_surplus(&reader, &surplus), -ENODATA);
}

static void more_children_than_are_counted(void **state) {
    char name[64], children[4096];
    size_t used = 0;
    struct trace_sample sample = {0};
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    folder_write(*state, "7/statm", "100 1 1 1 0 20 0\n");
    for (int pid = 1000; pid < 1500; pid++) {
        used += (size_t)snprintf(children + used, sizeof(children) - used, "%d ", pid);
        (void)snprintf(name, sizeof(name), "%d/statm", pid);
        folder_write(*state, name, "100 1 1 1 0 20 0\n");
    }
    folder_write(*state, "7/task/7/children", children);
    CLEANUP(trace_reader_close) struct trace_reader reader;
    trace_reader_init(&reader, *state, 7, true);
    assert_int_equal(trace_reader_read(&reader, true, &sample), 0);
    assert_int_equal(sample.resident_bytes, TRACE_READER_PROCESSES * page);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ourselves_with_and_without_children),
        cmocka_unit_test(shared_pages_are_surplus),
        cmocka_unit_test(a_zombie_has_nothing),
        IN_FOLDER(hostile_files),
        IN_FOLDER(swap_children_and_surplus_of_made_up_files),
        IN_FOLDER(more_children_than_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
