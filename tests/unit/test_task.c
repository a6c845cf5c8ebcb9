/* Ids that may become folders and those that may not; the list. */
#include "supervisor/batch/task.h"

#include "tests/unit/folder_fixture.h"

static void ids(void **state) {
    (void)state;
    char long_part[300], long_id[1100];
    memset(long_part, 'x', sizeof(long_part) - 1);
    long_part[sizeof(long_part) - 1] = '\0';
    for (size_t i = 0; i + 1 < sizeof(long_id); i++)
        long_id[i] = i % 2 ? '/' : 'x';
    long_id[sizeof(long_id) - 1] = '\0';
    const struct {
        const char *id, *problem; /* NULL: fine */
    } cases[] = {
        {"CD070/DAPI", NULL},
        {"a", NULL},
        {"any/thing/at all", NULL},
        {".hidden/x", NULL},
        {"a/...", NULL},
        {"a/ledger.jsonl", NULL},
        {"", "must not be empty"},
        {"/etc", "must not begin or end with \"/\""},
        {"a/", "must not begin or end with \"/\""},
        {"a//b", "hold \"//\""},
        {".", "\".\" or \"..\""},
        {"a/../../etc", "\".\" or \"..\""},
        {"a/-rf", "begins with \"-\""},
        {"a\nb", "a\\x0ab"},
        {"a\nb", "control characters"},
        {"\xff", "UTF-8"},
        {"ledger.jsonl", "registrar itself keeps"},
        {"ledger.jsonl.set-aside/x", "registrar itself keeps"},
        {"summary.json", "registrar itself keeps"},
        {long_part, "255 bytes"},
        {long_id, "longer than 1000 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct failure failure = {0};
        const int r = task_check_id(cases[i].id, "m.json: task 7", &failure);
        assert_int_equal(r, cases[i].problem ? -EINVAL : 0);
        if (!cases[i].problem)
            continue;
        assert_in(cases[i].problem, failure.text);
        assert_in("m.json: task 7: the id ", failure.text);
    }
}

static void the_list(void **state) {
    (void)state;
    CLEANUP(task_list_free) struct task_list list = {0};
    for (int i = 0; i < 1000; i++) {
        struct task *task = task_list_append(&list);
        assert_non_null(task);
        assert_null(task->broken);
        task->id = names_format("%03d", 999 - i);
    }
    task_list_sort(&list);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(atoi(list.items[i].id), i);
    assert_ptr_equal(task_list_find(&list, "500"), &list.items[500]);
    assert_null(task_list_find(&list, "1000"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
