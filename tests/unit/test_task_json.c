/* A task goes through its JSON and comes back the same; what a stranger could send is refused. */
#include "supervisor/batch/task_json.h"

#include "tests/unit/folder_fixture.h"

#include "common/names.h"

static void a_command_comes_back(void **state) {
    (void)state;
    const char *words[] = {"/bin/sh", "-c", "true", NULL};
    const char *env[] = {"A=1", "B=x=y", NULL};
    const char *inputs[] = {"/data/a", "/data/b", NULL};
    const struct task task = {
        .id = (char *)"any/thing",
        .kind = TASK_COMMAND,
        .kind_name = (char *)"our-script",
        .command = (char **)words,
        .cwd = (char *)"/data",
        .env = (char **)env,
        .inputs = (char **)inputs,
        .n_inputs = 2,
        .timeout_ms = 90000,
        .memory_bytes = 1 << 30,
    };
    const struct forecast_task need = {.size = 1234.5, .declared_bytes = 1 << 30};
    CLEANUP_JSON json_t *object = task_json_make(&task, &need);
    CLEANUP(task_free) struct task back = {0};
    struct forecast_task needed = {0};
    struct failure failure = {0};
    assert_int_equal(task_json_read(object, "line 1", &back, &needed, &failure), 0);
    assert_string_equal(back.id, task.id);
    assert_int_equal(back.kind, TASK_COMMAND);
    assert_string_equal(back.kind_name, "our-script");
    assert_string_equal(back.cwd, "/data");
    assert_int_equal(names_count(back.command), 3);
    assert_string_equal(back.command[2], "true");
    assert_string_equal(back.env[1], "B=x=y");
    assert_int_equal(back.n_inputs, 2);
    assert_string_equal(back.inputs[1], "/data/b");
    assert_int_equal(back.timeout_ms, 90000);
    assert_int_equal(back.memory_bytes, 1 << 30);
    assert_int_equal(needed.declared_bytes, 1 << 30);
    assert_true(needed.size == 1234.5);
    assert_false(needed.is_pair);
}

static void a_pair_comes_back(void **state) {
    (void)state;
    const char *inputs[] = {"/raw/pre.tif", "/raw/post.tif", NULL};
    CLEANUP_JSON json_t *params = params_defaults();
    struct params parsed;
    struct failure failure = {0};
    assert_int_equal(params_parse(params, &parsed, &failure), 0);
    const struct task task = {
        .id = (char *)"S1/DAPI@pad=2",
        .shared = (char *)"S1/DAPI@shared",
        .kind = TASK_ALIGN,
        .kind_name = (char *)"align",
        .inputs = (char **)inputs,
        .n_inputs = 2,
        .params = params,
    };
    const struct footprint_image pre = {30000, 25000, 3, 8, 196608, 1 << 20, false};
    const struct footprint_image post = {29000, 24000, 1, 16, 0, 0, true};
    struct forecast_task need = forecast_pair(&pre, &post, &parsed);
    need.pair.has_map = true;
    need.pair.n_ahead = 3;
    CLEANUP_JSON json_t *object = task_json_make(&task, &need);
    CLEANUP(task_free) struct task back = {0};
    struct forecast_task needed = {0};
    assert_int_equal(task_json_read(object, "line 1", &back, &needed, &failure), 0);
    assert_int_equal(back.kind, TASK_ALIGN);
    assert_string_equal(back.inputs[0], "/raw/pre.tif");
    assert_true(json_equal(back.params, params));
    assert_true(needed.is_pair);
    assert_int_equal(needed.pair.pre.width, 30000);
    assert_int_equal(needed.pair.pre.block_bytes, 196608);
    assert_int_equal(needed.pair.post.bits, 16);
    assert_true(needed.pair.post.scratch);
    assert_true(needed.size == need.size);
    assert_string_equal(back.shared, "S1/DAPI@shared");
    assert_int_equal(needed.pair.n_ahead, 3);
    assert_true(needed.pair.has_map && !needed.pair.has_signal && !needed.pair.has_picture);
}

static void a_broken_one_comes_back(void **state) {
    (void)state;
    const struct task task = {.id = (char *)"S1/x",
                              .kind_name = (char *)"align",
                              .broken = (char *)"half a p\xff"
                                                "ir"};
    CLEANUP_JSON json_t *object = task_json_make(&task, NULL);
    CLEANUP(task_free) struct task back = {0};
    struct forecast_task needed = {0};
    struct failure failure = {0};
    assert_int_equal(task_json_read(object, "line 1", &back, &needed, &failure), 0);
    assert_string_equal(back.broken, "half a p\\xffir");
}

static void strangers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"[]", "a task must be an object"},
        {"{}", "\"id\" is missing"},
        {"{'id':'../x','command':['a'],'kind':'a','cwd':'/'}", "\".\" or \"..\""},
        {"{'id':'x','shell':'rm'}", "unknown key \"shell\""},
        {"{'id':'x','command':[],'kind':'a','cwd':'/'}", "must begin with a program"},
        {"{'id':'x','command':[''],'kind':'a','cwd':'/'}", "must begin with a program"},
        {"{'id':'x','command':'sh','kind':'a','cwd':'/'}", "must be a list of strings"},
        {"{'id':'x','command':['sh',1],'kind':'a','cwd':'/'}", "only strings"},
        {"{'id':'x','command':['sh'],'kind':'','cwd':'/'}", "must be a name"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'here'}", "absolute"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/a\\nb'}", "control characters"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/','inputs':['a']}", "absolute"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/','env':['=x']}", "NAME=VALUE"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/','env':['REGISTRAR_WORKER=/x']}",
         "REGISTRAR_"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/','memory_bytes':-1}", "must lie in"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/','timeout_ms':0}", "must lie in"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/','need':{'size':-1}}", "out of range"},
        {"{'id':'x','command':['sh'],'kind':'a','cwd':'/','need':[]}", "\"size\" is missing"},
        {"{'id':'x'}", "\"pre\" is missing"},
        {"{'id':'x','pre':'/a','post':'b'}", "absolute"},
        {"{'id':'x','pre':'/a','post':'/b'}", "\"params\" must be an object"},
        {"{'id':'x','pre':'/a','post':'/b','params':{}}", "parameter pad is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *text = strdup(cases[i].text);
        for (char *at = text; *at; at++)
            *at = *at == '\'' ? '"' : *at;
        CLEANUP_JSON json_t *object = json_loads(text, 0, NULL);
        struct task task = {0};
        struct forecast_task need = {0};
        struct failure failure = {0};
        assert_non_null(object);
        assert_true(task_json_read(object, "line 7", &task, &need, &failure) < 0);
        assert_null(task.id);
        if (!strstr(failure.text, cases[i].sentence) || strncmp(failure.text, "line 7: ", 8) != 0)
            fail_msg("%s: %s", cases[i].text, failure.text);
    }
}

/* What is removed in the end must be the variant's own. */
static void a_foreign_folder_is_refused(void **state) {
    (void)state;
    static const char *const cases[] = {"S/E@shared",      "@shared",    "S/D",
                                        "S@shared",        "S/D@shareD", "S/D@shared/",
                                        "S/D@pad=1@shared"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_JSON json_t *object =
            json_pack("{s:s, s:s, s:s, s:o, s:s}", "id", "S/D@pad=1", "pre", "/a", "post", "/b",
                      "params", params_defaults(), "shared", cases[i]);
        struct task task = {0};
        struct forecast_task need = {0};
        struct failure failure = {0};
        assert_int_equal(task_json_read(object, "line 7", &task, &need, &failure), -EINVAL);
        assert_non_null(strstr(failure.text, "\"shared\" must be the id with @shared"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_comes_back),        cmocka_unit_test(a_pair_comes_back),
        cmocka_unit_test(a_broken_one_comes_back),     cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(a_foreign_folder_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("task_json", tests, NULL, NULL);
}
