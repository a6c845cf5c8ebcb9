/* What the machine has, read from made-up kernel files: whole, cut short, and hostile. */
#include "supervisor/memory/kernel_file.h"
#include "supervisor/memory/machine.h"
#include "supervisor/memory/space.h"
#include "tests/unit/folder_fixture.h"

#include <sys/vfs.h>

static const char meminfo[] = "MemTotal:       16777216 kB\n"
                              "MemFree:         1048576 kB\n"
                              "MemAvailable:    8388608 kB\n";

static struct machine read_machine(const char *folder) {
    CLEANUP_FREE char *proc = names_format("%s/proc", folder);
    CLEANUP_FREE char *cgroup = names_format("%s/cgroup", folder);
    struct machine machine = {0};
    struct failure failure = {0};
    const int r = machine_read(proc, cgroup, &machine, &failure);
    if (r < 0)
        fail_msg("%s", failure.text);
    return machine;
}

static void set_up(const char *folder, const char *membership) {
    folder_write(folder, "proc/meminfo", meminfo);
    folder_write(folder, "proc/self/cgroup", membership);
}

static void without_cgroups(void **state) {
    folder_write(*state, "proc/meminfo", meminfo);
    const struct machine machine = read_machine(*state);
    assert_int_equal(machine.available_bytes, 8ULL << 30);
    assert_false(machine.is_cgroup_bound);
    assert_false(machine.cgroup.has_memory_limit);
    assert_int_equal(machine.cores, sysconf(_SC_NPROCESSORS_ONLN));
}

static void version_2(void **state) {
    set_up(*state, "0::/user.slice/job\n");
    folder_write(*state, "cgroup/user.slice/job/memory.max", "max\n");
    folder_write(*state, "cgroup/user.slice/job/cpu.max", "max 100000\n");
    folder_write(*state, "cgroup/user.slice/memory.max", "4294967296\n"); /* above us counts */
    folder_write(*state, "cgroup/user.slice/memory.current", "2147483648\n");
    folder_write(*state, "cgroup/user.slice/memory.stat",
                 "anon 1\nactive_file 1073741824\ninactive_file 1073741824\nfile 7\n");
    folder_write(*state, "cgroup/user.slice/cpu.max", "50000 100000\n");
    const struct machine machine = read_machine(*state);
    assert_int_equal(machine.available_bytes,
                     7ULL << 29); /* 4 - (2 - 1 - 1 / 2 that can be reclaimed) */
    assert_true(machine.is_cgroup_bound);
    assert_string_equal(machine.cgroup.memory_path, "/user.slice");
    assert_int_equal(machine.cgroup.memory_limit_bytes, 4ULL << 30);
    assert_int_equal(machine.cores, 1); /* half a core is one */
}

static void version_2_high_is_a_limit(void **state) {
    set_up(*state, "0::/job\n");
    folder_write(*state, "cgroup/job/memory.max", "4294967296\n");
    folder_write(*state, "cgroup/job/memory.high", "1073741824\n");
    folder_write(*state, "cgroup/job/memory.current", "4096\n");
    assert_int_equal(read_machine(*state).available_bytes, (1ULL << 30) - 4096);
}

static void the_level_with_the_least_room_counts(void **state) {
    set_up(*state, "0::/a/b\n");
    folder_write(*state, "cgroup/a/b/memory.max", "2147483648\n"); /* 2 GiB, nearly empty */
    folder_write(*state, "cgroup/a/b/memory.current", "0\n");
    folder_write(*state, "cgroup/a/memory.max", "4294967296\n"); /* 4 GiB, 3.5 in use */
    folder_write(*state, "cgroup/a/memory.current", "3758096384\n");
    const struct machine machine = read_machine(*state);
    assert_int_equal(machine.available_bytes, 512 << 20);
    assert_string_equal(machine.cgroup.memory_path, "/a");
}

static void version_1(void **state) {
    set_up(*state, "5:cpu,cpuacct:/job\n4:memory:/outer/job\n1:name=systemd:/\n");
    folder_write(*state, "cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    folder_write(*state, "cgroup/memory/outer/memory.limit_in_bytes", "1073741824\n");
    folder_write(*state, "cgroup/memory/outer/memory.usage_in_bytes", "536870912\n");
    folder_write(*state, "cgroup/memory/outer/memory.use_hierarchy", "1\n");
    folder_write(*state, "cgroup/memory/outer/memory.stat",
                 "inactive_file 1\ntotal_inactive_file 268435456\n");
    folder_write(*state, "cgroup/memory/outer/job/memory.limit_in_bytes", "9223372036854771712\n");
    folder_write(*state, "cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    folder_write(*state, "cgroup/cpu/cpu.cfs_quota_us", "100000\n");
    folder_write(*state, "cgroup/cpu/cpu.cfs_period_us", "100000\n");
    struct machine machine = read_machine(*state);
    assert_int_equal(machine.available_bytes, 768 << 20);
    assert_string_equal(machine.cgroup.memory_path, "/memory/outer");
    assert_int_equal(machine.cores, 1);
    folder_write(*state, "cgroup/memory/outer/memory.use_hierarchy", "0\n");
    machine = read_machine(*state);
    assert_false(machine.is_cgroup_bound);
}

/* A container's mount shows its own group as the root, whatever /proc/self/cgroup says. */
static void containers(void **state) {
    set_up(*state, "4:memory:/docker/0123456789ab\n0::/../../elsewhere\n");
    folder_write(*state, "cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    folder_write(*state, "cgroup/memory/memory.usage_in_bytes", "0\n");
    assert_int_equal(read_machine(*state).available_bytes, 1ULL << 30);
    folder_write(*state, "cgroup/memory.max", "536870912\n");
    assert_int_equal(read_machine(*state).available_bytes, 512 << 20);
}

static void full_groups_leave_nothing(void **state) {
    set_up(*state, "0::/job\n");
    folder_write(*state, "cgroup/job/memory.max", "1000\n");
    folder_write(*state, "cgroup/job/memory.current", "4096\n"); /* may be above for a moment */
    assert_int_equal(read_machine(*state).available_bytes, 0);
    folder_write(*state, "cgroup/job/memory.stat", "inactive_file 99999999\n"); /* more than used */
    assert_int_equal(read_machine(*state).available_bytes, 1000);
}

static void hostile_files_set_no_limit(void **state) {
    static const char *const texts[] = {
        "",        "\n",         "-1\n", "max\n", "0x100\n", "99999999999999999999999\n",
        "12abc\n", "\xff\xfe\n", " 5\n",
    };
    set_up(*state, "0::/job\n");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        folder_write(*state, "cgroup/job/memory.max", texts[i]);
        folder_write(*state, "cgroup/job/cpu.max", texts[i]);
        const struct machine machine = read_machine(*state);
        assert_int_equal(machine.available_bytes, 8ULL << 30);
        assert_int_equal(machine.cgroup.cores > 0, false);
    }
    static const char *const memberships[] = {"", "\n", ":", "0::", "0:\n", "::/job\nx", "memory"};
    for (size_t i = 0; i < ARRAY_LEN(memberships); i++) {
        folder_write(*state, "proc/self/cgroup", memberships[i]);
        assert_int_equal(read_machine(*state).available_bytes, 8ULL << 30);
    }
}

static void meminfo_without_an_answer(void **state) {
    static const char *const texts[] = {
        "",
        "MemAvailable:",
        "MemAvailable:   \n",
        "MemAvailable: -5 kB\n",
        "MemAvailable:  12",
        "MemFree: 5 kB\n",
        "XMemAvailable: 5 kB\n",
        "MemAvailable: 18446744073709551615 kB\n",
    };
    CLEANUP_FREE char *proc = names_format("%s/proc", (char *)*state);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct machine machine;
        struct failure failure = {0};
        folder_write(*state, "proc/meminfo", texts[i]);
        assert_int_equal(machine_read(proc, *state, &machine, &failure), -ENODATA);
        assert_in("/proc/meminfo does not tell how much memory is available", failure.text);
    }
}

static void this_machine(void **state) {
    (void)state;
    struct machine machine = {0};
    struct failure failure = {0};
    assert_int_equal(machine_read(MACHINE_PROC_ROOT, MACHINE_CGROUP_ROOT, &machine, &failure), 0);
    assert_true(machine.available_bytes > 1 << 20);
    assert_true(machine.cores >= 1);
}

static void space_of_a_folder_to_come(void **state) {
    CLEANUP_FREE char *folder = names_format("%s/not/yet/there", (char *)*state);
    struct space space = {0};
    struct failure failure = {0};
    assert_int_equal(space_read(folder, &space, &failure), 0);
    assert_string_equal(space.existing, *state);
    assert_true(space.free_bytes > 0);
    assert_int_equal(space_read("/nowhere", &space, &failure), 0);
    assert_string_equal(space.existing, "/");
}

static void tmpfs_is_ram(void **state) {
    (void)state;
    struct space space = {0};
    struct failure failure = {0};
    struct statfs status;
    if (statfs("/dev/shm", &status) < 0 || status.f_type != 0x01021994)
        skip(); /* no tmpfs there */
    assert_int_equal(space_read("/dev/shm/registrar-not-there/x", &space, &failure), 0);
    assert_true(space.is_ram);
    assert_int_equal(space_read("/proc", &space, &failure), 0);
    assert_false(space.is_ram);
}

int main(void) {
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(without_cgroups),
        WITH_FOLDER(version_2),
        WITH_FOLDER(version_2_high_is_a_limit),
        WITH_FOLDER(the_level_with_the_least_room_counts),
        WITH_FOLDER(version_1),
        WITH_FOLDER(containers),
        WITH_FOLDER(full_groups_leave_nothing),
        WITH_FOLDER(hostile_files_set_no_limit),
        WITH_FOLDER(meminfo_without_an_answer),
        cmocka_unit_test(this_machine),
        WITH_FOLDER(space_of_a_folder_to_come),
        cmocka_unit_test(tmpfs_is_ram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
