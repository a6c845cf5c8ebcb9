/* task_state: every cell of the table, and that every life ends. */
#include "supervisor/engine/task_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

/* The table again as a picture, one row per state and one letter per event in their order:
 *   admit refuse limit breach cancel cancel-now pressure grace-over over final retry left
 * x forbidden, . nothing happens, s start, t terminate, k kill, j judge, p publish, q requeue,
 * l leave. Written from the contract's words, not from the table. */
static const char *const picture[TASK_STATE_COUNT] = {
    [TASK_STATE_WAITING] = "sjxxllxxxxxx",   [TASK_STATE_RUNNING] = "xxtktktxjxxx",
    [TASK_STATE_STOPPING] = "xx.k.k.kjxxx",  [TASK_STATE_KILLING] = "xx.....xjxxx",
    [TASK_STATE_RECORDING] = "xxxx..xxxpql", [TASK_STATE_FINISHED] = "xxxx..xxxxxx",
    [TASK_STATE_LEFT] = "xxxx..xxxxxx",
};

static const char letters[TASK_ACTION_COUNT] = {
    [TASK_ACTION_UNSET] = '?', [TASK_ACTION_FORBIDDEN] = 'x', [TASK_ACTION_NONE] = '.',
    [TASK_ACTION_START] = 's', [TASK_ACTION_TERMINATE] = 't', [TASK_ACTION_KILL] = 'k',
    [TASK_ACTION_JUDGE] = 'j', [TASK_ACTION_PUBLISH] = 'p',   [TASK_ACTION_REQUEUE] = 'q',
    [TASK_ACTION_LEAVE] = 'l',
};

/* Where an action leads, wherever it stands. */
static const enum task_state leads_to[TASK_ACTION_COUNT] = {
    [TASK_ACTION_START] = TASK_STATE_RUNNING,    [TASK_ACTION_TERMINATE] = TASK_STATE_STOPPING,
    [TASK_ACTION_KILL] = TASK_STATE_KILLING,     [TASK_ACTION_JUDGE] = TASK_STATE_RECORDING,
    [TASK_ACTION_PUBLISH] = TASK_STATE_FINISHED, [TASK_ACTION_REQUEUE] = TASK_STATE_WAITING,
    [TASK_ACTION_LEAVE] = TASK_STATE_LEFT,
};

static void every_cell(void **state) {
    (void)state;
    for (int from = 0; from < TASK_STATE_COUNT; from++)
        for (int event = 0; event < TASK_EVENT_COUNT; event++) {
            struct task_state_step step =
                task_state_step((enum task_state)from, (enum task_event)event);
            if (letters[step.action] != picture[from][event])
                print_message("%s + %s\n", task_state_name((enum task_state)from),
                              task_state_event_name((enum task_event)event));
            assert_int_equal(letters[step.action], picture[from][event]);
            bool stays = step.action == TASK_ACTION_FORBIDDEN || step.action == TASK_ACTION_NONE;
            assert_int_equal(step.next, stays ? (enum task_state)from : leads_to[step.action]);
        }
}

static void names(void **state) {
    (void)state;
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        assert_non_null(task_state_name((enum task_state)i));
    for (int i = 0; i < TASK_EVENT_COUNT; i++)
        assert_non_null(task_state_event_name((enum task_event)i));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
