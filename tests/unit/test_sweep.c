/* sweep: names of variants, all combinations, and what is refused. What becomes of the command line
 * is in tests/integration/test_sweep.py. */
#include "supervisor/batch/sweep.h"

#include "common/names.h"
#include "common/params.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the standard ones first */
#include <cmocka.h>

static void add_pair(struct task_list *tasks, const char *id) {
    struct task *task = task_list_append(tasks);
    assert_non_null(task);
    *task = (struct task){.id = strdup(id),
                          .kind = TASK_ALIGN,
                          .kind_name = strdup("align"),
                          .n_inputs = 2,
                          .params = params_defaults(),
                          .timeout_ms = 7};
    assert_int_equal(names_append(&task->inputs, "/raw/pre.tif"), 0);
    assert_int_equal(names_append(&task->inputs, "/raw/post.tif"), 0);
}

static void all_combinations(void **state) {
    (void)state;
    CLEANUP(sweep_free) struct sweep sweep = {0};
    CLEANUP(task_list_free) struct task_list tasks = {0};
    struct failure failure = {0};
    static const char *const ids[] = {
        "S/D@scale_max=1.1,channel=0+2", "S/D@scale_max=1.1,channel=auto",
        "S/D@scale_max=2,channel=0+2",   "S/D@scale_max=2,channel=auto",
        "S/E@scale_max=1.1,channel=0+2", "S/E@scale_max=1.1,channel=auto",
        "S/E@scale_max=2,channel=0+2",   "S/E@scale_max=2,channel=auto"};
    assert_int_equal(sweep_add(&sweep, "scale_max=1.1,2", &failure), 0);
    assert_int_equal(sweep_add(&sweep, "channel=[0,2],auto", &failure), 0);
    add_pair(&tasks, "S/D");
    add_pair(&tasks, "S/E");
    CLEANUP_JSON json_t *defaults = params_defaults();
    assert_int_equal(sweep_check(&sweep, defaults, &failure), 0);
    assert_int_equal(sweep_apply(&sweep, &tasks, &failure), 0);
    assert_int_equal(tasks.count, ARRAY_LEN(ids));
    for (size_t i = 0; i < tasks.count; i++) {
        const struct task *task = &tasks.items[i];
        struct params params;
        assert_string_equal(task->id, ids[i]);
        assert_string_equal(task->shared, i < 4 ? "S/D@shared" : "S/E@shared");
        assert_string_equal(task->inputs[1], "/raw/post.tif");
        assert_int_equal(task->timeout_ms, 7);
        assert_int_equal(params_parse(task->params, &params, &failure), 0);
        assert_true(params.scale_max == (i % 4 < 2 ? 1.1 : 2));
        assert_int_equal(params.channel_auto, i % 2);
    }
}

static void commands_and_broken_pairs_stay(void **state) {
    (void)state;
    CLEANUP(sweep_free) struct sweep sweep = {0};
    CLEANUP(task_list_free) struct task_list tasks = {0};
    struct failure failure = {0};
    assert_int_equal(sweep_apply(&sweep, &tasks, &failure), 0); /* no axes */
    assert_int_equal(sweep_add(&sweep, "pad=1,2", &failure), 0);
    add_pair(&tasks, "S/D");
    tasks.items[0].broken = strdup("half a pair");
    struct task *command = task_list_append(&tasks);
    *command = (struct task){.id = strdup("c/1"), .kind = TASK_COMMAND};
    assert_int_equal(sweep_apply(&sweep, &tasks, &failure), 0);
    assert_int_equal(tasks.count, 2);
    assert_string_equal(tasks.items[0].id, "S/D");
    assert_null(tasks.items[0].shared);
    assert_string_equal(tasks.items[1].id, "c/1");
}

/* Names that would fall together, or are too long for a folder. */
static void folders_do_not_meet(void **state) {
    (void)state;
    static char long_id[300];
    memset(long_id, 'x', sizeof(long_id) - 1);
    memcpy(long_id, "S/", 2);
    long_id[255] = '\0';
    const struct {
        const char *other, *sentence;
    } cases[] = {
        {"S/D@pad=1", "two folders would be called S/D@pad=1"},
        {"S/D@shared", "two folders would be called S/D@shared"},
        {long_id, "more than 255 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(sweep_free) struct sweep sweep = {0};
        CLEANUP(task_list_free) struct task_list tasks = {0};
        struct failure failure = {0};
        assert_int_equal(sweep_add(&sweep, "pad=1,2", &failure), 0);
        add_pair(&tasks, "S/D");
        add_pair(&tasks, cases[i].other);
        if (i < 2) /* as it is, in the place of a pair that is swept */
            tasks.items[1].broken = strdup("half a pair");
        assert_true(sweep_apply(&sweep, &tasks, &failure) < 0);
        if (!strstr(failure.text, cases[i].sentence))
            fail_msg("%s: %s", cases[i].other, failure.text);
    }
}

static void out_of_range(void **state) {
    (void)state;
    static const struct {
        const char *texts[2], *sentence;
    } cases[] = {
        {{"pad"}, "\"pad\" has no values"},
        {{"=1"}, "\"=1\" has no values"},
        {{"pad=1,x"}, "pad is x; it must be a whole number"},
        {{"pad=1,"}, "pad is empty"},
        {{"paf=1"}, "unknown parameter \"paf\""},
        {{"scale_max=1,1.0"}, "scale_max has the value 1.0 twice"},
        {{"pad=1", "pad=2"}, "pad is given twice"},
        {{"channel=[0,0]"}, "channel is [0,0]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(sweep_free) struct sweep sweep = {0};
        struct failure failure = {0};
        int r = sweep_add(&sweep, cases[i].texts[0], &failure);
        if (cases[i].texts[1])
            r = sweep_add(&sweep, cases[i].texts[1], &failure);
        assert_int_equal(r, -EINVAL);
        if (!strstr(failure.text, cases[i].sentence))
            fail_msg("%s: %s", cases[i].texts[0], failure.text);
    }
}

static void combinations_make_sense(void **state) {
    (void)state;
    CLEANUP(sweep_free) struct sweep sweep = {0};
    CLEANUP_JSON json_t *params = params_defaults();
    struct failure failure = {0};
    assert_int_equal(sweep_add(&sweep, "scale_min=0.9,1.2", &failure), 0);
    assert_int_equal(sweep_add(&sweep, "scale_max=1.3,1.1", &failure), 0);
    assert_int_equal(sweep_check(&sweep, params, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "scale_min=1.2,scale_max=1.1: scale_min (1.2) is above"));
    assert_int_equal(params_set_text(params, "scale_min=0.7", "--set", &failure), 0);
    assert_int_equal(sweep_check(&sweep, params, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "--set and --sweep both give scale_min"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_combinations),        cmocka_unit_test(commands_and_broken_pairs_stay),
        cmocka_unit_test(folders_do_not_meet),     cmocka_unit_test(out_of_range),
        cmocka_unit_test(combinations_make_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
