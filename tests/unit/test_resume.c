/* What a second run may leave out: a table of everything that can have changed in between, on real
 * files and with the real worker's hashes. */
#include "supervisor/batch/resume.h"

#include "common/atomic_file.h"
#include "common/params.h"
#include "supervisor/memory/probe.h"
#include "tests/unit/ledger_fixture.h"

#include <malloc.h>
#include <utime.h>

struct bench {
    struct ledger_fixture fixture;
    char out[128], pre[128], post[128], worker[256];
    struct resume *resume;
    struct task task;
    int64_t seq;
};

static void write_file(const char *path, const char *text) {
    ledger_fixture_write(path, text, strlen(text));
}

static int64_t mtime_ns(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    struct failure failure = {0};
    assert_non_null(bench);
    ledger_fixture_make(&bench->fixture, false);
    const char *build = getenv("BUILD"), *folder = bench->fixture.folder;
    (void)snprintf(bench->worker, sizeof(bench->worker), "%s/registrar-worker",
                   build ? build : "build");
    (void)snprintf(bench->out, sizeof(bench->out), "%s/out", folder);
    (void)snprintf(bench->pre, sizeof(bench->pre), "%s/S_pre_D.tif", folder);
    (void)snprintf(bench->post, sizeof(bench->post), "%s/S_post_D.tif", folder);
    write_file(bench->pre, "pre-stain");
    write_file(bench->post, "post-stain");
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/S/D", bench->out);
    assert_int_equal(atomic_file_make_folders(path, &failure), 0);
    (void)snprintf(path, sizeof(path), "%s/S/D/transform.json", bench->out);
    write_file(path, "{}");
    bench->task = (struct task){.id = strdup("S/D"), .kind = TASK_ALIGN};
    bench->task.kind_name = strdup("align");
    bench->task.params = params_defaults();
    bench->task.inputs = calloc(3, sizeof(char *)); /* a NULL behind the two */
    bench->task.inputs[0] = strdup(bench->pre);
    bench->task.inputs[1] = strdup(bench->post);
    bench->task.n_inputs = 2;
    assert_int_equal(resume_open(&bench->resume, &failure), 0);
    *state = bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    struct task_list list = {.items = malloc(sizeof(struct task)), .count = 1};
    list.items[0] = bench->task;
    task_list_free(&list);
    resume_close(bench->resume);
    ledger_fixture_remove(&bench->fixture);
    free(bench);
    return 0;
}

/* Takes record. */
static void replay(struct bench *bench, const char *event, json_t *record) {
    struct failure failure = {0};
    assert_non_null(record);
    assert_int_equal(json_object_set_new(record, "event", json_string(event)), 0);
    assert_int_equal(json_object_set_new(record, "seq", json_integer(++bench->seq)), 0);
    assert_int_equal(resume_replay(bench->resume, record, &failure), 0);
    json_decref(record);
}

static json_t *file_mark(const struct bench *bench, const char *path, const char *name) {
    struct stat status;
    struct failure failure = {0};
    struct probe_result result = {0};
    assert_int_equal(stat(path, &status), 0);
    if (probe_hashes(bench->worker, &path, 1, 20000, &result, &failure) < 0 || result.error)
        fail_msg("%s%s", failure.text, result.error ? result.error : "");
    return json_pack("{s:s, s:I, s:I, s:s}", name ? "name" : "path", name ? name : path, "size",
                     (json_int_t)status.st_size, "mtime_ns", (json_int_t)mtime_ns(path), "hash",
                     result.hash);
}

/* The record that a run writes for the task as everything stands now. */
static json_t *task_end(const struct bench *bench, const char *verdict, const char *cause) {
    char output[192];
    (void)snprintf(output, sizeof(output), "%s/S/D/transform.json", bench->out);
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:i, s:[o, o], s:[o]}", "task", "S/D", "verdict", verdict, "cause", cause,
        "attempts", 1, "inputs", file_mark(bench, bench->pre, NULL),
        file_mark(bench, bench->post, NULL), "outputs", file_mark(bench, output, "transform.json"));
    assert_int_equal(json_object_update_new(record, resume_identity(&bench->task)), 0);
    return record;
}

static bool is_finished(const struct bench *bench) {
    const struct task_list tasks = {.items = (struct task *)&bench->task, .count = 1};
    struct failure failure = {0};
    bool finished = false;
    if (resume_decide(bench->resume, &tasks, bench->out, bench->worker, &finished, &failure) < 0)
        fail_msg("%s", failure.text);
    return finished;
}

static void final_verdicts(void **state) {
    struct bench *bench = *state;
    assert_false(is_finished(bench)); /* never heard of */
    static const struct {
        const char *verdict, *cause;
        bool is_final;
    } cases[] = {
        {"ok", "", true},          {"doubtful", "", true},
        {"failed", "input", true}, {"failed", "environment", false},
        {"failed", "", false},     {"timeout", "", false},
        {"stalled", "", false},    {"killed", "", false},
        {"crashed", "", false},    {"cancelled", "", false},
        {"lost", "", false},       {"oom-limit", "", false},
        {"ok", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        replay(bench, "task_end", task_end(bench, cases[i].verdict, cases[i].cause));
        assert_int_equal(is_finished(bench), cases[i].is_final); /* the last one counts */
    }
}

static void touch(const char *path) {
    const struct utimbuf times = {.actime = 1000000000, .modtime = 1000000000};
    assert_int_equal(utime(path, &times), 0);
}

static void touched_inputs_are_compared_by_content(void **state) {
    struct bench *bench = *state;
    replay(bench, "task_end", task_end(bench, "ok", ""));
    touch(bench->pre);
    assert_true(is_finished(bench));
    touch(bench->post);
    assert_true(is_finished(bench));
    write_file(bench->post, "post-STAIN"); /* the same size, other bytes */
    assert_false(is_finished(bench));
    write_file(bench->post, "post-stain");
    assert_true(is_finished(bench));
    write_file(bench->post, "post-stain and more");
    assert_false(is_finished(bench));
    assert_int_equal(unlink(bench->post), 0);
    assert_false(is_finished(bench));
}

static void moved_inputs_are_compared_by_content(void **state) {
    struct bench *bench = *state;
    replay(bench, "task_end", task_end(bench, "ok", ""));
    char moved[160];
    (void)snprintf(moved, sizeof(moved), "%s.moved", bench->pre);
    assert_int_equal(rename(bench->pre, moved), 0);
    free(bench->task.inputs[0]);
    bench->task.inputs[0] = strdup(moved);
    assert_true(is_finished(bench));
    char *first = bench->task.inputs[0];
    bench->task.inputs[0] = bench->task.inputs[1];
    bench->task.inputs[1] = first;
    assert_false(is_finished(bench)); /* pre and post have changed places */
}

static void inputs_without_a_hash_must_be_untouched(void **state) {
    struct bench *bench = *state;
    json_t *record = task_end(bench, "ok", "");
    json_t *input = json_array_get(json_object_get(record, "inputs"), 0);
    assert_int_equal(json_object_del(input, "hash"), 0);
    replay(bench, "task_end", record);
    assert_true(is_finished(bench));
    touch(bench->pre);
    assert_false(is_finished(bench));
}

static void changed_outputs_are_made_again(void **state) {
    struct bench *bench = *state;
    char output[192];
    (void)snprintf(output, sizeof(output), "%s/S/D/transform.json", bench->out);
    replay(bench, "task_end", task_end(bench, "ok", ""));
    assert_true(is_finished(bench));
    touch(output);
    assert_false(is_finished(bench));
    replay(bench, "task_end", task_end(bench, "ok", ""));
    assert_true(is_finished(bench));
    write_file(output, "{}{}");
    touch(output);
    assert_false(is_finished(bench));
    assert_int_equal(unlink(output), 0);
    assert_false(is_finished(bench));
    assert_int_equal(mkdir(output, 0700), 0);
    assert_false(is_finished(bench));
}

static void other_work_is_done(void **state) {
    struct bench *bench = *state;
    struct failure failure = {0};
    replay(bench, "task_end", task_end(bench, "ok", ""));
    assert_int_equal(params_set_text(bench->task.params, "scale_max=2", "--set", &failure), 0);
    assert_false(is_finished(bench));
    replay(bench, "task_end", task_end(bench, "ok", ""));
    assert_true(is_finished(bench));
    bench->task.broken = strdup("the post image is missing");
    assert_false(is_finished(bench));
}

static void commands_are_told_apart(void **state) {
    struct bench *bench = *state;
    char *words[] = {"a", "bc", NULL}, *other[] = {"ab", "c", NULL}, *env[] = {"X=1", NULL};
    struct task task = bench->task;
    task.kind = TASK_COMMAND;
    task.cwd = "/";
    const struct {
        char **command;
        char *cwd;
        char **env;
    } variants[] = {
        {words, "/", NULL}, {other, "/", NULL}, {words, "/tmp", NULL}, {words, "/", env}};
    char prints[ARRAY_LEN(variants)][16];
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        task.command = variants[i].command;
        task.cwd = variants[i].cwd;
        task.env = variants[i].env;
        CLEANUP_JSON json_t *identity = resume_identity(&task);
        (void)snprintf(prints[i], sizeof(prints[i]), "%s",
                       json_string_value(json_object_get(identity, "fingerprint")));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(prints[i], prints[k]);
    }
}

static void what_was_running_when_it_died(void **state) {
    struct bench *bench = *state;
    static const struct {
        const char *event, *task;
        int attempt;
    } events[] = {
        {"attempt_start", "S/A", 1}, {"attempt_start", "S/B", 1}, {"attempt_end", "S/A", 1},
        {"attempt_start", "S/A", 2}, {"attempt_start", "S/C", 1}, {"attempt_end", "S/C", 1},
        {"attempt_end", "S/E", 1}, /* never started: exec failed */
    };
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        replay(bench, events[i].event,
               json_pack("{s:s, s:i}", "task", events[i].task, "attempt", events[i].attempt));
    const json_t *open = resume_open_attempts(bench->resume);
    assert_int_equal(json_array_size(open), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(open, 0), "task")), "S/B");
    assert_string_equal(json_string_value(json_object_get(json_array_get(open, 1), "task")), "S/A");
    assert_int_equal(resume_attempts(bench->resume, "S/A"), 2);
    assert_int_equal(resume_attempts(bench->resume, "S/B"), 1);
    assert_int_equal(resume_attempts(bench->resume, "S/E"), 1);
    assert_int_equal(resume_attempts(bench->resume, "S/Z"), 0);
    assert_null(resume_last_end(bench->resume, "S/A"));
    replay(bench, "note", json_pack("{s:s}", "text", "x"));
    replay(bench, "task_end", json_object()); /* no task: of no interest, and no accident */
    replay(bench, "task_end",
           json_pack("{s:s, s:s, s:i}", "task", "S/A", "inputs", "none", "attempts", 2));
    assert_int_equal(
        json_integer_value(json_object_get(resume_last_end(bench->resume, "S/A"), "attempts")), 2);
}

static void a_thousand_tasks_take_little_memory(void **state) {
    struct bench *bench = *state;
    CLEANUP_JSON json_t *like = task_end(bench, "ok", "");
    const json_t *output = json_array_get(json_object_get(like, "outputs"), 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(
            json_array_append_new(json_object_get(like, "outputs"), json_deep_copy(output)), 0);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) {
        json_t *record = json_deep_copy(like);
        char id[32];
        (void)snprintf(id, sizeof(id), "sample-%d/DAPI", i);
        assert_int_equal(json_object_set_new(record, "task", json_string(id)), 0);
        replay(bench, "task_end", record);
    }
    size_t grown = mallinfo2().uordblks - before;
    assert_true(grown > 0 || getenv("ASAN_OPTIONS")); /* a sanitizer has an allocator of its own */
    assert_in_range(grown, 0, 4 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(final_verdicts, setup, teardown),
        cmocka_unit_test_setup_teardown(touched_inputs_are_compared_by_content, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_inputs_are_compared_by_content, setup, teardown),
        cmocka_unit_test_setup_teardown(inputs_without_a_hash_must_be_untouched, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_outputs_are_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(other_work_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_running_when_it_died, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thousand_tasks_take_little_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
