/* Asking a worker about files: workers that answer, die, hang, lie and never start. The worker is
 * a script that treats each file as its name says. */
#include "supervisor/memory/probe.h"

#include "common/clock.h"
#include "tests/unit/folder_fixture.h"

/* Files are named by what happens to them. */
static const char script[] =
    "#!/bin/sh\n"
    "read -r request\n"
    "files=${request#*\\[}; files=${files%%\\]*}\n"
    "i=0\n"
    "IFS=,\n"
    "for file in $files; do\n"
    "  file=${file#\\\"}; file=${file%\\\"}\n"
    "  echo '{\"event\":\"begin\",\"index\":'$i'}' >&3\n"
    "  case $file in\n"
    "  /crash) kill -SEGV $$;;\n"
    "  /exit) exit 3;;\n"
    "  /blocked) echo '{\"event\":\"blocked\",\"call\":\"socket\",\"number\":41}' >&3; kill -SYS "
    "$$;;\n"
    "  /hang) exec sleep 600;;\n"
    "  /chatter) while :; do echo '{\"event\":\"begin\",\"index\":'$i'}'; done >&3;;\n"
    "  /garbage) echo 'segment \"fault' >&3;;\n"
    "  /liar) echo '{\"event\":\"file\",\"index\":7}' >&3;;\n"
    "  /huge) echo '{\"event\":\"file\",\"index\":'$i',\"width\":99999999999,\"height\":1,"
    "\"samples\":1,\"bits\":8,\"size\":1}' >&3;;\n"
    "  /zero) echo '{\"event\":\"file\",\"index\":'$i',\"width\":0,\"height\":1,"
    "\"samples\":1,\"bits\":8,\"size\":1}' >&3;;\n"
    "  /long) head -c 200000 /dev/zero | tr '\\0' x >&3;;\n"
    "  /refused) echo '{\"event\":\"file\",\"index\":'$i',\"error\":\"float pixels\"}' >&3;;\n"
    "  *) if [ $1 = hash ]; then\n"
    "    echo '{\"event\":\"file\",\"index\":'$i',\"size\":5,\"mtime_ns\":-7,"
    "\"hash\":\"0123456789abcdef0123456789abcdef\"}' >&3\n"
    "  else\n"
    "    echo '{\"event\":\"file\",\"index\":'$i',\"width\":30,\"height\":20,\"samples\":3,"
    "\"bits\":16,\"size\":3600,\"scratch\":true}' >&3\n"
    "  fi;;\n"
    "  esac\n"
    "  i=$((i+1))\n"
    "done\n";

static char *make_worker(const char *folder, const char *text) {
    folder_write(folder, "worker", text);
    return names_format("%s/worker", folder);
}

static void one_bad_file_costs_itself(void **state) {
    static const char *const paths[] = {"/a",       "/crash", "/b",       "/hang", "/refused",
                                        "/garbage", "/liar",  "/huge",    "/zero", "/long",
                                        "/chatter", "/exit",  "/blocked", "/c"};
    static const char *const errors[] = {
        NULL,
        "the worker died (SIGSEGV) when it read /crash; the file may be damaged",
        NULL,
        "reading /hang took longer than 1.0 s; the file may be damaged, or the drive hangs",
        "float pixels",
        "the worker made no sense when it read /garbage",
        "the worker made no sense when it read /liar",
        "the worker made no sense when it read /huge",
        "the worker made no sense when it read /zero",
        "the worker made no sense when it read /long",
        "the worker made no sense when it read /chatter",
        "the worker gave up (exit status 3) when it read /exit",
        "the sandbox stopped the worker (system call socket) when it read /blocked",
        NULL};
    CLEANUP_FREE char *worker = make_worker(*state, script);
    struct probe_result results[ARRAY_LEN(paths)];
    struct failure failure = {0};
    assert_int_equal(probe_headers(worker, paths, ARRAY_LEN(paths), 1000, results, &failure), 0);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        print_message("%s\n", paths[i]);
        if (errors[i]) {
            assert_in(errors[i], results[i].error);
            continue;
        }
        assert_null(results[i].error);
        assert_int_equal(results[i].image.width, 30);
        assert_int_equal(results[i].image.height, 20);
        assert_int_equal(results[i].image.samples, 3);
        assert_int_equal(results[i].image.bits, 16);
        assert_int_equal(results[i].size, 3600);
        assert_true(results[i].image.scratch);
    }
    probe_results_free(results, ARRAY_LEN(paths));
}

/* Each would cost its time out, one after the other. */
static void files_that_hang_do_so_side_by_side(void **state) {
    enum { HANGS = 16, TIMEOUT_MS = 2000 };
    CLEANUP_FREE char *worker = make_worker(*state, script);
    const char *paths[2 * HANGS];
    struct probe_result results[2 * HANGS];
    struct failure failure = {0};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        paths[i] = i % 2 ? "/hang" : "/a";
    const int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(probe_headers(worker, paths, ARRAY_LEN(paths), TIMEOUT_MS, results, &failure),
                     0);
    assert_true(clock_monotonic_ms() - start_ms < HANGS * TIMEOUT_MS / 2);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (i % 2)
            assert_in("reading /hang took longer than 2.0 s", results[i].error);
        else
            assert_null(results[i].error);
        assert_int_equal(results[i].size, i % 2 ? 0 : 3600);
    }
    probe_results_free(results, ARRAY_LEN(paths));
}

static void a_dead_drive_is_given_up(void **state) {
    enum { HANGS = 60 };
    CLEANUP_FREE char *worker = make_worker(*state, script);
    const char *paths[HANGS];
    struct probe_result results[HANGS];
    struct failure failure = {0};
    size_t n_late = 0, n_given_up = 0;
    for (size_t i = 0; i < HANGS; i++)
        paths[i] = "/hang";
    assert_int_equal(probe_headers(worker, paths, HANGS, 400, results, &failure), 0);
    for (size_t i = 0; i < HANGS; i++) {
        assert_non_null(results[i].error);
        n_late += strstr(results[i].error, "reading /hang took longer than") != NULL;
        n_given_up += strstr(results[i].error, "/hang was not looked at: ") != NULL;
    }
    assert_int_equal(n_late + n_given_up, HANGS);
    assert_true(n_late >= 24 && n_late < 40);
    probe_results_free(results, HANGS);
}

static void hashes(void **state) {
    static const char *const paths[] = {"/a", "/crash", "/b"};
    CLEANUP_FREE char *worker = make_worker(*state, script);
    struct probe_result results[ARRAY_LEN(paths)];
    struct failure failure = {0};
    assert_int_equal(probe_hashes(worker, paths, ARRAY_LEN(paths), 1000, results, &failure), 0);
    assert_string_equal(results[2].hash, "0123456789abcdef0123456789abcdef");
    assert_int_equal(results[0].mtime_ns, -7);
    assert_int_equal(results[0].size, 5);
    assert_non_null(results[1].error);
    probe_results_free(results, ARRAY_LEN(paths));
}

/* A worker that ends between two files is nobody's fault; a fresh one goes on. */
static void a_worker_that_tires(void **state) {
    static const char *const paths[] = {"/a", "/b", "/c"};
    CLEANUP_FREE char *worker = make_worker(
        *state, "#!/bin/sh\n"
                "printf '%s\\n' '{\"event\":\"begin\",\"index\":0}' '{\"event\":\"file\",\"index\":"
                "0,\"width\":1,\"height\":1,\"samples\":1,\"bits\":8,\"size\":1}' >&3\n");
    struct probe_result results[ARRAY_LEN(paths)];
    struct failure failure = {0};
    assert_int_equal(probe_headers(worker, paths, ARRAY_LEN(paths), 1000, results, &failure), 0);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_null(results[i].error);
        assert_int_equal(results[i].image.width, 1);
    }
    probe_results_free(results, ARRAY_LEN(paths));
}

static void workers_that_are_none(void **state) {
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"#!/bin/sh\nexit 2\n", "ended with exit status 2 before it looked at a file; is it the"},
        {"#!/bin/sh\nkill -KILL $$\n", "was killed before it looked at a file"},
        {"#!/bin/sh\nexec sleep 600\n", "said nothing before it looked at a file"},
        {"#!/bin/sh\necho hello >&3\n", "made no sense before it looked at a file"},
    };
    static const char *const paths[] = {"/a"};
    struct probe_result results[1];
    struct failure failure = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *worker = make_worker(*state, cases[i].text);
        assert_int_equal(probe_headers(worker, paths, 1, 300, results, &failure), -EPROTO);
        assert_in(cases[i].sentence, failure.text);
        assert_in("/worker probe ", failure.text);
    }
    assert_int_equal(probe_headers("/nowhere/worker", paths, 1, 300, results, &failure), -ENOENT);
    assert_in("/nowhere/worker", failure.text);
    assert_int_equal(probe_headers("/nowhere/worker", paths, 0, 300, results, &failure), 0);
}

/* A worker that the user named is the user's to put right. */
static void a_given_worker_that_is_none(void **state) {
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"#!/bin/sh\nexit 2\n", "which is no registrar-worker of this version: as \""},
        {"#!/bin/sh\nexit 2\n", "it ended with exit status 2 before it looked at a file; unset "},
        {"no program", "REGISTRAR_WORKER: cannot start "},
    };
    static const char *const paths[] = {"/a"};
    struct probe_result results[1];
    struct failure failure = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *worker = make_worker(*state, cases[i].text);
        assert_int_equal(setenv("REGISTRAR_WORKER", worker, 1), 0);
        assert_int_equal(probe_headers(worker, paths, 1, 300, results, &failure), -EPROTO);
        assert_in(cases[i].sentence, failure.text);
    }
    CLEANUP_FREE char *found = NULL;
    assert_int_equal(setenv("REGISTRAR_WORKER", *state, 1), 0);
    assert_int_equal(probe_find_worker(&found, &failure), -EISDIR);
    assert_in("which cannot be run; unset it, or name a registrar-worker", failure.text);
    assert_int_equal(unsetenv("REGISTRAR_WORKER"), 0);
}

static void long_lists(void **state) {
    enum { MANY = 3000 };
    CLEANUP_FREE char *worker = make_worker(*state, script);
    CLEANUP_FREE const char **paths = calloc(MANY, sizeof(char *));
    CLEANUP_FREE struct probe_result *results = calloc(MANY, sizeof(*results));
    struct failure failure = {0};
    for (size_t i = 0; i < MANY; i++)
        paths[i] = "/a-path-that-is-long-enough-to-fill-any-pipe-many-times-over";
    assert_int_equal(probe_headers(worker, paths, MANY, 5000, results, &failure), 0);
    assert_int_equal(results[MANY - 1].size, 3600);
}

static void finding_the_worker(void **state) {
    CLEANUP_FREE char *worker = make_worker(*state, script);
    CLEANUP_FREE char *found = NULL, *in_path = NULL;
    struct failure failure = {0};
    assert_int_equal(setenv("REGISTRAR_WORKER", worker, 1), 0);
    assert_int_equal(probe_find_worker(&found, &failure), 0);
    assert_string_equal(found, worker);
    assert_int_equal(setenv("REGISTRAR_WORKER", "/nowhere/worker", 1), 0);
    assert_int_equal(probe_find_worker(&in_path, &failure), -ENOENT);
    assert_in("REGISTRAR_WORKER names /nowhere/worker, which cannot be run", failure.text);
    assert_int_equal(unsetenv("REGISTRAR_WORKER"), 0);
    folder_write(*state, "bin/registrar-worker", script);
    CLEANUP_FREE char *path = names_format("/nowhere:%s/bin:/bin", (char *)*state);
    CLEANUP_FREE char *expected = names_format("%s/bin/registrar-worker", (char *)*state);
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_int_equal(probe_find_worker(&in_path, &failure), 0);
    assert_string_equal(in_path, expected);
    char *nothing = NULL;
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
    assert_int_equal(probe_find_worker(&nothing, &failure), -ENOENT);
    assert_in("there is no registrar-worker in ", failure.text);
}

int main(void) {
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(one_bad_file_costs_itself),   WITH_FOLDER(files_that_hang_do_so_side_by_side),
        WITH_FOLDER(a_dead_drive_is_given_up),    WITH_FOLDER(hashes),
        WITH_FOLDER(a_worker_that_tires),         WITH_FOLDER(workers_that_are_none),
        WITH_FOLDER(a_given_worker_that_is_none), WITH_FOLDER(long_lists),
        WITH_FOLDER(finding_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
