/* timeout: 30 */
/* watch and consumers: what is available and who has the rest, below made-up roots; what is said
 * where the kernel tells of no stalls. */
#include "supervisor/memory/watch.h"

#include "supervisor/memory/consumers.h"
#include "tests/unit/folder_fixture.h"

#define MIB ((uint64_t)1 << 20)

static struct watch_place place_in(const char *folder, char proc[256], char cgroup[256]) {
    (void)snprintf(proc, 256, "%s/proc", folder);
    (void)snprintf(cgroup, 256, "%s/cgroup", folder);
    return (struct watch_place){.proc_root = proc, .cgroup_root = cgroup, .group = ""};
}

struct scene {
    struct watch *watch;
    struct watch_look look;
    int n_looks, n_wanted, n_failed, look_is_group;
};

static void on_look(void *context) {
    struct scene *scene = context;
    if (!watch_look(scene->watch, MIB, &scene->look))
        scene->n_failed++;
    else
        scene->look_is_group = strcmp(scene->look.group, "/job") == 0;
    if (++scene->n_looks >= scene->n_wanted)
        watch_want(scene->watch, false);
}

/* Watches until it was told to look so often; nobody is woken after that, so the loop ends. */
static void play(const struct watch_place *place, struct scene *scene) {
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(watch_open(&loop, place, on_look, scene, &scene->watch), 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(scene->n_looks, 0); /* not wanted */
    watch_want(scene->watch, true);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    watch_close(scene->watch);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void the_machine(void **state) {
    char proc[256], cgroup[256];
    const struct watch_place place = place_in(*state, proc, cgroup);
    folder_write(*state, "proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 2048 kB\n");
    struct scene scene = {.n_wanted = 3};
    play(&place, &scene);
    assert_int_equal(scene.n_looks, 3);
    assert_int_equal(scene.n_failed, 0);
    assert_int_equal(scene.look.available_bytes, 2 * MIB);
    assert_int_equal(scene.look.total_bytes, 4096 * MIB);
    assert_int_equal(scene.look.stall_ms, 0);
}

static void our_group(void **state) {
    char proc[256], cgroup[256];
    const struct watch_place place = place_in(*state, proc, cgroup);
    folder_write(*state, "proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\n");
    folder_write(*state, "proc/self/cgroup", "0::/job\n");
    folder_write(*state, "cgroup/job/memory.max", "104857600\n");    /* 100 MiB */
    folder_write(*state, "cgroup/job/memory.current", "94371840\n"); /* 90 */
    folder_write(*state, "cgroup/job/memory.stat",
                 "anon 1\ninactive_file 10485760\nactive_file 41943040\n"); /* 10, 40 */
    struct scene scene = {.n_wanted = 1};
    play(&place, &scene);
    assert_int_equal(scene.look.available_bytes, (100 - 90 + 10 + 40 / 2) * MIB);
    assert_int_equal(scene.look.total_bytes, 100 * MIB);
    assert_int_equal(scene.look_is_group, 1);
    /* a file that claims more cache than there is in use */
    folder_write(*state, "cgroup/job/memory.stat", "active_file 18446744073709551615\n");
    scene = (struct scene){.n_wanted = 1};
    play(&place, &scene);
    assert_int_equal(scene.look.available_bytes, (10 + 90 / 2) * MIB);
}

static void nothing_told(void **state) {
    char proc[256], cgroup[256];
    const struct watch_place place = place_in(*state, proc, cgroup);
    folder_write(*state, "proc/meminfo", "MemTotal: 41943");
    struct scene scene = {.n_wanted = 2};
    play(&place, &scene);
    assert_int_equal(scene.n_failed, 2);
}

static void expect_missing(const struct watch_place *place, const char *part) {
    char text[WATCH_TEXT_BYTES];
    assert_true(watch_missing(place, text));
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void no_stall_events(void **state) {
    char proc[256], cgroup[256];
    struct watch_place place = place_in(*state, proc, cgroup);
    folder_write(*state, "proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 2048 kB\n");
    expect_missing(&place, "/proc/pressure/memory: this kernel, or container, has none), so that "
                           "only the memory available is watched");
    CLEANUP_FREE char *group = names_format("%s/group", (const char *)*state);
    place.group = group; /* nor has our group */
    expect_missing(&place, "has none");
    folder_write(*state, "proc/pressure/memory/not-a-file", "");
    expect_missing(&place, "Is a directory");
    struct scene scene = {.n_wanted = 1};
    play(&place, &scene);
    assert_int_equal(scene.look.available_bytes, 2 * MIB);
}

/* A file that takes the trigger but can never be polled. */
static void a_false_file(void **state) {
    char proc[256], cgroup[256];
    const struct watch_place place = place_in(*state, proc, cgroup);
    folder_write(*state, "proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 2048 kB\n");
    folder_write(*state, "proc/pressure/memory", "some avg10=nonsense\n");
    struct scene scene = {.n_wanted = 1};
    play(&place, &scene);
    assert_int_equal(scene.look.available_bytes, 2 * MIB);
}

static void the_kernels_own(void **state) {
    (void)state;
    const struct watch_place place = {"/proc", "/sys/fs/cgroup", ""};
    struct scene scene = {.n_wanted = 2};
    play(&place, &scene);
    assert_int_equal(scene.n_failed, 0);
    assert_in_range(scene.look.available_bytes, 1, scene.look.total_bytes);
}

static void process(const char *folder, int pid, int session, const char *name, int pages) {
    char path[64], text[256];
    (void)snprintf(path, sizeof(path), "proc/%d/stat", pid);
    (void)snprintf(text, sizeof(text),
                   "%d (%s) S 1 %d %d 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0\n", pid, name,
                   session, session);
    folder_write(folder, path, text);
    (void)snprintf(path, sizeof(path), "proc/%d/statm", pid);
    (void)snprintf(text, sizeof(text), "99999 %d 0 0 0 0 0\n", pages);
    folder_write(folder, path, text);
    (void)snprintf(path, sizeof(path), "proc/%d/comm", pid);
    (void)snprintf(text, sizeof(text), "%s\n", name);
    folder_write(folder, path, text);
}

static void the_consumers(void **state) {
    CLEANUP_FREE char *proc = names_format("%s/proc", (const char *)*state);
    const int mib = (int)(MIB / (uint64_t)sysconf(_SC_PAGESIZE));
    const pid_t ours[] = {50};
    char text[CONSUMERS_TEXT_BYTES];
    process(*state, 10, 10, "fire\x1b[1mfox", 300 * mib);
    process(*state, 11, 10, "fire\x1b[1mfox", 200 * mib);
    process(*state, 12, 12, "python3", 400 * mib);
    process(*state, 13, 13, "small", 30 * mib);
    process(*state, 14, 14, "smaller", 20 * mib);
    process(*state, 15, 15, "kthread", 0);
    process(*state, 50, 50, "worker", 900 * mib); /* ours, and so is its child */
    process(*state, 51, 50, "helper", 900 * mib);
    folder_write(*state, "proc/16/stat", "16 (torn");
    consumers_describe(proc, "", ours, ARRAY_LEN(ours), text);
    assert_string_equal(text, "fire[1mfox 500 MiB, python3 400 MiB, small 30 MiB");
    folder_write(*state, "proc/10/cgroup", "4:memory:/job\n0::/\n");
    folder_write(*state, "proc/11/cgroup", "4:memory:/job/below\n");
    folder_write(*state, "proc/12/cgroup", "4:memory:/jobs\n");
    folder_write(*state, "proc/13/cgroup", "4:memory:/other/job\n");
    consumers_describe(proc, "/memory/job", ours, ARRAY_LEN(ours), text);
    assert_string_equal(text, "fire[1mfox 500 MiB");
    consumers_describe(proc, "/other", ours, ARRAY_LEN(ours), text);
    assert_string_equal(text, "small 30 MiB");
    consumers_describe("/nowhere", "", NULL, 0, text);
    assert_string_equal(text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_machine),  TEST(our_group),       TEST(nothing_told),  TEST(no_stall_events),
        TEST(a_false_file), TEST(the_kernels_own), TEST(the_consumers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
