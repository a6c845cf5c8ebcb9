/* pressure: when to hold, whom to stop, when to go on again; and that it does not flap. */
#include "supervisor/memory/pressure.h"

#include "common/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* 400, 200 and 100 MiB */
static const struct pressure_marks marks = {400 * MIB, 200 * MIB, 100 * MIB};
enum { NOW = 100000 };

#define PAIR(age)                                                                                  \
    { .age_ms = (age), .keeps_progress = true }
#define COMMAND(age)                                                                               \
    { .age_ms = (age) }
#define HELD                                                                                       \
    { .is_held = true, .held_ms = NOW - 5000, .short_ms = NOW - 100 }
#define HELD_CALM(ms)                                                                              \
    { .is_held = true, .held_ms = NOW - 60000, .short_ms = NOW - (ms) }

static const struct {
    const char *what;
    struct pressure_state state;
    uint64_t available_mib;
    int64_t stall_ms; /* ago; 0: never */
    struct pressure_task tasks[3];
    size_t n_tasks;
    enum pressure_action action;
    size_t task;
} table[] = {
    {"plenty", {0}, 8000, 0, {PAIR(5)}, 1, PRESSURE_GO_ON, 0},
    {"just enough", {0}, 400, 0, {PAIR(5)}, 1, PRESSURE_GO_ON, 0},
    {"little", {0}, 399, 0, {PAIR(5)}, 1, PRESSURE_HOLD, 0},
    {"next to nothing: first hold", {0}, 1, 0, {PAIR(5)}, 1, PRESSURE_HOLD, 0},
    {"nothing runs", {0}, 1, 0, {{0}}, 0, PRESSURE_HOLD, 0},
    {"stalls, much there: files", {0}, 1600, 1, {PAIR(5)}, 1, PRESSURE_GO_ON, 0},
    {"stalls, not much there", {0}, 1599, 1, {PAIR(5)}, 1, PRESSURE_HOLD, 0},
    {"old stalls", {0}, 1599, PRESSURE_STALL_MS, {PAIR(5)}, 1, PRESSURE_GO_ON, 0},

    {"held, little", HELD, 200, 0, {PAIR(5), PAIR(6)}, 2, PRESSURE_GO_ON, 0},
    {"the youngest", HELD, 199, 0, {PAIR(7), PAIR(5), PAIR(6)}, 3, PRESSURE_STOP, 1},
    {"a pair before a command", HELD, 199, 0, {PAIR(7), COMMAND(1)}, 2, PRESSURE_STOP, 0},
    {"even when critical", HELD, 1, 0, {COMMAND(1), PAIR(7)}, 2, PRESSURE_STOP, 1},
    {"no command", HELD, 199, 0, {COMMAND(5), COMMAND(6)}, 2, PRESSURE_GO_ON, 0},
    {"unless critical", HELD, 99, 0, {COMMAND(6), COMMAND(5)}, 2, PRESSURE_STOP, 1},
    {"not the last", HELD, 199, 0, {PAIR(5)}, 1, PRESSURE_GO_ON, 0},
    {"unless critical, too", HELD, 99, 0, {PAIR(5)}, 1, PRESSURE_STOP, 0},
    {"a last command", HELD, 99, 0, {COMMAND(5)}, 1, PRESSURE_STOP, 0},
    {"but not for ever",
     HELD,
     99,
     0,
     {{.age_ms = 5, .keeps_progress = true, .stops = PRESSURE_MOST_STOPS}},
     1,
     PRESSURE_GO_ON,
     0},
    {"the one in stopping counts first",
     HELD,
     199,
     0,
     {PAIR(5), {.age_ms = 4, .keeps_progress = true, .is_stopping = true}, PAIR(6)},
     3,
     PRESSURE_GO_ON,
     0},
    {"another, when critical",
     HELD,
     99,
     0,
     {PAIR(5), {.age_ms = 4, .keeps_progress = true, .is_stopping = true}, PAIR(6)},
     3,
     PRESSURE_STOP,
     0},
    {"not at once after a stop",
     {.is_held = true, .held_ms = NOW - 5000, .stop_ms = NOW - PRESSURE_PAUSE_MS + 1},
     1,
     0,
     {PAIR(5), PAIR(6)},
     2,
     PRESSURE_GO_ON,
     0},
    {"after a while",
     {.is_held = true, .held_ms = NOW - 5000, .stop_ms = NOW - PRESSURE_PAUSE_MS},
     1,
     0,
     {PAIR(5), PAIR(6)},
     2,
     PRESSURE_STOP,
     0},
    {"it stalls on", HELD, 799, 1, {PAIR(5), PAIR(6)}, 2, PRESSURE_STOP, 0},
    {"more is there", HELD, 800, 1, {PAIR(5), PAIR(6)}, 2, PRESSURE_GO_ON, 0},
    {"it has just begun to",
     {.is_held = true, .held_ms = NOW - 100, .short_ms = NOW - 100},
     799,
     1,
     {PAIR(5), PAIR(6)},
     2,
     PRESSURE_GO_ON,
     0},

    {"twice as much, too soon",
     HELD_CALM(PRESSURE_CALM_MS - 1),
     900,
     0,
     {PAIR(5)},
     1,
     PRESSURE_GO_ON,
     0},
    {"twice as much", HELD_CALM(PRESSURE_CALM_MS), 800, 0, {PAIR(5)}, 1, PRESSURE_RESUME, 0},
    {"not twice", HELD_CALM(60000), 799, 0, {PAIR(5)}, 1, PRESSURE_GO_ON, 0},
    {"not twice, but nothing runs",
     HELD_CALM(PRESSURE_EMPTY_MS),
     400,
     0,
     {{0}},
     0,
     PRESSURE_RESUME,
     0},
    {"others have it all", HELD_CALM(60000), 399, 0, {{0}}, 0, PRESSURE_GO_ON, 0},
};

static void rows(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct pressure_facts facts = {
            .now_ms = NOW,
            .available_bytes = table[i].available_mib * MIB,
            .stall_ms = table[i].stall_ms > 0 ? NOW - table[i].stall_ms : 0,
            .tasks = table[i].tasks,
            .n_tasks = table[i].n_tasks,
        };
        const struct pressure_step step = pressure_decide(&table[i].state, &marks, &facts);
        if (step.action != table[i].action)
            print_message("%s\n", table[i].what);
        assert_int_equal(step.action, table[i].action);
        if (step.action == PRESSURE_STOP)
            assert_int_equal(step.task, table[i].task);
        assert_int_equal(step.next.is_held,
                         step.action == PRESSURE_HOLD ||
                             (table[i].state.is_held && step.action != PRESSURE_RESUME));
    }
}

/* How often each is done in ten minutes, looked at ten times a second; a stopped task is gone at
 * once. */
static void play(uint64_t (*available)(int64_t ms, size_t n_tasks), size_t n_tasks,
                 int counts[PRESSURE_COUNT]) {
    struct pressure_task tasks[4] = {PAIR(1), PAIR(2), PAIR(3), PAIR(4)};
    struct pressure_state state = {0};
    for (int64_t ms = 1; ms < 600000; ms += 100) {
        const struct pressure_facts facts = {
            .now_ms = ms,
            .available_bytes = available(ms, n_tasks),
            .tasks = tasks,
            .n_tasks = n_tasks,
        };
        const struct pressure_step step = pressure_decide(&state, &marks, &facts);
        state = step.next;
        counts[step.action]++;
        n_tasks -= step.action == PRESSURE_STOP;
    }
}

static uint64_t around_the_mark(int64_t ms, size_t n_tasks) {
    (void)n_tasks;
    return (ms / 100 % 2 ? 390 : 900) * MIB;
}

static uint64_t two_needed(int64_t ms, size_t n_tasks) {
    (void)ms;
    return (1000 - 220 * n_tasks) * MIB; /* 120 with four, 340 with three, 560 with two */
}

static uint64_t slow_waves(int64_t ms, size_t n_tasks) {
    (void)n_tasks;
    return (ms / 60000 % 2 ? 300 : 1000) * MIB; /* a minute of each */
}

static void no_flapping(void **state) {
    (void)state;
    int noisy[PRESSURE_COUNT] = {0}, enough[PRESSURE_COUNT] = {0}, waves[PRESSURE_COUNT] = {0};
    play(around_the_mark, 4, noisy);
    assert_int_equal(noisy[PRESSURE_HOLD], 1);
    assert_int_equal(noisy[PRESSURE_STOP], 0);
    assert_int_equal(noisy[PRESSURE_RESUME], 0);
    play(two_needed, 4, enough);
    assert_int_equal(enough[PRESSURE_HOLD], 1);
    assert_int_equal(enough[PRESSURE_STOP], 1); /* one is enough */
    play(slow_waves, 4, waves);
    assert_int_equal(waves[PRESSURE_HOLD], 5);
    assert_int_equal(waves[PRESSURE_RESUME], 4);
    assert_int_equal(waves[PRESSURE_STOP], 0);
}

static void the_marks(void **state) {
    (void)state;
    assert_int_equal(pressure_marks(16 * GIB).hold_bytes, 512 * MIB);
    assert_int_equal(pressure_marks(1024 * GIB).hold_bytes, 2 * GIB);
    assert_int_equal(pressure_marks(512 * MIB).hold_bytes, 32 * MIB);
    assert_int_equal(pressure_marks(80 * MIB).hold_bytes, 10 * MIB);
    assert_int_equal(pressure_marks(0).hold_bytes, 0);
    assert_int_equal(pressure_marks(16 * GIB).stop_bytes, 256 * MIB);
    assert_int_equal(pressure_marks(16 * GIB).critical_bytes, 128 * MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(no_flapping),
        cmocka_unit_test(the_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
