/* The pre-flight: levels around 80 and 100 %, the block as it is printed, and remedies that add up.
 * Commands with declared memory give exact figures; a script in place of the worker gives pairs. */
#include "supervisor/memory/preflight.h"

#include "common/params.h"
#include "common/units.h"
#include "tests/unit/folder_fixture.h"

#define MIB(n) ((uint64_t)(n) << 20)

struct fixture {
    struct options options;
    struct task_list tasks;
    struct model *model;
    struct preflight preflight;
    struct failure failure;
    char *text; /* as printed */
};

static void fixture_free(struct fixture *fixture) {
    options_free(&fixture->options);
    task_list_free(&fixture->tasks);
    preflight_free(&fixture->preflight);
    model_close(fixture->model);
    free(fixture->text);
}

static struct fixture make_fixture(const char *out) {
    struct fixture fixture = {.options = {.worker_memory_bytes = MIB(512)}};
    fixture.options.out = strdup(out);
    fixture.options.params = params_defaults();
    assert_int_equal(model_open(&fixture.model, &fixture.failure), 0);
    return fixture;
}

static void add_commands(struct fixture *fixture, int n, uint64_t memory) {
    for (int i = 0; i < n; i++) {
        struct task *task = task_list_append(&fixture->tasks);
        task->id = names_format("c%zu", fixture->tasks.count);
        task->kind = TASK_COMMAND;
        task->kind_name = strdup("true");
        task->memory_bytes = memory;
    }
}

static void add_pairs(struct fixture *fixture, int n, const char *path) {
    for (int i = 0; i < n; i++) {
        struct task *task = task_list_append(&fixture->tasks);
        task->id = names_format("p%zu", fixture->tasks.count);
        task->kind = TASK_ALIGN;
        task->kind_name = strdup("align");
        task->params = json_incref(fixture->options.params);
        task->n_inputs = 2;
        assert_int_equal(names_append(&task->inputs, path), 0);
        assert_int_equal(names_append(&task->inputs, path), 0);
    }
}

/* A worker for which every file is a large RGB image, except those called /bad. */
static char *make_worker(const char *folder) {
    folder_write(folder, "worker",
                 "#!/bin/sh\nread -r list\nlist=${list#*\\[}\nIFS=,\ni=0\nfor f in $list; do\n"
                 "echo '{\"event\":\"begin\",\"index\":'$i'}'\n"
                 "case $f in *bad*) echo '{\"event\":\"file\",\"index\":'$i',\"error\":\"it is "
                 "bad\"}';;\n"
                 "*) echo '{\"event\":\"file\",\"index\":'$i',\"width\":30000,\"height\":25000,"
                 "\"samples\":3,\"bits\":16,\"size\":9,\"scratch\":false}';; esac\n"
                 "i=$((i+1))\ndone >&3\n");
    return names_format("%s/worker", folder);
}

static void run(struct fixture *fixture, const bool *wanted, const char *worker) {
    size_t size = 0;
    if (preflight_run(&fixture->options, &fixture->tasks, wanted, worker, fixture->model,
                      &fixture->preflight, &fixture->failure) < 0)
        fail_msg("%s", fixture->failure.text);
    FILE *stream = open_memstream(&fixture->text, &size);
    preflight_print(&fixture->preflight, &fixture->tasks, &fixture->options, stream);
    assert_int_equal(fclose(stream), 0);
}

static void levels(void **state) {
    static const struct {
        uint64_t each, memory;
        const char *line;
        int jobs;
        enum preflight_level level;
    } cases[] = {
        {MIB(100), MIB(1000),
         "RAM:  2 workers x 100 MiB = 200 MiB of 1000 MiB for the batch (20 %)    ok\n", 2,
         PREFLIGHT_OK},
        {MIB(400), MIB(1000), "(80 %)", 2, PREFLIGHT_OK},
        {MIB(400) + 1, MIB(1000), "(81 %)", 2, PREFLIGHT_WARNING},
        {MIB(500), MIB(1000), "(100 %)    warning\n", 2, PREFLIGHT_WARNING},
        /* commands wait for each other: two do not fit, one does */
        {MIB(500) + 1, MIB(1000), "RAM:  1 worker x 500 MiB = ", 2, PREFLIGHT_OK},
        {MIB(1000) + 1, MIB(1000), "(101 %)", 2, PREFLIGHT_REFUSED},
        {MIB(300), MIB(100),
         "RAM:  1 worker x 300 MiB = 300 MiB of 100 MiB for the batch (300 %)    refused\n", 1,
         PREFLIGHT_REFUSED},
        {1ULL << 50, MIB(100), "(over 999 %)", 1, PREFLIGHT_REFUSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
        fixture.options.jobs = cases[i].jobs;
        fixture.options.memory_bytes = cases[i].memory;
        add_commands(&fixture, 5, cases[i].each);
        run(&fixture, NULL, "/nowhere/worker"); /* no images: no worker is needed */
        print_message("%s", fixture.text);
        assert_int_equal(fixture.preflight.memory_level, cases[i].level);
        assert_int_equal(preflight_level(&fixture.preflight), cases[i].level);
        /* 1000 MiB is shown as 1000 MiB or 1.0 GiB: the line's other half is what matters */
        assert_in(i == 0 ? "RAM:  2 workers x 100 MiB = 200 MiB of " : cases[i].line, fixture.text);
        assert_in("=== Pre-flight ===\nRAM: ", fixture.text);
        assert_true(fixture.preflight.memory_budget_bytes >= fixture.preflight.memory_needed_bytes);
    }
}

static void verdicts_stand_under_each_other(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    add_commands(&fixture, 1, MIB(1));
    run(&fixture, NULL, NULL);
    const char *memory = strstr(fixture.text, "RAM: "), *disk = strstr(fixture.text, "Disk: ");
    assert_non_null(memory);
    assert_non_null(disk);
    assert_int_equal(strstr(memory, "    ok\n") ? strcspn(memory, "\n") : 0, strcspn(disk, "\n"));
}

static struct fixture run_pairs(const char *out, const char *worker, int jobs, uint64_t cap,
                                uint64_t memory) {
    struct fixture fixture = make_fixture(out);
    fixture.options.is_worker_memory_given = true;
    fixture.options.jobs = jobs;
    fixture.options.threads = 1;
    fixture.options.memory_bytes = memory;
    fixture.options.worker_memory_bytes = cap;
    add_pairs(&fixture, 5, "/a");
    run(&fixture, NULL, worker);
    return fixture;
}

/* What a remedy promises is what a pre-flight with it says. */
static void remedies_hold(void **state) {
    enum { JOBS = 4 };
    CLEANUP_FREE char *worker = make_worker(*state);
    CLEANUP(fixture_free)
    struct fixture free_of_limits = run_pairs(*state, worker, JOBS, MIB(512), 0);
    const uint64_t need = free_of_limits.preflight.memory_needed_bytes;
    assert_int_equal(need, JOBS * free_of_limits.preflight.largest_bytes);
    for (uint64_t percent = 30; percent < 100; percent += 10) {
        const uint64_t limit = need / 100 * percent;
        CLEANUP(fixture_free)
        struct fixture fixture = run_pairs(*state, worker, JOBS, MIB(512), limit);
        print_message("%s", fixture.text);
        assert_int_equal(fixture.preflight.memory_level, PREFLIGHT_REFUSED);
        assert_in("Too little memory. Any one of these helps:\n  - ", fixture.text);
        assert_in("Or --force: run as it is", fixture.text);
        assert_true(names_count(fixture.preflight.memory_advice) >= 2);
        for (char *const *line = fixture.preflight.memory_advice; *line; line++) {
            int jobs = JOBS, cap = 512, memory = (int)(limit >> 20);
            if (sscanf(*line, "--jobs %d --worker-memory %dM", &jobs, &cap) < 1 &&
                sscanf(*line, "--worker-memory %dM", &cap) < 1 &&
                sscanf(*line, "--memory %dM", &memory) < 1)
                fail_msg("a remedy that was not expected here: %s", *line);
            CLEANUP(fixture_free)
            struct fixture again = run_pairs(*state, worker, jobs, MIB(cap), MIB(memory));
            assert_int_not_equal(again.preflight.memory_level, PREFLIGHT_REFUSED);
        }
    }
}

static void a_warning_has_advice_that_ends_it(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    fixture.options.jobs = 3;
    fixture.options.memory_bytes = MIB(1000);
    add_commands(&fixture, 3, MIB(300));
    run(&fixture, NULL, NULL);
    assert_int_equal(fixture.preflight.memory_level, PREFLIGHT_WARNING);
    assert_in("Memory is tight", fixture.text);
    assert_null(strstr(fixture.text, "--memory 1000M"));
    assert_in("  - --jobs 2 would fit: 2 x 300 MiB = 600 MiB of ", fixture.text);
    assert_null(strstr(fixture.text, "--force"));
}

static void auto_stays_comfortable(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    fixture.options.memory_bytes = MIB(400);
    add_commands(&fixture, 50, MIB(150));
    run(&fixture, NULL, NULL);
    assert_int_equal(fixture.preflight.memory_level, PREFLIGHT_OK);
    assert_true(fixture.preflight.at_once <= 2);
    assert_true(fixture.preflight.jobs * fixture.preflight.threads <=
                fixture.preflight.machine.cores);
    assert_int_equal(fixture.preflight.memory_budget_bytes, MIB(400)); /* all that was given */
}

/* Before anything is refused, workers make do with less. */
static void caps_shrink(void **state) {
    CLEANUP_FREE char *worker = make_worker(*state);
    for (int jobs = 0; jobs < 3; jobs++) {
        CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
        fixture.options.jobs = jobs;
        fixture.options.threads = 64;
        fixture.options.memory_bytes = MIB(300) * (uint64_t)(jobs > 1 ? jobs : 1);
        add_pairs(&fixture, 5, "/a");
        run(&fixture, NULL, worker);
        print_message("%s", fixture.text);
        assert_int_not_equal(fixture.preflight.memory_level, PREFLIGHT_REFUSED);
        assert_true(fixture.preflight.is_cap_shrunk);
        assert_true(fixture.preflight.cap_bytes < MIB(512));
        assert_in("Note: each worker is held to ", fixture.text);
    }
}

static void what_can_never_fit_is_named(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    fixture.options.memory_bytes = MIB(200);
    add_commands(&fixture, 2, MIB(100));
    add_commands(&fixture, 2, MIB(300));
    run(&fixture, NULL, NULL);
    assert_int_equal(preflight_level(&fixture.preflight), PREFLIGHT_REFUSED);
    assert_in(
        "\nc3 can never fit: alone it needs 300 MiB of 200 MiB (and 1 more do not fit either).",
        fixture.text);
}

static void another_machine(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    fixture.options.assume_memory_bytes = MIB(64 * 1024);
    fixture.options.assume_cpus = 48;
    add_commands(&fixture, 100, MIB(1024));
    run(&fixture, NULL, NULL);
    assert_int_equal(fixture.preflight.at_once, 48);
    assert_in("RAM:  48 workers x 1.0 GiB = 48 GiB of 64 GiB assumed (75 %)", fixture.text);
    assert_in("Note: for a machine with 64 GiB and 48 cores, all of it free.", fixture.text);
}

static void force_is_answered(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    fixture.options.memory_bytes = MIB(10);
    fixture.options.force = true;
    add_commands(&fixture, 1, MIB(300));
    run(&fixture, NULL, NULL);
    assert_int_equal(preflight_level(&fixture.preflight), PREFLIGHT_REFUSED);
    assert_in("--force was given: ", fixture.text);
    assert_int_equal(fixture.preflight.memory_budget_bytes, MIB(300)); /* so that it can start */
}

static void a_disk_that_is_too_small(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture("/proc/nothing/fits/here");
    CLEANUP_FREE char *worker = make_worker(*state);
    add_pairs(&fixture, 2, "/a");
    run(&fixture, NULL, worker);
    assert_int_equal(fixture.preflight.disk_level, PREFLIGHT_REFUSED);
    assert_in("of 0 B free (over 999 %)", fixture.text);
    assert_in("Too little disk. Any one of these helps:\n  - free ", fixture.text);
    assert_in(" on the disk of /proc\n", fixture.text);
    assert_in("--samples A,B to do a part", fixture.text);
}

static void a_folder_in_ram_counts_as_memory(void **state) {
    (void)state;
    CLEANUP(fixture_free) struct fixture fixture = make_fixture("/dev/shm/registrar-none/out");
    CLEANUP_FREE char *worker = make_worker(*state);
    add_pairs(&fixture, 1, "/a");
    run(&fixture, NULL, worker);
    if (!fixture.preflight.space.is_ram)
        skip(); /* no tmpfs there */
    assert_int_equal(fixture.preflight.memory_needed_bytes,
                     fixture.preflight.largest_bytes + fixture.preflight.disk_needed_bytes);
    assert_in("of results = ", fixture.text);
    assert_in("Note: /dev/shm is in RAM (tmpfs): results there count as memory too.", fixture.text);
}

/* Whichever of them comes to it first writes the differences of those after it. */
static void variants_write_for_those_after_them(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    CLEANUP_FREE char *worker = make_worker(*state);
    add_pairs(&fixture, 4, "/a");
    for (int i = 0; i < 4; i++) {
        struct task *task = &fixture.tasks.items[i];
        task->shared = strdup("S/D@shared");
        json_decref(task->params);
        task->params = params_defaults();
        assert_int_equal(json_object_set_new(task->params, "manual_scale", json_real(1 + i)), 0);
    }
    json_object_set_new(fixture.tasks.items[2].params, "pad",
                        json_integer(9)); /* another picture */
    run(&fixture, NULL, worker);
    static const struct {
        uint32_t n_ahead;
        bool has_picture;
    } expected[] = {{2, false}, {1, true}, {0, false}, {0, true}};
    for (int i = 0; i < 4; i++) {
        const struct footprint_pair *pair = &fixture.preflight.tasks[i].need.pair;
        assert_int_equal(pair->n_ahead, expected[i].n_ahead);
        assert_int_equal(pair->has_picture, expected[i].has_picture);
    }
}

static void what_is_left_out_needs_nothing(void **state) {
    CLEANUP(fixture_free) struct fixture fixture = make_fixture(*state);
    CLEANUP_FREE char *worker = make_worker(*state);
    static const bool wanted[] = {true, false, true, true, true};
    add_pairs(&fixture, 2, "/a");
    add_pairs(&fixture, 1, "/bad");
    add_commands(&fixture, 2, 0);
    fixture.tasks.items[4].broken = strdup("broken");
    run(&fixture, wanted, worker);
    const struct preflight *preflight = &fixture.preflight;
    assert_int_equal(preflight->n_wanted, 3);
    assert_int_equal(preflight->n_errors, 1);
    assert_int_equal(preflight->n_assumed, 1);
    assert_true(preflight->tasks[0].memory_bytes > 0);
    assert_int_equal(preflight->tasks[1].memory_bytes, 0);
    assert_string_equal(preflight->tasks[2].error, "it is bad");
    assert_in("Note: 1 pair cannot be read and will fail.", fixture.text);
    assert_in("Note: of 1 command nothing is known yet: ", fixture.text);
    CLEANUP_JSON json_t *json = preflight_to_json(preflight, &fixture.tasks);
    const json_t *tasks = json_object_get(json, "tasks");
    assert_int_equal(json_array_size(tasks), 5);
    assert_true(json_is_true(json_object_get(json_array_get(tasks, 1), "finished")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(tasks, 2), "problem")),
                        "it is bad");
    assert_string_equal(json_string_value(json_object_get(json_array_get(tasks, 4), "problem")),
                        "broken");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(tasks, 3), "memory_bytes")),
                     MIB(256));
}

int main(void) {
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(levels),
        WITH_FOLDER(verdicts_stand_under_each_other),
        WITH_FOLDER(remedies_hold),
        WITH_FOLDER(a_warning_has_advice_that_ends_it),
        WITH_FOLDER(auto_stays_comfortable),
        WITH_FOLDER(caps_shrink),
        WITH_FOLDER(what_can_never_fit_is_named),
        WITH_FOLDER(another_machine),
        WITH_FOLDER(force_is_answered),
        WITH_FOLDER(a_disk_that_is_too_small),
        cmocka_unit_test_setup_teardown(a_folder_in_ram_counts_as_memory, folder_setup,
                                        folder_teardown),
        WITH_FOLDER(variants_write_for_those_after_them),
        WITH_FOLDER(what_is_left_out_needs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
