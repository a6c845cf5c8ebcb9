/* proc_read: what the kernel writes, and what it never would. */
#include "supervisor/process/proc_read.h"

#include "common/atomic_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

static char root[64];

/* Writes root/name with these bytes. */
static void put(const char *name, const void *bytes, size_t length) {
    char path[256], folder[256];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    (void)snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(atomic_file_make_folders(folder, NULL), 0);
    assert_int_equal(atomic_file_write(path, bytes, length, NULL), 0);
}

static void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

static void ourselves(void **state) {
    (void)state;
    struct proc_read_stat stat;
    uint64_t bytes = 0, total = 0, available = 0;
    char path[64];
    assert_int_equal(proc_read_stat(PROC_READ_ROOT, getpid(), &stat), 0);
    assert_int_equal(stat.state, 'R');
    assert_int_equal(stat.parent, getppid());
    assert_int_equal(stat.session, getsid(0));
    assert_true(stat.start_ticks > 0);
    assert_int_equal(proc_read_resident(PROC_READ_ROOT, getpid(), &bytes), 0);
    assert_true(bytes > 100 * 1024);
    assert_int_equal(proc_read_environment(PROC_READ_ROOT, getpid(), "PATH", path, sizeof(path)),
                     0);
    assert_int_equal(strncmp(path, getenv("PATH"), sizeof(path) - 1), 0);
    assert_int_equal(proc_read_memory(PROC_READ_ROOT, &total, &available), 0);
    assert_true(total > available && available > 0);
}

static void stat_lines(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int r;
    } cases[] = {
        {"7 (sh) S 3 7 5 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9", 0},
        {"7 (a) b) (c) S 3 7 5 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9", 0},
        {"7 (\n) S 3 7 5 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4242", 0},
        {"", -EPROTO},
        {"7 sh S 3 7 5", -EPROTO},
        {"7 (sh)", -EPROTO},
        {"7 (sh) S", -EPROTO},
        {"7 (sh) S 3 7 5 0 -1 4", -EPROTO},
        {"7 (sh) S x 7 5 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4242", -EPROTO},
        {"7 (sh) S 3 7 5 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 99999999999999999999999", -EPROTO},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct proc_read_stat stat = {0};
        put_text("7/stat", cases[i].text);
        assert_int_equal(proc_read_stat(root, 7, &stat), cases[i].r);
        assert_int_equal(stat.start_ticks, cases[i].r == 0 ? 4242 : 0);
        assert_int_equal(stat.session, cases[i].r == 0 ? 5 : 0);
        assert_int_equal(stat.parent, cases[i].r == 0 ? 3 : 0);
    }
    struct proc_read_stat stat;
    assert_int_equal(proc_read_stat(root, 8, &stat), -ENOENT);
}

static void environments(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        int r;
        const char *value;
    } cases[] = {
#define ENTRIES(text) (text), sizeof(text) - 1
        {ENTRIES("A=1\0NAME=x\0B=2\0"), 0, "x"},
        {ENTRIES("NAME=x"), 0, "x"}, /* cut short */
        {ENTRIES("NAME=\0"), 0, ""},
        {ENTRIES("XNAME=x\0NAMEX=y\0NAM=z\0NAME\0"), -ENOENT, ""},
        {ENTRIES("NANAME=x\0"), -ENOENT, ""},
        {ENTRIES("A=NAME=x\0"), -ENOENT, ""},
        {ENTRIES("NAME=first\0NAME=second\0"), 0, "first"},
        {ENTRIES("NAME=0123456789abcdef\0"), 0, "0123456"}, /* cut to the size */
        {ENTRIES("NAME=a=b\0"), 0, "a=b"},
        {ENTRIES(""), -ENODATA, ""},
        {ENTRIES("\0\0\0NAME=x\0"), 0, "x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char value[8] = "";
        put("7/environ", cases[i].bytes, cases[i].length);
        assert_int_equal(proc_read_environment(root, 7, "NAME", value, sizeof(value)), cases[i].r);
        assert_string_equal(value, cases[i].value);
    }
}

/* The variable lies across every place where a piece that is read may end. */
static void a_large_environment(void **state) {
    (void)state;
    static char bytes[3 * 4096];
    for (size_t at = 4080; at <= 4100; at++) {
        memset(bytes, 'x', sizeof(bytes));
        memcpy(bytes + at, "\0NAME=here", 11);
        put("7/environ", bytes, sizeof(bytes));
        char value[16] = "";
        assert_int_equal(proc_read_environment(root, 7, "NAME", value, sizeof(value)), 0);
        assert_string_equal(value, "here");
    }
}

struct seen {
    int count;
    pid_t last;
};

static int see(void *context, pid_t pid) {
    struct seen *seen = context;
    seen->count++;
    seen->last = pid;
    return 0;
}

static void lists(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int r, count;
        pid_t last;
    } cases[] = {
        {"", 0, 0, 0},
        {"12 345 6789 ", 0, 3, 6789},
        {"12", 0, 0, 0}, /* cut short: the number may be longer */
        {"12 99999999999 ", -EPROTO, 1, 12},
        {"12 -5 ", -EPROTO, 1, 12},
        {"x", -EPROTO, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen seen = {0};
        put_text("7/task/7/children", cases[i].text);
        assert_int_equal(proc_read_children(root, 7, see, &seen), cases[i].r);
        assert_int_equal(seen.count, cases[i].count);
        assert_int_equal(seen.last, cases[i].last);
    }
    struct seen seen = {0};
    assert_int_equal(proc_read_children(root, 8, see, &seen), -ENOENT);
    put_text("0/stat", "");
    put_text("12x/stat", "");
    put_text("99999999999/stat", "");
    assert_int_equal(proc_read_all(root, see, &seen), 0);
    assert_int_equal(seen.count, 1); /* 7 alone is a process's number */
}

static void counters(void **state) {
    (void)state;
    uint64_t count = 7, total = 7, available = 7;
    assert_int_equal(proc_read_oom_kills(root, &count), -ENOENT);
    put_text("vmstat", "nr_free 5\nnot_oom_kill 8\noom_kill_x 9\noom_kill 3\nswap 1\n");
    assert_int_equal(proc_read_oom_kills(root, &count), 0);
    assert_int_equal(count, 3);
    put_text("vmstat", "oom_kill many\n");
    assert_int_equal(proc_read_oom_kills(root, &count), -EPROTO);
    put_text("meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n");
    assert_int_equal(proc_read_memory(root, &total, &available), 0);
    assert_int_equal(total, 1000 * 1024);
    assert_int_equal(available, 400 * 1024);
    put_text("meminfo", "MemTotal: 1000 kB\n");
    assert_int_equal(proc_read_memory(root, &total, &available), -ENOENT);
    put_text("7/statm", "500 ");
    assert_int_equal(proc_read_resident(root, 7, &total), -EPROTO);
    put_text("7/statm", "500 20 1 1 0 1 0\n");
    assert_int_equal(proc_read_resident(root, 7, &total), 0);
    assert_int_equal(total, 20 * (uint64_t)sysconf(_SC_PAGESIZE));
}

static int make_root(void **state) {
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/registrar-proc-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ourselves),
        cmocka_unit_test_setup_teardown(stat_lines, make_root, remove_root),
        cmocka_unit_test_setup_teardown(environments, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_large_environment, make_root, remove_root),
        cmocka_unit_test_setup_teardown(lists, make_root, remove_root),
        cmocka_unit_test_setup_teardown(counters, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
