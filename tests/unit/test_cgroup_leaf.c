/* cgroup_leaf, cgroup_tree, cgroup_group: made-up counters; and, as root, groups of this machine
 * with real processes in them. timeout: 60 */
#include "supervisor/memory/kernel_file.h"
#include "supervisor/process/cgroup_group.h"
#include "supervisor/process/cgroup_leaf.h"
#include "supervisor/process/proc_read.h"
#include "supervisor/process/spawn.h"
#include "tests/unit/folder_fixture.h"

#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/vfs.h>
#include <sys/wait.h>

extern char **environ;

static const char ledger_id[] = "0123abcd";

/* ---- made-up files ---- */

static void counters(void **state) {
    static const struct {
        enum cgroup_level_kind kind;
        const char *failcnt, *oom_control, *events, *local;
        int code;
        uint64_t oom, oom_kill;
    } rows[] = {
        {CGROUP_LEVEL_V1, "7\n", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "", "", 0, 7, 2},
        {CGROUP_LEVEL_V1, "7\n", "oom_kill_disable 0\nunder_oom 0\n", "", "", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V1, "", "oom_kill 2\n", "", "", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V1, "max\n", "oom_kill 2\n", "", "", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V1, "-1\n", "oom_kill 2\n", "", "", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V1, "1\n", "oom_kill 2", "", "", -ENODATA, 0, 0}, /* perhaps 21 */
        {CGROUP_LEVEL_V1, "99999999999999999999\n", "oom_kill 2\n", "", "", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V2, "", "", "low 0\nhigh 0\nmax 9\noom 8\noom_kill 7\n",
         "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 1\n", 0, 2, 1},
        {CGROUP_LEVEL_V2, "", "", "low 0\nhigh 0\nmax 9\noom 8\noom_kill 7\n", "", 0, 8, 7},
        {CGROUP_LEVEL_V2, "", "", "", "oom_kill 1\n", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V2, "", "", "", "oom 1\noom_group_kill 1\n", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V2, "", "", "", "oom max\noom_kill 1\n", -ENODATA, 0, 0},
        {CGROUP_LEVEL_V2, "", "", "", "", -ENODATA, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        folder_write(*state, "memory.failcnt", rows[i].failcnt);
        folder_write(*state, "memory.oom_control", rows[i].oom_control);
        folder_write(*state, "memory.events", rows[i].events);
        folder_write(*state, "memory.events.local", rows[i].local);
        struct cgroup_leaf_counters got = {0};
        assert_int_equal(cgroup_leaf_count(rows[i].kind, *state, &got), rows[i].code);
        assert_int_equal(got.oom, rows[i].oom);
        assert_int_equal(got.oom_kill, rows[i].oom_kill);
    }
}

static void usage(void **state) {
    struct cgroup_leaf_usage got;
    assert_int_equal(cgroup_leaf_measure(CGROUP_LEVEL_V2, *state, &got), -ENODATA);
    folder_write(*state, "memory.stat", "anon 1000\nfile 500\nkernel 9\nshmem 200\n");
    folder_write(*state, "memory.swap.current", "30\n");
    assert_int_equal(cgroup_leaf_measure(CGROUP_LEVEL_V2, *state, &got), 0);
    assert_int_equal(got.anonymous_bytes, 1200); /* tmpfs cannot be dropped */
    assert_int_equal(got.file_bytes, 300);
    assert_int_equal(got.swap_bytes, 30);
    assert_int_equal(cgroup_leaf_measure(CGROUP_LEVEL_V1, *state, &got), -ENODATA);
    folder_write(*state, "memory.stat", "cache 500\nrss 1000\nrss_huge 7\nshmem 900\nswap 3\n");
    assert_int_equal(cgroup_leaf_measure(CGROUP_LEVEL_V1, *state, &got), 0);
    assert_int_equal(got.anonymous_bytes, 1500);
    assert_int_equal(got.file_bytes, 0); /* never below nothing */
    assert_int_equal(got.swap_bytes, 3);
    folder_write(*state, "memory.stat",
                 "cache 18446744073709551615\nrss 18446744073709551615\n"
                 "shmem 18446744073709551615\n");
    assert_int_equal(cgroup_leaf_measure(CGROUP_LEVEL_V1, *state, &got), -ENODATA);
}

static void a_folder_that_is_no_group(void **state) {
    struct cgroup_level level = {.kind = CGROUP_LEVEL_V1};
    struct cgroup_tree *tree = NULL;
    struct cgroup_leaf *leaf = NULL;
    struct failure failure;
    (void)snprintf(level.folder, sizeof(level.folder), "%s", (char *)*state);
    assert_int_equal(cgroup_tree_open(&level, ledger_id, &tree, &failure), 0);
    assert_int_equal(cgroup_leaf_open(tree, 1 << 30, &leaf, &failure), -ENOENT);
    assert_in("task-1 takes no limit", failure.text);
    assert_int_equal(cgroup_leaf_open(tree, 0, &leaf, &failure), 0);
    struct cgroup_leaf_facts facts;
    cgroup_leaf_read(leaf, &facts);
    assert_int_equal(facts.kind, CGROUP_LEVEL_NONE); /* no counters, no facts */
    assert_int_equal(cgroup_leaf_kill(leaf), 0);
    assert_int_equal(cgroup_leaf_remove(leaf), 0);
    cgroup_leaf_close(leaf);
    cgroup_tree_close(tree);
    assert_int_equal(rmdir(*state), 0); /* nothing is left in it */
    assert_int_equal(cgroup_tree_open(&level, ledger_id, &tree, &failure), -ENOENT);
    assert_in("no control group for the tasks can be made in", failure.text);
    folder_make(*state, ".");
}

/* ---- this machine's ---- */

/* The group that we are in, if it can be divided by v1. */
static struct cgroup_level v1_here(void) {
    const struct cgroup_level_place here = cgroup_level_here();
    struct cgroup_level level;
    cgroup_level_find(&here, &level);
    if (level.kind != CGROUP_LEVEL_V1) {
        print_message("# no cgroup v1 that we may write: %s\n", level.text);
        skip();
    }
    return level;
}

static struct cgroup_tree *open_tree(const struct cgroup_level *level) {
    struct cgroup_tree *tree = NULL;
    struct failure failure;
    if (cgroup_tree_open(level, ledger_id, &tree, &failure) < 0)
        fail_msg("%s", failure.text);
    return tree;
}

/* sh -c script in the leaf; with its output in *ret_fd. */
static struct spawned start(struct cgroup_leaf *leaf, const char *script, int *ret_fd) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const char *argv[] = {"sh", "-c", script, NULL};
    const struct spawn_request request = {
        .argv = argv,
        .envp = (const char *const *)environ,
        .stdin_fd = -1,
        .stdout_fd = ends[1],
        .stderr_fd = -1,
        .report_fd = -1,
        .has_cgroup = true,
        .cgroup_fd = cgroup_leaf_clone_fd(leaf),
        .cgroup_procs_fd = cgroup_leaf_procs_fd(leaf),
    };
    struct spawned child;
    struct failure failure;
    assert_int_equal(spawn_start(&request, &child, &failure), 0);
    assert_int_equal(child.cgroup_error, 0);
    cgroup_leaf_entered(leaf);
    (void)close(ends[1]);
    *ret_fd = ends[0];
    return child;
}

/* Waits until it says so much as a line. */
static void hear(int fd, char *text, size_t size) {
    size_t used = 0;
    while (used < size - 1 && !memchr(text, '\n', used)) {
        const ssize_t n = read(fd, text + used, size - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
}

static struct spawn_exit wait_for_end(const struct spawned *child) {
    struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};
    struct spawn_exit end;
    assert_int_equal(poll(&ended, 1, 30000), 1);
    assert_int_equal(spawn_reap(child->pidfd, &end), 0);
    (void)close(child->pidfd);
    return end;
}

static void remove_leaf(struct cgroup_leaf *leaf) {
    int r;
    while ((r = cgroup_leaf_remove(leaf)) == -EBUSY)
        (void)cgroup_leaf_kill(leaf);
    assert_int_equal(r, 0);
    cgroup_leaf_close(leaf);
}

static struct cgroup_leaf *open_leaf(struct cgroup_tree *tree, uint64_t limit_bytes) {
    struct cgroup_leaf *leaf = NULL;
    struct failure failure;
    if (cgroup_leaf_open(tree, limit_bytes, &leaf, &failure) < 0)
        fail_msg("%s", failure.text);
    return leaf;
}

static void v1_own_limit(void **state) {
    (void)state;
    const struct cgroup_level level = v1_here();
    struct cgroup_tree *tree = open_tree(&level);
    struct cgroup_leaf *leaf = open_leaf(tree, 32 << 20);
    struct cgroup_leaf_facts facts;
    int fd;
    /* 64 MiB in one variable of the shell */
    struct spawned child = start(leaf, "x=$(head -c 67108864 /dev/zero | tr '\\0' x)", &fd);
    (void)wait_for_end(&child);
    (void)close(fd);
    cgroup_leaf_read(leaf, &facts);
    assert_int_equal(facts.kind, CGROUP_LEVEL_V1);
    assert_int_equal(facts.limit_bytes, 32 << 20);
    assert_true(facts.after.oom > facts.before.oom);
    assert_true(facts.after.oom_kill > facts.before.oom_kill);
    assert_in_range(facts.peak_bytes, 31 << 20, 32 << 20);
    remove_leaf(leaf);
    cgroup_tree_close(tree);
}

static void expect_number(const char *folder, const char *name, uint64_t expected) {
    uint64_t value = 0;
    assert_true(kernel_file_read_u64(folder, name, &value));
    assert_int_equal(value, expected);
}

/* All leaves together stay a sixteenth below the limit above, which may change. */
static void v1_our_own_part(void **state) {
    (void)state;
    static const char name[] = "memory.limit_in_bytes";
    static const uint64_t limits_mib[] = {64, 256, 128, 1024};
    static const uint64_t ours_mib[] = {4, 16, 8, 32};
    struct cgroup_level level = v1_here();
    char stat[KERNEL_FILE_BYTES];
    uint64_t above = 0;
    assert_true(kernel_file_read(level.folder, "memory.stat", stat, sizeof(stat)));
    assert_true(kernel_file_find_u64(stat, "hierarchical_memory_limit", &above));
    if (above < UINT64_C(1) << 30) {
        print_message("# %s has less than 1 GiB\n", level.folder);
        skip();
    }
    CLEANUP_FREE char *given = names_format("%s/test-%d", level.folder, (int)getpid());
    (void)snprintf(level.folder, sizeof(level.folder), "%s", given);
    assert_int_equal(mkdir(given, 0755), 0);
    struct cgroup_tree *tree = open_tree(&level);
    remove_leaf(open_leaf(tree, 0));
    for (size_t i = 0; i < ARRAY_LEN(limits_mib); i++) {
        assert_int_equal(cgroup_group_write_number(given, name, limits_mib[i] << 20), 0);
        remove_leaf(open_leaf(tree, 0));
        expect_number(cgroup_tree_folder(tree), name, (limits_mib[i] - ours_mib[i]) << 20);
    }
    cgroup_tree_close(tree);
    assert_int_equal(rmdir(given), 0);
}

static void v1_all_of_it_is_ended(void **state) {
    (void)state;
    const struct cgroup_level level = v1_here();
    struct cgroup_tree *tree = open_tree(&level);
    CLEANUP_FREE char *folder = strdup(cgroup_tree_folder(tree));
    struct cgroup_leaf *leaf = open_leaf(tree, 0);
    char text[64] = "";
    int fd;
    CLEANUP_FREE char *script = names_format(
        "mkdir '%s/task-1/inner'; (echo 0 > '%s/task-1/inner/cgroup.procs'; exec sleep 600) & "
        "for i in 1 2 3; do env -i setsid sleep 600 & done; "
        "until grep -q . '%s/task-1/inner/cgroup.procs'; do :; done; echo ready; wait",
        folder, folder, folder);
    struct spawned child = start(leaf, script, &fd);
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "ready\n");
    assert_int_equal(cgroup_leaf_remove(leaf), -EBUSY);
    assert_true(cgroup_leaf_kill(leaf) >= 4);
    assert_int_equal(wait_for_end(&child).status, SIGKILL);
    remove_leaf(leaf);
    (void)close(fd);
    cgroup_tree_close(tree);
    assert_int_equal(access(folder, F_OK), -1);
}

static void v1_what_the_dead_left(void **state) {
    (void)state;
    const struct cgroup_level level = v1_here();
    /* Pid 1 lives, but began at another time; our own group is alive; another ledger's is not ours.
     */
    struct proc_read_stat self;
    assert_int_equal(proc_read_stat(PROC_READ_ROOT, getpid(), &self), 0);
    CLEANUP_FREE char *dead = names_format("%s/registrar-%s-1-99999999", level.folder, ledger_id);
    CLEANUP_FREE char *alive = names_format("%s/registrar-%s-%d-%llu", level.folder, ledger_id,
                                            (int)getpid(), (unsigned long long)self.start_ticks);
    CLEANUP_FREE char *other = names_format("%s/registrar-ffff-1-99999999", level.folder);
    CLEANUP_FREE char *procs = names_format("%s/task-7/cgroup.procs", dead);
    folder_make(dead, "task-7");
    folder_make(alive, ".");
    folder_make(other, ".");
    const pid_t pid = fork();
    if (pid == 0) {
        CLEANUP_CLOSE int fd = open(procs, O_WRONLY | O_CLOEXEC);
        (void)!write(fd, "0", 1);
        (void)pause();
        _exit(1);
    }
    char text[32] = "";
    while (!text[0]) { /* it is on its way in */
        CLEANUP_FCLOSE FILE *list = fopen(procs, "re");
        (void)!fgets(text, sizeof(text), list);
    }
    assert_int_equal(cgroup_tree_clear_leftovers(&level, NULL, ledger_id), 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(access(dead, F_OK), -1);
    assert_int_equal(rmdir(alive), 0);
    assert_int_equal(rmdir(other), 0);
    /* by the ledger's word, wherever it is */
    const struct cgroup_level nowhere = {.kind = CGROUP_LEVEL_NONE};
    folder_make(dead, ".");
    assert_int_equal(cgroup_tree_clear_leftovers(&nowhere, dead, "ffff"), 0);
    assert_int_equal(access(dead, F_OK), 0);
    assert_int_equal(cgroup_tree_clear_leftovers(&nowhere, dead, ledger_id), 0);
    assert_int_equal(access(dead, F_OK), -1);
}

static void expect_text(const char *folder, const char *name, const char *wanted) {
    char text[128] = "";
    CLEANUP_FREE char *path = names_format("%s/%s", folder, name);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    assert_string_equal(text, wanted);
}

/* The same as on v1, but the limit stands at the leaves' place and not where we are. */
static void v2_our_own_part(const struct cgroup_level *level, struct cgroup_tree *tree) {
    static const char name[] = "memory.max";
    expect_text(cgroup_tree_tasks(tree), name, "max\n");
    assert_int_equal(cgroup_group_write_number(level->folder, name, 256 << 20), 0);
    remove_leaf(open_leaf(tree, 0));
    expect_number(cgroup_tree_tasks(tree), name, 240 << 20);
    expect_text(cgroup_tree_folder(tree), name, "max\n");
    assert_int_equal(cgroup_group_write(level->folder, name, "max"), 0);
    remove_leaf(open_leaf(tree, 0));
    expect_text(cgroup_tree_tasks(tree), name, "max\n");
}

/* On v2 we move ourselves; with the memory controller there (pure v2) or not (hybrid), the group
 * that we were given is afterwards as it was, and we are in it. */
static void v2_is_left_as_it_was(void **state) {
    (void)state;
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    struct cgroup_level level = {.kind = CGROUP_LEVEL_V2};
    for (size_t i = 0; i < ARRAY_LEN(roots) && !level.folder[0]; i++) {
        struct statfs system;
        (void)snprintf(level.folder, sizeof(level.folder), "%s/registrar-test-%d", roots[i],
                       (int)getpid());
        if (statfs(roots[i], &system) < 0 || system.f_type != CGROUP2_SUPER_MAGIC ||
            mkdir(level.folder, 0755) < 0)
            level.folder[0] = '\0';
    }
    if (!level.folder[0])
        skip(); /* no root of v2 that we may write */
    const pid_t pid = fork();
    if (pid == 0) {
        char own[32];
        struct failure failure = {0};
        struct cgroup_tree *tree = NULL;
        (void)snprintf(own, sizeof(own), "%d\n", (int)getpid());
        assert_int_equal(cgroup_group_write(level.folder, "cgroup.procs", "0"), 0);
        if (cgroup_tree_open(&level, ledger_id, &tree, &failure) == 0) {
            expect_text(level.folder, "cgroup.procs", "");
            expect_text(level.folder, "cgroup.subtree_control", "memory\n");
            remove_leaf(open_leaf(tree, 64 << 20));
            v2_our_own_part(&level, tree);
            cgroup_tree_close(tree);
        } else {
            assert_in("cannot be divided", failure.text);
        }
        expect_text(level.folder, "cgroup.procs", own);
        expect_text(level.folder, "cgroup.subtree_control", "");
        assert_int_equal(cgroup_tree_clear_leftovers(&level, NULL, ledger_id), 0);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(rmdir(level.folder), 0); /* nothing else is in it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(usage, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_is_no_group, folder_setup, folder_teardown),
        cmocka_unit_test(v1_own_limit),
        cmocka_unit_test(v1_our_own_part),
        cmocka_unit_test(v1_all_of_it_is_ended),
        cmocka_unit_test(v1_what_the_dead_left),
        cmocka_unit_test(v2_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
