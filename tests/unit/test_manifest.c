/* Manifests: what is read, and the sentence for each way to get one wrong. */
#include "supervisor/batch/manifest.h"

#include "common/params.h"
#include "tests/unit/folder_fixture.h"

static int read_text(const char *folder, const char *text, struct options *options,
                     struct task_list *tasks, struct failure *failure) {
    folder_write(folder, "m.json", text);
    options->manifest = names_format("%s/m.json", folder);
    options->params = params_defaults();
    return manifest_read(options, tasks, failure);
}

static void make_files(const char *folder) {
    folder_write(folder, "a.tif", "");
    folder_write(folder, "b.tif", "");
    folder_write(folder, "sub/run.sh", "#!/bin/sh\n");
}

static void pairs_and_commands(void **state) {
    CLEANUP(options_free) struct options options = {0};
    CLEANUP(task_list_free) struct task_list tasks = {0};
    struct failure failure = {0};
    make_files(*state);
    const int r = read_text(
        *state,
        "{\"tasks\":["
        "{\"id\":\"CD070/DAPI\",\"pre\":\"a.tif\",\"post\":\"./b.tif\",\"params\":{\"pad\":5},"
        " \"timeout\":\"30m\"},"
        "{\"id\":\"any/thing\",\"command\":[\"python3\",\"align.py\",\"x y\"],\"kind\":\"ours\","
        " \"inputs\":[\"a.tif\"],\"memory\":\"2G\",\"timeout\":\"10m\",\"cwd\":\"sub\","
        " \"env\":{\"OMP_NUM_THREADS\":\"1\",\"EMPTY\":\"\"}},"
        "{\"id\":\"bare\",\"command\":[\"sub/run.sh\"]}]}",
        &options, &tasks, &failure);
    assert_int_equal(r, 0);
    assert_int_equal(tasks.count, 3);
    const struct task *pair = &tasks.items[0], *command = &tasks.items[1], *bare = &tasks.items[2];
    CLEANUP_FREE char *a = names_format("%s/a.tif", (char *)*state);
    CLEANUP_FREE char *sub = names_format("%s/sub", (char *)*state);
    CLEANUP_FREE char *script = names_format("%s/sub/run.sh", (char *)*state);
    assert_int_equal(pair->kind, TASK_ALIGN);
    assert_string_equal(pair->kind_name, "align");
    assert_string_equal(pair->inputs[0], a);
    assert_in("/b.tif", pair->inputs[1]);
    assert_int_equal(pair->n_inputs, 2);
    assert_int_equal(pair->timeout_ms, 30 * 60 * 1000);
    assert_int_equal(json_integer_value(json_object_get(pair->params, "pad")), 5);
    assert_int_equal(json_integer_value(json_object_get(options.params, "pad")), 0);
    assert_int_equal(command->kind, TASK_COMMAND);
    assert_string_equal(command->kind_name, "ours");
    assert_string_equal(command->command[0], "python3"); /* PATH decides later */
    assert_string_equal(command->command[2], "x y");
    assert_null(command->command[3]);
    assert_string_equal(command->cwd, sub);
    assert_int_equal(command->memory_bytes, 2ULL << 30);
    assert_string_equal(command->env[0], "OMP_NUM_THREADS=1");
    assert_string_equal(command->env[1], "EMPTY=");
    assert_null(command->params);
    assert_string_equal(bare->kind_name, "run.sh");
    assert_string_equal(bare->command[0], script);
    assert_string_equal(bare->cwd, *state);
    assert_null(bare->env);
    assert_int_equal(bare->timeout_ms, 0);
}

#define TASKS(text) "{\"tasks\":[" text "]}"
#define PAIR(id) "{\"id\":\"" id "\",\"pre\":\"a.tif\",\"post\":\"b.tif\"}"
#define COMMAND(more) "{\"id\":\"c\",\"command\":[\"true\"]," more "}"

static void refused(void **state) {
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "m.json, line 1, column 0"},
        {"{\"tasks\":[", "m.json, line 1"},
        {"{\"tasks\":5}", "m.json: \"tasks\" must be a list of at least one task"},
        {"[]", "m.json: must be an object"},
        {"{}", "m.json: \"tasks\" must be a list of at least one task"},
        {TASKS(""), "m.json: \"tasks\" must be a list of at least one task"},
        {"{\"tasks\":[],\"jobs\":3}", "m.json: unknown key \"jobs\"; known are tasks"},
        {TASKS("3"), "m.json: task 1: a task must be an object"},
        {TASKS("{}"), "m.json: task 1: \"id\" is missing"},
        {TASKS("{\"id\":3}"), "m.json: task 1: \"id\" must be a string"},
        {TASKS(PAIR("../x")), "m.json: task 1: the id \"../x\" must not hold"},
        {TASKS(PAIR("x") ",{\"id\":\"y\"}"),
         "m.json: task 2 (y): has neither a pair (\"pre\" and \"post\") nor a \"command\""},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"command\":[\"true\"]}"),
         "task 1 (y): has both a pair (\"pre\", \"post\") and a \"command\""},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\"}"), "task 1 (y): \"post\" is missing"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":7}"),
         "task 1 (y): \"post\" must be a string"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"no.tif\"}"),
         "task 1 (y): \"post\" does not exist: "},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"no.tif\"}"),
         "/no.tif (paths are relative to the manifest)"},
        {TASKS("{\"id\":\"y\",\"pre\":\"sub\",\"post\":\"b.tif\"}"),
         "task 1 (y): \"pre\" is not a file: "},
        {TASKS("{\"id\":\"y\",\"pre\":\"\",\"post\":\"b.tif\"}"), "\"pre\" is an empty path"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a\\nb\",\"post\":\"b.tif\"}"), "control character"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"colour\":1}"),
         "task 1 (y): unknown key \"colour\"; known are id, pre, post, params, timeout, command"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"cwd\":\".\"}"),
         "task 1 (y): \"cwd\" belongs to a command, not to a pair of images"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"memory\":\"1G\"}"),
         "\"memory\" belongs to a command, not to a pair of images; --worker-memory caps the "
         "pairs"},
        {TASKS(COMMAND("\"params\":{}")),
         "task 1 (c): \"params\" belongs to a pair of images, not to a command"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"params\":{\"pda\":1}}"),
         "task 1 (y): unknown parameter \"pda\""},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"params\":{\"pad\":-1}}"),
         "task 1 (y): pad is -1; it must be"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"params\":[]}"),
         "task 1 (y): \"params\" must be an object"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"params\":{\"scale_min\":2}}"),
         "task 1 (y): scale_min (2) is above scale_max (1.25)"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"timeout\":\"soon\"}"),
         "task 1 (y): \"timeout\" is \"soon\"; give a duration above 0"},
        {TASKS("{\"id\":\"y\",\"pre\":\"a.tif\",\"post\":\"b.tif\",\"timeout\":30}"),
         "task 1 (y): \"timeout\" must be a string"},
        {TASKS("{\"id\":\"c\",\"command\":[]}"),
         "task 1 (c): \"command\" must be a list of words with a program first"},
        {TASKS("{\"id\":\"c\",\"command\":\"true\"}"),
         "task 1 (c): \"command\" must be a list of words with a program first"},
        {TASKS("{\"id\":\"c\",\"command\":[\"\"]}"), "with a program first"},
        {TASKS("{\"id\":\"c\",\"command\":[\"true\",3]}"),
         "task 1 (c): \"command\" must hold only strings; write numbers in quotes"},
        {TASKS("{\"id\":\"c\",\"command\":[\"./no.sh\"]}"),
         "task 1 (c): the program of \"command\" does not exist: "},
        {TASKS(COMMAND("\"memory\":\"lots\"")), "\"memory\" is \"lots\"; give a size"},
        {TASKS(COMMAND("\"memory\":\"0\"")), "\"memory\" is \"0\"; give a size"},
        {TASKS(COMMAND("\"kind\":\"\"")), "\"kind\" must be a name of 1 to 64 bytes"},
        {TASKS(COMMAND("\"kind\":\"align\"")), "not \"align\", which is registrar's own"},
        {TASKS(COMMAND("\"inputs\":\"a.tif\"")), "\"inputs\" must be a list of paths"},
        {TASKS(COMMAND("\"inputs\":[3]")), "\"inputs\" must hold only strings"},
        {TASKS(COMMAND("\"inputs\":[\"no.tif\"]")), "a file of \"inputs\" does not exist: "},
        {TASKS(COMMAND("\"cwd\":\"nowhere\"")), "\"cwd\" does not exist: "},
        {TASKS(COMMAND("\"cwd\":\"a.tif\"")), "\"cwd\" is not a folder: "},
        {TASKS(COMMAND("\"env\":[]")), "\"env\" must be an object, like"},
        {TASKS(COMMAND("\"env\":{\"A\":1}")), "\"env\": the value of A must be a string"},
        {TASKS(COMMAND("\"env\":{\"A=B\":\"1\"}")), "\"env\" cannot set \"A=B\""},
        {TASKS(COMMAND("\"env\":{\"REGISTRAR_ATTEMPT\":\"1\"}")),
         "\"env\" cannot set \"REGISTRAR_ATTEMPT\""},
        {TASKS(PAIR("x") "," PAIR("y") "," PAIR("x")),
         "m.json: tasks 1 and 3 have the same id \"x\"; each needs its own"},
        {TASKS(PAIR("x/y") "," PAIR("x-") "," PAIR("x")),
         "m.json: the results of task 1 (x/y) would lie inside those of task 3 (x)"},
        {"{\"tasks\":[{\"id\":\"x\",\"id\":\"y\"}]}", "duplicate"},
    };
    make_files(*state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(options_free) struct options options = {0};
        CLEANUP(task_list_free) struct task_list tasks = {0};
        struct failure failure = {0};
        print_message("%s\n", cases[i].text);
        assert_true(read_text(*state, cases[i].text, &options, &tasks, &failure) < 0);
        assert_in(cases[i].sentence, failure.text);
        assert_int_equal(tasks.count, 0);
    }
}

static void neighbours_do_not_collide(void **state) {
    CLEANUP(options_free) struct options options = {0};
    CLEANUP(task_list_free) struct task_list tasks = {0};
    struct failure failure = {0};
    make_files(*state);
    assert_int_equal(read_text(*state,
                               TASKS(PAIR("x/y") "," PAIR("x-/y") "," PAIR("x.") "," PAIR(
                                   "xx") "," PAIR("x/yy")),
                               &options, &tasks, &failure),
                     0);
    assert_int_equal(tasks.count, 5);
}

static void no_manifest(void **state) {
    CLEANUP(options_free) struct options options = {0};
    CLEANUP(task_list_free) struct task_list tasks = {0};
    struct failure failure = {0};
    options.manifest = names_format("%s/none.json", (char *)*state);
    assert_int_equal(manifest_read(&options, &tasks, &failure), -ENOENT);
    assert_in("none.json: No such file", failure.text);
}

int main(void) {
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(pairs_and_commands),
        WITH_FOLDER(refused),
        WITH_FOLDER(neighbours_do_not_collide),
        WITH_FOLDER(no_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
