/* cgroup_level: made-up trees of every kind that is met in the field, and hostile ones. */
#include "supervisor/process/cgroup_level.h"
#include "tests/unit/folder_fixture.h"

#include <sys/xattr.h>

enum { SELF = 4321 };

static struct cgroup_level ask(const char *folder) {
    CLEANUP_FREE char *proc = names_format("%s/proc", folder);
    CLEANUP_FREE char *systemd = names_format("%s/run/systemd", folder);
    const struct cgroup_level_place place = {
        .proc_root = proc, .systemd_folder = systemd, .self = SELF, .is_privileged = false};
    struct cgroup_level level;
    cgroup_level_find(&place, &level);
    return level;
}

static void expect_none(const char *folder, const char *why) {
    const struct cgroup_level level = ask(folder);
    assert_int_equal(level.kind, CGROUP_LEVEL_NONE);
    assert_in("no limits by the kernel: ", level.text);
    assert_in(why, level.text);
}

/* One mount, "ROOT POINT TYPE OPTIONS", with POINT below the test's folder. */
static void mount_as(const char *folder, const char *root, const char *point, const char *type,
                     const char *options) {
    CLEANUP_FREE char *line = names_format("22 1 8:1 / / rw - ext4 /dev/sda rw\n"
                                           "31 23 0:28 %s %s%s rw,nosuid shared:7 - %s none %s\n",
                                           root, folder, point, type, options);
    folder_write(folder, "proc/self/mountinfo", line);
}

/* A v2 group as the kernel shows it. */
static void make_v2(const char *folder, const char *group, const char *processes) {
    CLEANUP_FREE char *membership = names_format("0::/%s\n", group);
    folder_write(folder, "proc/self/cgroup", membership);
    mount_as(folder, "/", "/sys", "cgroup2", "rw,nsdelegate");
    static const char *const files[] = {"cgroup.type",
                                        "domain\n",
                                        "cgroup.controllers",
                                        "cpu memory pids\n",
                                        "cgroup.subtree_control",
                                        ""};
    for (size_t i = 0; i < ARRAY_LEN(files); i += 2) {
        CLEANUP_FREE char *name = names_format("sys/%s/%s", group, files[i]);
        folder_write(folder, name, files[i + 1]);
    }
    CLEANUP_FREE char *name = names_format("sys/%s/cgroup.procs", group);
    folder_write(folder, name, processes);
}

static void v2_without_systemd(void **state) {
    make_v2(*state, "job", "4321\n");
    const struct cgroup_level level = ask(*state);
    assert_int_equal(level.kind, CGROUP_LEVEL_V2);
    assert_false(level.is_root);
    assert_in("/sys/job", level.folder);
    assert_string_equal(level.text, "cgroup v2: each task has a memory group of its own");
    assert_string_equal(cgroup_level_name(level.kind), "v2");
}

static void v2_with_others_in_it(void **state) {
    make_v2(*state, "job", "17\n4321\n");
    expect_none(*state, "other processes are in the control group");
    make_v2(*state, "job", "4321\n0\n"); /* in another pid namespace */
    expect_none(*state, "other processes");
    make_v2(*state, "job", "");
    expect_none(*state, "other processes"); /* not even we: nothing is known for certain */
}

static void v2_root_may_be_shared(void **state) {
    make_v2(*state, ".", "1\n2\n4321\n");
    CLEANUP_FREE char *type = names_format("%s/sys/cgroup.type", (char *)*state);
    assert_int_equal(unlink(type), 0); /* the root has none */
    folder_write(*state, "proc/self/cgroup", "0::/\n");
    const struct cgroup_level level = ask(*state);
    assert_int_equal(level.kind, CGROUP_LEVEL_V2);
    assert_true(level.is_root);
    assert_in("/sys", level.folder);
}

static void v2_below_systemd(void **state) {
    make_v2(*state, "user.slice/a.scope", "4321\n");
    folder_make(*state, "run/systemd");
    expect_none(*state, "was not delegated; start it by `systemd-run --user --scope -p "
                        "Delegate=yes registrar ...`");
    CLEANUP_FREE char *group = names_format("%s/sys/user.slice/a.scope", (char *)*state);
    if (setxattr(group, "user.delegate", "1", 1, 0) < 0)
        skip(); /* a file system without extended attributes */
    assert_int_equal(ask(*state).kind, CGROUP_LEVEL_V2);
    assert_int_equal(setxattr(group, "user.delegate", "0", 1, 0), 0);
    expect_none(*state, "was not delegated");
}

static bool says_yes(void) { return true; }
static bool says_no(void) { return false; }

/* A user's manager leaves no mark. */
static void v2_below_a_users_manager(void **state) {
    char proc[256], systemd[256];
    make_v2(*state, "user.slice/a.scope", "4321\n");
    folder_make(*state, "run/systemd");
    (void)snprintf(proc, sizeof(proc), "%s/proc", (char *)*state);
    (void)snprintf(systemd, sizeof(systemd), "%s/run/systemd", (char *)*state);
    struct cgroup_level_place place = {.proc_root = proc, .systemd_folder = systemd, .self = SELF};
    struct cgroup_level level;
    place.asks_manager = says_no;
    cgroup_level_find(&place, &level);
    assert_int_equal(level.kind, CGROUP_LEVEL_NONE);
    place.asks_manager = says_yes;
    cgroup_level_find(&place, &level);
    assert_int_equal(level.kind, CGROUP_LEVEL_V2);
}

static void v2_that_cannot_be_used(void **state) {
    make_v2(*state, "job", "4321\n");
    folder_write(*state, "sys/job/cgroup.controllers", "cpu memory_x pids\n");
    expect_none(*state, "has no memory controller");
    folder_write(*state, "sys/job/cgroup.controllers", "");
    expect_none(*state, "has no memory controller");
    make_v2(*state, "job", "4321\n");
    folder_write(*state, "sys/job/cgroup.type", "domain threaded\n");
    expect_none(*state, "is of type \"domain threaded\", which cannot limit memory");
    make_v2(*state, "job", "4321\n");
    CLEANUP_FREE char *control = names_format("%s/sys/job/cgroup.subtree_control", (char *)*state);
    assert_int_equal(unlink(control), 0);
    expect_none(*state, "is not ours to divide; start registrar as root, or in a group of its own");
}

static void make_v1(const char *folder, const char *membership, const char *group) {
    folder_write(folder, "proc/self/cgroup", membership);
    mount_as(folder, "/", "/sys/memory", "cgroup", "rw,memory");
    CLEANUP_FREE char *name = names_format("sys/memory/%s/cgroup.procs", group);
    folder_write(folder, name, "1\n4321\n"); /* others do not matter */
}

static void v1_and_hybrid(void **state) {
    static const char *const memberships[] = {
        "4:memory:/job\n",
        "0::/elsewhere\n4:cpu,memory:/job\n", /* memory is v1's, whatever v2 has */
        "5:memory,cpu:/job\n1:name=systemd:/x\n0::/\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(memberships); i++) {
        make_v1(*state, memberships[i], "job");
        const struct cgroup_level level = ask(*state);
        assert_int_equal(level.kind, CGROUP_LEVEL_V1);
        assert_in("/sys/memory/job", level.folder);
        assert_string_equal(level.text, "cgroup v1: each task has a memory group of its own");
    }
    CLEANUP_FREE char *procs = names_format("%s/sys/memory/job/cgroup.procs", (char *)*state);
    assert_int_equal(unlink(procs), 0);
    expect_none(*state, "is not ours to divide; start registrar as root, or the machine with "
                        "cgroup v2");
    make_v1(*state, "4:memory_recursiveprot:/job\n", "job");
    expect_none(*state, "this kernel has no memory control groups");
}

static void part_of_a_hierarchy(void **state) {
    make_v2(*state, "job", "4321\n");
    folder_write(*state, "proc/self/cgroup", "0::/docker/abc/job\n");
    mount_as(*state, "/docker/abc", "/sys", "cgroup2", "rw");
    assert_int_equal(ask(*state).kind, CGROUP_LEVEL_V2);
    mount_as(*state, "/docker/ab", "/sys", "cgroup2", "rw"); /* a prefix, but no folder above */
    expect_none(*state, "no cgroup file system that shows our control group /docker/abc/job is");
    folder_write(*state, "proc/self/cgroup", "0::/../../job\n");
    expect_none(*state, "our control group /../../job is outside this cgroup namespace");
}

static void a_folder_with_a_space(void **state) {
    make_v1(*state, "4:memory:/job\n", "job");
    folder_write(*state, "a b/job/cgroup.procs", "4321\n");
    mount_as(*state, "/", "/a\\040b", "cgroup", "rw,memory");
    assert_in("/a b/job", ask(*state).folder);
}

static void nothing_there(void **state) {
    expect_none(*state, "this kernel has no memory control groups");
    folder_write(*state, "proc/self/cgroup", "");
    expect_none(*state, "this kernel has no memory control groups");
    folder_write(*state, "proc/self/cgroup", "4:memory:/job");
    expect_none(*state, "this kernel has no memory control groups"); /* cut short */
    folder_write(*state, "proc/self/cgroup", "memory\n:\n::\n4:memory\n\n");
    mount_as(*state, "/", "/sys", "cgroup", "rw,memory");
    expect_none(*state, "no cgroup file system"); /* "::" is an empty v2 path */
    folder_write(*state, "proc/self/cgroup", "4:memory:/job\n");
    static const char *const mounts[] = {
        "",
        "31 23 0:28",
        "31 23 0:28 / /sys rw - cgroup\n",
        "31 23 0:28 / /sys rw shared:1\n",
        "31 23 0:28 / /sys rw - cgroup none rw,memoryx\n",
        "31 23 0:28 / /nowhere/at/all rw - cgroup none rw,memory\n",
        " - \n",
        "\\\n\\04 \\ - - - - - - cgroup cgroup memory\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
        folder_write(*state, "proc/self/mountinfo", mounts[i]);
        expect_none(*state, "no cgroup file system that shows our control group /job is mounted");
    }
}

static void this_machine(void **state) {
    (void)state;
    const struct cgroup_level_place here = cgroup_level_here();
    struct cgroup_level level;
    cgroup_level_find(&here, &level);
    print_message("%s (%s)\n", level.text, level.folder);
    assert_true(level.text[0]);
    assert_true(level.kind == CGROUP_LEVEL_NONE || level.folder[0] == '/');
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
        IN_FOLDER(v2_without_systemd),
        IN_FOLDER(v2_with_others_in_it),
        IN_FOLDER(v2_root_may_be_shared),
        IN_FOLDER(v2_below_systemd),
        IN_FOLDER(v2_below_a_users_manager),
        IN_FOLDER(v2_that_cannot_be_used),
        IN_FOLDER(v1_and_hybrid),
        IN_FOLDER(part_of_a_hierarchy),
        IN_FOLDER(a_folder_with_a_space),
        IN_FOLDER(nothing_there),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
