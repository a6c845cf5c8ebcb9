/* See task_state.h. Every cell is written out: NO is a cell that would be a fault of the engine,
 * STAY is one where the event comes too late to matter (a limit runs out while the task is being
 * stopped already; the first reason stays). In the table's rows the state is the first index.
 */
#include "supervisor/engine/task_state.h"

#define NO(state)                                                                                  \
    { TASK_STATE_##state, TASK_ACTION_FORBIDDEN }
#define STAY(state)                                                                                \
    { TASK_STATE_##state, TASK_ACTION_NONE }
#define GO(state, action)                                                                          \
    { TASK_STATE_##state, TASK_ACTION_##action }

static const struct task_state_step table[TASK_STATE_COUNT][TASK_EVENT_COUNT] =
    {
        [TASK_STATE_WAITING] =
            {
                [TASK_EVENT_ADMIT] = GO(RUNNING, START),
                [TASK_EVENT_REFUSE] = GO(RECORDING, JUDGE),
                [TASK_EVENT_LIMIT] = NO(WAITING),
                [TASK_EVENT_BREACH] = NO(WAITING),
                [TASK_EVENT_CANCEL] = GO(LEFT, LEAVE),
                [TASK_EVENT_CANCEL_NOW] = GO(LEFT, LEAVE),
                [TASK_EVENT_PRESSURE] = NO(WAITING),
                [TASK_EVENT_GRACE_OVER] = NO(WAITING),
                [TASK_EVENT_OVER] = NO(WAITING),
                [TASK_EVENT_RECORDED_FINAL] = NO(WAITING),
                [TASK_EVENT_RECORDED_RETRY] = NO(WAITING),
                [TASK_EVENT_RECORDED_LEFT] = NO(WAITING),
            },
        [TASK_STATE_RUNNING] =
            {
                [TASK_EVENT_ADMIT] = NO(RUNNING),
                [TASK_EVENT_REFUSE] = NO(RUNNING),
                [TASK_EVENT_LIMIT] = GO(STOPPING, TERMINATE),
                [TASK_EVENT_BREACH] = GO(KILLING, KILL),
                [TASK_EVENT_CANCEL] = GO(STOPPING, TERMINATE),
                [TASK_EVENT_CANCEL_NOW] = GO(KILLING, KILL),
                [TASK_EVENT_PRESSURE] = GO(STOPPING, TERMINATE),
                [TASK_EVENT_GRACE_OVER] = NO(RUNNING),
                [TASK_EVENT_OVER] = GO(RECORDING, JUDGE),
                [TASK_EVENT_RECORDED_FINAL] = NO(RUNNING),
                [TASK_EVENT_RECORDED_RETRY] = NO(RUNNING),
                [TASK_EVENT_RECORDED_LEFT] = NO(RUNNING),
            },
        [TASK_STATE_STOPPING] =
            {
                [TASK_EVENT_ADMIT] = NO(STOPPING),
                [TASK_EVENT_REFUSE] = NO(STOPPING),
                [TASK_EVENT_LIMIT] = STAY(STOPPING),
                [TASK_EVENT_BREACH] = GO(KILLING, KILL),
                [TASK_EVENT_CANCEL] = STAY(STOPPING),
                [TASK_EVENT_CANCEL_NOW] = GO(KILLING, KILL),
                [TASK_EVENT_PRESSURE] = STAY(STOPPING),
                [TASK_EVENT_GRACE_OVER] = GO(KILLING, KILL),
                [TASK_EVENT_OVER] = GO(RECORDING, JUDGE),
                [TASK_EVENT_RECORDED_FINAL] = NO(STOPPING),
                [TASK_EVENT_RECORDED_RETRY] = NO(STOPPING),
                [TASK_EVENT_RECORDED_LEFT] = NO(STOPPING),
            },
        [TASK_STATE_KILLING] =
            {
                [TASK_EVENT_ADMIT] = NO(KILLING),
                [TASK_EVENT_REFUSE] = NO(KILLING),
                [TASK_EVENT_LIMIT] = STAY(KILLING),
                [TASK_EVENT_BREACH] = STAY(KILLING),
                [TASK_EVENT_CANCEL] = STAY(KILLING),
                [TASK_EVENT_CANCEL_NOW] = STAY(KILLING),
                [TASK_EVENT_PRESSURE] = STAY(KILLING),
                [TASK_EVENT_GRACE_OVER] = NO(KILLING),
                [TASK_EVENT_OVER] = GO(RECORDING, JUDGE),
                [TASK_EVENT_RECORDED_FINAL] = NO(KILLING),
                [TASK_EVENT_RECORDED_RETRY] = NO(KILLING),
                [TASK_EVENT_RECORDED_LEFT] = NO(KILLING),
            },
        [TASK_STATE_RECORDING] =
            {
                [TASK_EVENT_ADMIT] = NO(RECORDING),
                [TASK_EVENT_REFUSE] = NO(RECORDING),
                [TASK_EVENT_LIMIT] = NO(RECORDING),
                [TASK_EVENT_BREACH] = NO(RECORDING),
                [TASK_EVENT_CANCEL] = STAY(RECORDING),
                [TASK_EVENT_CANCEL_NOW] = STAY(RECORDING),
                [TASK_EVENT_PRESSURE] = NO(RECORDING),
                [TASK_EVENT_GRACE_OVER] = NO(RECORDING),
                [TASK_EVENT_OVER] = NO(RECORDING),
                [TASK_EVENT_RECORDED_FINAL] = GO(FINISHED, PUBLISH),
                [TASK_EVENT_RECORDED_RETRY] = GO(WAITING, REQUEUE),
                [TASK_EVENT_RECORDED_LEFT] = GO(LEFT, LEAVE),
            },
        [TASK_STATE_FINISHED] =
            {
                [TASK_EVENT_ADMIT] = NO(FINISHED),
                [TASK_EVENT_REFUSE] = NO(FINISHED),
                [TASK_EVENT_LIMIT] = NO(FINISHED),
                [TASK_EVENT_BREACH] = NO(FINISHED),
                [TASK_EVENT_CANCEL] = STAY(FINISHED),
                [TASK_EVENT_CANCEL_NOW] = STAY(FINISHED),
                [TASK_EVENT_PRESSURE] = NO(FINISHED),
                [TASK_EVENT_GRACE_OVER] = NO(FINISHED),
                [TASK_EVENT_OVER] = NO(FINISHED),
                [TASK_EVENT_RECORDED_FINAL] = NO(FINISHED),
                [TASK_EVENT_RECORDED_RETRY] = NO(FINISHED),
                [TASK_EVENT_RECORDED_LEFT] = NO(FINISHED),
            },
        [TASK_STATE_LEFT] =
            {
                [TASK_EVENT_ADMIT] = NO(LEFT),
                [TASK_EVENT_REFUSE] = NO(LEFT),
                [TASK_EVENT_LIMIT] = NO(LEFT),
                [TASK_EVENT_BREACH] = NO(LEFT),
                [TASK_EVENT_CANCEL] = STAY(LEFT),
                [TASK_EVENT_CANCEL_NOW] = STAY(LEFT),
                [TASK_EVENT_PRESSURE] = NO(LEFT),
                [TASK_EVENT_GRACE_OVER] = NO(LEFT),
                [TASK_EVENT_OVER] = NO(LEFT),
                [TASK_EVENT_RECORDED_FINAL] = NO(LEFT),
                [TASK_EVENT_RECORDED_RETRY] = NO(LEFT),
                [TASK_EVENT_RECORDED_LEFT] = NO(LEFT),
            },
};

static const char *const state_names[TASK_STATE_COUNT] = {
    [TASK_STATE_WAITING] = "waiting",     [TASK_STATE_RUNNING] = "running",
    [TASK_STATE_STOPPING] = "stopping",   [TASK_STATE_KILLING] = "killing",
    [TASK_STATE_RECORDING] = "recording", [TASK_STATE_FINISHED] = "finished",
    [TASK_STATE_LEFT] = "left",
};

static const char *const event_names[TASK_EVENT_COUNT] = {
    [TASK_EVENT_ADMIT] = "admit",
    [TASK_EVENT_REFUSE] = "refuse",
    [TASK_EVENT_LIMIT] = "limit",
    [TASK_EVENT_BREACH] = "breach",
    [TASK_EVENT_CANCEL] = "cancel",
    [TASK_EVENT_CANCEL_NOW] = "cancel-now",
    [TASK_EVENT_PRESSURE] = "pressure",
    [TASK_EVENT_GRACE_OVER] = "grace-over",
    [TASK_EVENT_OVER] = "over",
    [TASK_EVENT_RECORDED_FINAL] = "recorded-final",
    [TASK_EVENT_RECORDED_RETRY] = "recorded-retry",
    [TASK_EVENT_RECORDED_LEFT] = "recorded-left",
};

struct task_state_step task_state_step(enum task_state state, enum task_event event) {
    return table[state][event];
}

const char *task_state_name(enum task_state state) { return state_names[state]; }

const char *task_state_event_name(enum task_event event) { return event_names[event]; }
