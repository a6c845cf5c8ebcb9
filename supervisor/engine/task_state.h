/* A task's life: one table, state x event -> state + action. Pure; the engine does what it says.
 *
 *     waiting -> running -> recording -> finished
 *        ^          |           |  |
 *        |   stopping, killing  |  +-> left (interrupted: the next run does it)
 *        +----------------------+ (another try)
 */
#ifndef SUPERVISOR_ENGINE_TASK_STATE_H
#define SUPERVISOR_ENGINE_TASK_STATE_H

enum task_state {
    TASK_STATE_WAITING,
    TASK_STATE_RUNNING,
    TASK_STATE_STOPPING,  /* asked by SIGTERM; the grace period runs */
    TASK_STATE_KILLING,   /* SIGKILL went to all of it */
    TASK_STATE_RECORDING, /* the attempt is over and on its way into the ledger */
    TASK_STATE_FINISHED,  /* its verdict is on disk */
    TASK_STATE_LEFT,      /* for the next run */
    TASK_STATE_COUNT
};

enum task_event {
    TASK_EVENT_ADMIT,
    TASK_EVENT_REFUSE,     /* it cannot even start: a broken pair */
    TASK_EVENT_LIMIT,      /* over its time, or no progress */
    TASK_EVENT_BREACH,     /* it broke the protocol */
    TASK_EVENT_CANCEL,     /* the user asks to stop */
    TASK_EVENT_CANCEL_NOW, /* the user insists */
    TASK_EVENT_PRESSURE,   /* memory runs short and this one is to give way */
    TASK_EVENT_GRACE_OVER,
    TASK_EVENT_OVER,           /* exit seen, end of reports seen, nothing of it is left */
    TASK_EVENT_RECORDED_FINAL, /* on disk */
    TASK_EVENT_RECORDED_RETRY,
    TASK_EVENT_RECORDED_LEFT,
    TASK_EVENT_COUNT
};

enum task_action {
    TASK_ACTION_UNSET, /* no cell has it: the test would tell */
    TASK_ACTION_FORBIDDEN,
    TASK_ACTION_NONE,
    TASK_ACTION_START,
    TASK_ACTION_TERMINATE, /* SIGTERM to the group, start the grace period */
    TASK_ACTION_KILL,      /* SIGKILL to everything */
    TASK_ACTION_JUDGE,     /* verdict, then into the ledger */
    TASK_ACTION_PUBLISH,
    TASK_ACTION_REQUEUE,
    TASK_ACTION_LEAVE,
    TASK_ACTION_COUNT
};

struct task_state_step {
    enum task_state next;
    enum task_action action;
};

struct task_state_step task_state_step(enum task_state state, enum task_event event);
const char *task_state_name(enum task_state state);
const char *task_state_event_name(enum task_event event);

#endif
