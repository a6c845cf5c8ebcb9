/* What registrar doctor makes of a machine: one that is as it should be, and every thing wrong. */
#include "supervisor/doctor/findings.h"
#include "tests/unit/folder_fixture.h"

static struct facts good(void) {
    return (struct facts){
        .has_systemd = true,
        .is_root = true,
        .has_v2 = true,
        .has_memory_groups = true,
        .level = {.kind = CGROUP_LEVEL_V2, .text = "cgroup v2: fine"},
        .has_pressure = true,
        .landlock = 4,
        .has_seccomp = true,
        .has_journal = true,
        .keeps_journal = true,
        .space = {.free_bytes = 40ULL << 30, .existing = "/var/lib"},
        .disk_bytes = 100ULL << 30,
        .memory_bytes = 16ULL << 30,
        .swap_bytes = 8ULL << 30,
        .swap_free_bytes = 7ULL << 30,
        .is_synchronised = true,
        .now_s = 1800000000,
        .max_files = 524288,
        .has_worker = true,
    };
}

static const struct finding *find(const struct findings *all, const char *name) {
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].name, name) == 0)
            return &all->items[i];
    fail_msg("no finding %s", name);
    return NULL;
}

static void all_is_well(void **state) {
    (void)state;
    const struct facts facts = good();
    struct findings all;
    findings_make(&facts, &all);
    assert_int_equal(all.n_warnings, 0);
    assert_true(all.count >= 10);
    for (size_t i = 0; i < all.count; i++) {
        assert_true(all.items[i].is_ok);
        assert_string_equal(all.items[i].fix, "");
        assert_string_not_equal(all.items[i].text, "");
    }
    assert_in("/var/lib has 40 GiB free of 100 GiB", find(&all, "state folder")->text);
}

/* facts has one thing wrong: the finding of that name warns so, and no other does. */
static void assert_warns(const struct facts *facts, const char *name, const char *text,
                         const char *fix) {
    struct findings all;
    findings_make(facts, &all);
    assert_int_equal(all.n_warnings, 1);
    const struct finding *finding = find(&all, name);
    assert_false(finding->is_ok);
    assert_in(text, finding->text);
    assert_in(fix, finding->fix);
}

static void kernel(void **state) {
    (void)state;
    struct facts facts = good();
    facts.has_memory_groups = false;
    facts.level.kind = CGROUP_LEVEL_NONE;
    assert_warns(&facts, "control groups", "no control groups for memory", "cgroup_enable=memory");
    facts = good();
    facts.has_v2 = facts.has_systemd = false;
    facts.level = (struct cgroup_level){.kind = CGROUP_LEVEL_NONE, .text = "no limits: not ours"};
    assert_warns(&facts, "delegation", "not ours", "a control group that it may divide");
    facts = good();
    facts.has_pressure = false;
    assert_warns(&facts, "memory pressure", "does not tell of stalls", "psi=1");
    facts = good();
    facts.landlock = 0;
    assert_warns(&facts, "landlock", "the kernel offers none", "lsm=");
    facts = good();
    facts.has_seccomp = false;
    assert_warns(&facts, "seccomp", "no filters", "CONFIG_SECCOMP_FILTER");
}

static void disk_and_memory(void **state) {
    (void)state;
    struct facts facts = good();
    facts.space.free_bytes = 900ULL << 20;
    assert_warns(&facts, "state folder", "900 MiB free", "make room");
    facts.space.is_ram = true;
    assert_warns(&facts, "state folder", "is in memory", "on a disk");
    facts.network = "NFS";
    assert_warns(&facts, "state folder", "is on NFS", "a disk of this machine");
    facts.space_error = -EACCES;
    assert_warns(&facts, "state folder", "cannot be looked at: Permission denied", "--state-dir");
    facts = good();
    facts.swap_free_bytes = 1ULL << 30;
    assert_warns(&facts, "swap", "7.0 GiB of 8.0 GiB are in use", "end that");
    facts = good();
    facts.overcommit = 2;
    assert_warns(&facts, "overcommit", "promises no more", "sysctl vm.overcommit_memory=0");
}

static void system_around_it(void **state) {
    (void)state;
    struct facts facts = good();
    facts.has_journal = false;
    assert_warns(&facts, "journal", "does not run", "systemctl start systemd-journald");
    facts = good();
    facts.keeps_journal = false;
    assert_warns(&facts, "journal", "gone after a reboot", "mkdir /var/log/journal");
    facts = good();
    facts.is_synchronised = false;
    assert_warns(&facts, "clock", "nothing keeps it right", "timedatectl");
    facts.now_s = 86400;
    assert_warns(&facts, "clock", "years behind", "timedatectl");
    facts = good();
    facts.max_files = 1024;
    assert_warns(&facts, "open files", "at most 1024", "LimitNOFILE=");
    facts = good();
    facts.has_worker = false;
    assert_warns(&facts, "worker", "registrar-worker is not found", "make install");
    facts = good();
    facts.is_root = false;
    assert_warns(&facts, "lingering", "ends when you log out", "loginctl enable-linger");
}

/* A machine that has nothing at all, below a root of its own: nothing is taken for there. */
static void an_empty_machine(void **state) {
    const struct facts_place place = {.root = *state, .state_dir = *state};
    struct facts facts;
    facts_read(&place, &facts);
    assert_false(facts.has_v2);
    assert_false(facts.has_memory_groups);
    assert_false(facts.has_pressure);
    assert_false(facts.has_systemd);
    assert_int_equal(facts.swap_bytes, 0);
    assert_int_equal(facts.level.kind, CGROUP_LEVEL_NONE);
    assert_int_equal(facts.space_error, 0);
    struct findings all;
    findings_make(&facts, &all);
    assert_true(all.n_warnings >= 2);
}

static void a_made_up_machine(void **state) {
    folder_write(*state, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu memoryless io memory\n");
    folder_write(*state, "proc/pressure/memory", "some avg10=0.00\n");
    folder_write(*state, "proc/meminfo", "MemTotal: 1024 kB\nSwapTotal: 8 kB\nSwapFree: 4 kB\n");
    folder_write(*state, "proc/sys/vm/overcommit_memory", "2\n");
    folder_make(*state, "run/systemd/system");
    const struct facts_place place = {.root = *state, .state_dir = *state};
    struct facts facts;
    facts_read(&place, &facts);
    assert_true(facts.has_v2);
    assert_true(facts.has_memory_groups);
    assert_true(facts.has_pressure);
    assert_true(facts.has_systemd);
    assert_false(facts.keeps_journal);
    assert_int_equal(facts.swap_bytes, 8192);
    assert_int_equal(facts.swap_free_bytes, 4096);
    assert_int_equal(facts.overcommit, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(kernel),
        cmocka_unit_test(disk_and_memory),
        cmocka_unit_test(system_around_it),
        cmocka_unit_test_setup_teardown(an_empty_machine, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_made_up_machine, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
