/* The closing report: what a person reads in the morning, and summary.json. */
#include "supervisor/report/command_line.h"
#include "supervisor/report/summary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka wants them first */
#include <cmocka.h>

static const uint64_t MIB = 1 << 20;

static char *print_summary(const struct summary *summary, size_t width, bool colour) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    assert_int_equal(summary_print(summary, stream, width, colour, NULL), 0);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static struct task_result ok_task(const char *id) {
    return (struct task_result){.id = id,
                                .finished = true,
                                .verdict = VERDICT_OK,
                                .attempts = 1,
                                .wall_ms = 12100,
                                .peak_rss_bytes = 401 * MIB,
                                .reason = ""};
}

static void three_tasks(void **state) {
    (void)state;
    struct task_result tasks[] = {
        ok_task("CD070/DAPI"),
        {.id = "CD070/SYTO",
         .finished = true,
         .verdict = VERDICT_DOUBTFUL,
         .attempts = 1,
         .wall_ms = 14000,
         .peak_rss_bytes = 403 * MIB,
         .reason = "held-out tiles disagree: median 3.1 px, above max_residual (2.0 px)"},
        {.id = "CD071/DAPI",
         .finished = true,
         .verdict = VERDICT_FAILED,
         .reason = "CD071 has a pre image for DAPI, but no post image"},
    };
    struct summary summary = {.tasks = tasks,
                              .n_tasks = ARRAY_LEN(tasks),
                              .wall_ms = 31000,
                              .out = "out",
                              .command = "registrar run raw -o out"};
    CLEANUP_FREE char *text = print_summary(&summary, 80, false);
    assert_string_equal(
        text, "TASK        VERDICT   TIME   MEMORY  REASON\n"
              "CD070/DAPI  ok        12 s  401 MiB\n"
              "CD070/SYTO  doubtful  14 s  403 MiB  held-out tiles disagree: median 3.1 px, ...\n"
              "CD071/DAPI  failed       -        -  CD071 has a pre image for DAPI, but no p...\n"
              "\n"
              "1 doubtful\n"
              "  CD070/SYTO\n"
              "      held-out tiles disagree: median 3.1 px, above max_residual (2.0 px)\n"
              "      files: out/CD070/SYTO\n"
              "  Next: look before you use it: edges that show twice in qc/overlay.png or\n"
              "        qc/tiles.png mean a wrong map; transform.json has the residuals.\n"
              "\n"
              "1 failed\n"
              "  CD071/DAPI\n"
              "      CD071 has a pre image for DAPI, but no post image\n"
              "  Next: put right what the reason says; the same command then runs only what is\n"
              "        missing:\n"
              "      registrar run raw -o out\n"
              "\n"
              "1 ok, 1 failed, 1 doubtful in 31 s; results in out\n"
              "For the whole story of one: registrar explain CD070/SYTO -o out\n");
}

/* One row of the table of verdicts: what must stand in the report. */
static void advices(void **state) {
    (void)state;
    CLEANUP_JSON json_t *oom = json_pack("{s:b}", "likely_oom", 1);
    CLEANUP_JSON json_t *no_oom =
        json_pack("{s:b, s:s}", "likely_oom", 0, "why", "4 GiB were free");
    CLEANUP_JSON json_t *limit = json_pack("{s:f, s:s}", "limit_s", 600.0, "left_behind", "pid 7");
    const struct {
        enum verdict verdict;
        const json_t *evidence;
        int64_t wall_ms;
        const char *expected[3];
    } cases[] = {
        {VERDICT_TIMEOUT, NULL, 7200300, {"1 over the time limit", "c --timeout 4h\n", "log: l\n"}},
        {VERDICT_TIMEOUT, NULL, 30040, {"c --timeout 60s\n", "allow more time", "log: l\n"}},
        {VERDICT_STALLED, limit, 900000, {"1 stalled", "c --stall-timeout 20m\n", "run: pid 7"}},
        {VERDICT_OOM_LIMIT, NULL, 1000, {"1 over the memory limit", "c --worker-memory 1024M\n"}},
        {VERDICT_OOM_MACHINE, NULL, 1000, {"1 killed when memory ran out", "c --jobs 1\n"}},
        {VERDICT_KILLED, oom, 1000, {"1 killed when memory ran out", "c --jobs 1\n"}},
        {VERDICT_KILLED, no_oom, 1000, {"1 killed from outside", "r; 4 GiB were free", "    c\n"}},
        {VERDICT_CRASHED, NULL, 1000, {"1 crashed", "log: l\n", "    c\n"}},
        {VERDICT_CANCELLED, NULL, 1000, {"1 cancelled", "    c\n"}},
        {VERDICT_LOST, NULL, 1000, {"1 lost", "    c\n"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct task_result task = {.id = "a/b",
                                   .finished = true,
                                   .verdict = cases[i].verdict,
                                   .attempts = 5,
                                   .tries = 2,
                                   .wall_ms = cases[i].wall_ms,
                                   .peak_rss_bytes = 400 * MIB,
                                   .reason = "r",
                                   .evidence = cases[i].evidence,
                                   .log_path = "l"};
        struct summary summary = {.tasks = &task, .n_tasks = 1, .out = "o", .command = "c"};
        CLEANUP_FREE char *text = print_summary(&summary, 80, false);
        assert_non_null(strstr(text, "(after 2 tries)"));
        for (size_t k = 0; k < ARRAY_LEN(cases[i].expected) && cases[i].expected[k]; k++)
            if (!strstr(text, cases[i].expected[k]))
                fail_msg("case %zu: no \"%s\" in:\n%s", i, cases[i].expected[k], text);
    }
}

static void manifest_limits(void **state) {
    (void)state;
    static const struct {
        enum verdict verdict;
        const char *words, *command;
    } rows[] = {
        {VERDICT_TIMEOUT, "by its own \"timeout\" in the manifest", "o --timeout 2m\n"},
        {VERDICT_OOM_LIMIT, "by its own \"memory\" in the manifest", "o --worker-memory 256M\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct task_result task = {.id = "a/b",
                                   .finished = true,
                                   .verdict = rows[i].verdict,
                                   .attempts = 1,
                                   .wall_ms = 60000,
                                   .peak_rss_bytes = 100 << 20};
        struct summary summary = {.tasks = &task,
                                  .n_tasks = 1,
                                  .out = "o",
                                  .command = "registrar run --redo --manifest m -o o"};
        CLEANUP_FREE char *text = print_summary(&summary, 200, false);
        assert_non_null(strstr(text, rows[i].words));
        assert_non_null(strstr(text, "registrar run --manifest m -o "));
        assert_non_null(strstr(text, rows[i].command));
    }
}

/* An option that is advised takes the place of the one that was not enough. */
static void advised_options(void **state) {
    (void)state;
    struct task_result task = {
        .id = "a/b", .finished = true, .verdict = VERDICT_TIMEOUT, .attempts = 1, .wall_ms = 60000};
    struct summary summary = {.tasks = &task,
                              .n_tasks = 1,
                              .out = "o",
                              .command = "registrar run --timeout 1m raw --timeout=60s -o o"};
    CLEANUP_FREE char *text = print_summary(&summary, 200, false);
    assert_non_null(strstr(text, "registrar run raw -o o --timeout 2m\n"));
    summary.command = "registrar run 'a --timeout 1m' --timeout 9 -o o";
    CLEANUP_FREE char *quoted = print_summary(&summary, 200, false);
    assert_non_null(strstr(quoted, "registrar run 'a --timeout 1m' -o o --timeout 2m\n"));
}

/* The table leaves out the folders of a file, the report below says all. */
static void reasons_with_paths(void **state) {
    (void)state;
    struct task_result task = {.id = "a/b",
                               .finished = true,
                               .verdict = VERDICT_FAILED,
                               .attempts = 1,
                               .reason = "/data/raw/a/a_post_b.tif: it is cut off; copy it"};
    struct summary summary = {.tasks = &task, .n_tasks = 1, .out = "o", .command = "registrar"};
    CLEANUP_FREE char *text = print_summary(&summary, 200, false);
    assert_non_null(strstr(text, "-  a_post_b.tif: it is cut off; copy it\n"));
    assert_non_null(strstr(text, "      /data/raw/a/a_post_b.tif: it is cut off; copy it\n"));
}

static size_t count_lines(const char *text) {
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

enum { MANY = 200 };

static void many_tasks(void **state) {
    (void)state;
    struct task_result tasks[MANY];
    char ids[MANY][16];
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "S%03zu/DAPI", i);
        tasks[i] = ok_task(ids[i]);
    }
    tasks[7].wall_ms = 61000;
    tasks[9].peak_rss_bytes = 412 * MIB;
    tasks[150].verdict = VERDICT_CRASHED;
    tasks[150].reason = "SIGSEGV in stage warp";
    struct summary summary = {
        .tasks = tasks, .n_tasks = MANY, .wall_ms = 2420000, .out = "out", .command = "c"};
    CLEANUP_FREE char *text = print_summary(&summary, 80, false);
    assert_non_null(
        strstr(text, "199 tasks are ok: up to 1 min 01 s (S007/DAPI) and 412 MiB (S009/DAPI)\n"));
    assert_non_null(strstr(text, "199 ok, 1 crashed in 40 min 20 s; results in out\n"));
    assert_null(strstr(text, "S003/DAPI"));
    assert_true(count_lines(text) <= 14);

    /* the other way round: the table has all, the details name a dozen reasons */
    char reasons[MANY][32];
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(reasons[i], sizeof(reasons[i]), "exit status %zu", i / 10);
        tasks[i].verdict = VERDICT_FAILED;
        tasks[i].reason = reasons[i];
        tasks[i].log_path = "a log";
    }
    CLEANUP_FREE char *failed = print_summary(&summary, 80, false);
    assert_non_null(strstr(failed, "\n200 failed\n"));
    assert_non_null(strstr(failed, "S117/DAPI and 2 more\n      exit status 11\n"
                                   "      log: a log, ...\n"
                                   "  and 80 more, in the table above\n"));
    assert_non_null(strstr(failed, "\nS199/DAPI  failed"));

    /* interrupted early: what waits is a number */
    for (size_t i = 2; i < MANY; i++)
        tasks[i].finished = false;
    summary.interrupted = true;
    CLEANUP_FREE char *waiting = print_summary(&summary, 80, false);
    assert_non_null(strstr(waiting, "Interrupted: 0 ok, 2 failed, 198 left in 40 min 20 s;"));
    assert_true(count_lines(waiting) <= 16);
}

static void resumed_and_interrupted(void **state) {
    (void)state;
    struct task_result tasks[] = {ok_task("a/1"), ok_task("a/2"), {.id = "a/3"}};
    tasks[0].resumed = true;
    struct summary summary = {.tasks = tasks,
                              .n_tasks = 3,
                              .wall_ms = 9000,
                              .interrupted = true,
                              .out = "out",
                              .command = "registrar run raw -o out"};
    CLEANUP_FREE char *interrupted = print_summary(&summary, 80, false);
    assert_non_null(strstr(interrupted, "a/3   waiting     -        -\n"));
    assert_non_null(strstr(interrupted,
                           "Interrupted: 2 ok, 1 left in 9.0 s (1 done before); results in out\n"
                           "Run the same command again to continue:\n"
                           "    registrar run raw -o out\n"));
    tasks[1].resumed = true;
    summary.n_tasks = 2;
    summary.interrupted = false;
    CLEANUP_FREE char *done = print_summary(&summary, 80, false);
    assert_non_null(strstr(done, "2 ok, nothing was left to do; results in out\n"));
    assert_non_null(strstr(done, "--redo"));
}

static void hostile_text(void **state) {
    (void)state;
    struct task_result task = ok_task("s/\xe8\x84\xb3");
    task.verdict = VERDICT_FAILED;
    task.reason = "cannot read \"x\033]0;owned\007\nok  s/y\" \xff";
    struct summary summary = {.tasks = &task, .n_tasks = 1, .out = "o\033[2J", .command = "c"};
    CLEANUP_FREE char *text = print_summary(&summary, 80, false);
    for (const char *at = text; *at; at++)
        assert_true(*at == '\n' || (unsigned char)*at >= 0x20);
    assert_non_null(strstr(text, "cannot read \"x?]0;owned? ok s/y\" ?"));
    assert_null(strstr(text, "\nok "));
    CLEANUP_FREE char *coloured = print_summary(&summary, 80, true);
    assert_non_null(strstr(coloured, "\033[31mfailed\033[0m"));
}

static void json_file(void **state) {
    (void)state;
    char folder[] = "/tmp/registrar-summary-XXXXXX";
    assert_non_null(mkdtemp(folder));
    CLEANUP_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/summary.json", folder) > 0);
    struct task_result tasks[] = {ok_task("CD070/DAPI"), ok_task("b"), {.id = "c", .reason = ""}};
    tasks[1].verdict = VERDICT_KILLED;
    tasks[1].reason = "bad bytes \xff";
    struct summary summary = {
        .tasks = tasks, .n_tasks = 3, .wall_ms = 40200, .out = folder, .command = "c"};
    struct failure failure = {0};
    assert_int_equal(summary_write(&summary, path, &failure), 0);

    char *printed = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&printed, &length);
    assert_non_null(stream);
    assert_int_equal(summary_print_json(&summary, stream, &failure), 0);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(strstr(printed, "\"wall_s\": 40.2\n"));
    assert_null(strstr(printed, "memory\":")); /* nothing is known of it */

    CLEANUP_JSON json_t *read = json_load_file(path, 0, NULL);
    CLEANUP_JSON json_t *expected =
        json_pack("{s:i, s:[{s:s, s:s, s:i, s:f, s:i, s:s}, {s:s, s:s, s:i, s:f, s:i, s:s},"
                  " {s:s, s:s, s:i, s:f, s:i, s:s}], s:{s:i, s:i, s:i}, s:f}",
                  "version", 1, "tasks", "id", "CD070/DAPI", "verdict", "ok", "attempts", 1,
                  "wall_s", 12.1, "peak_rss_bytes", (int)(401 * MIB), "reason", "", "id", "b",
                  "verdict", "killed", "attempts", 1, "wall_s", 12.1, "peak_rss_bytes",
                  (int)(401 * MIB), "reason", "see the ledger: the reason is not valid UTF-8", "id",
                  "c", "verdict", "waiting", "attempts", 0, "wall_s", 0.0, "peak_rss_bytes", 0,
                  "reason", "", "counts", "ok", 1, "killed", 1, "waiting", 1, "wall_s", 40.2);
    assert_non_null(expected);
    assert_true(json_equal(read, expected));
    free(printed);

    summary.groups = "cgroup v1: each task has a memory group of its own";
    summary.shortage = "bad bytes \xff"; /* left out */
    assert_int_equal(summary_write(&summary, path, &failure), 0);
    CLEANUP_JSON json_t *more = json_load_file(path, 0, NULL);
    CLEANUP_JSON json_t *memory = json_pack("{s:s}", "groups", summary.groups);
    assert_true(json_equal(json_object_get(more, "memory"), memory));

    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(summary_write(&summary, path, &failure), -ENOENT);
    assert_non_null(strstr(failure.text, path));
}

static void quoting(void **state) {
    (void)state;
    static const struct {
        char *words[4];
        const char *text;
    } cases[] = {
        {{"registrar", "run", "raw", "-o"}, "registrar run raw -o"},
        {{"my scans", "it's", "", NULL}, "'my scans' 'it'\\''s' ''"},
        {{"a=b", "$HOME", "x;y", NULL}, "a=b '$HOME' 'x;y'"},
        {{"gr\xc3\xbcn", "~x", "a\nb\033'\\", "\xff"},
         "gr\xc3\xbcn '~x' $'a\\012b\\033\\'\\\\' $'\\377'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int count = 0;
        while (count < 4 && cases[i].words[count])
            count++;
        CLEANUP_FREE char *text = command_line_quote(count, cases[i].words);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_tasks),
        cmocka_unit_test(advices),
        cmocka_unit_test(manifest_limits),
        cmocka_unit_test(advised_options),
        cmocka_unit_test(reasons_with_paths),
        cmocka_unit_test(many_tasks),
        cmocka_unit_test(resumed_and_interrupted),
        cmocka_unit_test(hostile_text),
        cmocka_unit_test(json_file),
        cmocka_unit_test(quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
