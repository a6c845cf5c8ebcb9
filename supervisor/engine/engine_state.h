/* What the engine's files share: the run's state, and the doors between them.
 *
 * engine.c runs the loop and decides what starts; engine_queue.c knows who waits, and what each is
 * expected to need; engine_task.c takes one task through its states; engine_view.c tells of it all.
 */
#ifndef SUPERVISOR_ENGINE_ENGINE_STATE_H
#define SUPERVISOR_ENGINE_ENGINE_STATE_H

#include "supervisor/engine/admission.h"
#include "supervisor/engine/attempt.h"
#include "supervisor/engine/engine.h"
#include "supervisor/engine/groups.h"
#include "supervisor/engine/interrupt.h"
#include "supervisor/ledger/ledger_commit.h"
#include "supervisor/memory/pressure.h"
#include "supervisor/memory/trace_report.h"
#include "supervisor/memory/watch.h"
#include "supervisor/report/live_view.h"

struct engine_slot {
    struct engine *engine;
    size_t index; /* of the task */
    enum task_state state;
    struct attempt *attempt;  /* while it runs */
    struct forecast forecast; /* as the model sees it now */
    uint64_t reserved_bytes;  /* while it waits or runs */
    uint64_t promised_bytes;  /* reserved as it was started; 0: nothing was known */
    char *refusal;            /* it can never fit, as was learned on the way; owned */
    int tries;                /* in this run; what memory pressure stopped is none */
    int ooms;                 /* of the tries: ran out of memory */
    int stops;                /* by memory pressure, in this run */
    uint64_t floor_bytes;     /* it was seen to need more than its forecast; 0: it was not */
    bool is_alone;            /* its last chance: with all of the budget */
    int attempts;             /* in all runs */
    enum task_event recorded; /* what to do once its records are on disk */
    char *line;               /* and what to say then; owned */
};

struct engine {
    const struct engine_request *request;
    struct engine_outcome *outcome;
    uv_loop_t loop;
    uv_timer_t tick;
    struct interrupt interrupt;
    struct attempt_host host;
    struct groups groups;
    struct ledger_commit *commit;
    struct live_view *view;
    struct engine_slot *slots;           /* one per task */
    struct admission_candidate *waiting; /* sorted; see engine_queue.c */
    size_t first_waiting, n_waiting;
    int passed_over;       /* how often the first in line was */
    uint64_t budget_bytes; /* as the machine is now; at most the pre-flight's */
    uint64_t available_bytes;
    int64_t budget_read_ms;
    struct engine_slot **running;
    struct live_view_task *view_tasks; /* as many as jobs */
    size_t n_running;
    size_t n_recording;
    int64_t started_ms;
    struct trace_report *memory_report; /* NULL: not asked for */
    char batch_id[32];
    int level;             /* of interruption */
    bool disk_full;        /* says the ledger */
    bool memory_short;     /* others have it */
    uint64_t space_needed; /* a worker failed for lack of it: wait until it is there; 0: no */
    bool ending;           /* the last record is on its way */
    struct watch *watch;
    struct pressure_marks marks;
    struct pressure_state pressure;
    struct pressure_task *pressed; /* as many as jobs */
    char shortage[64];             /* of memory, as attempt_terminate wants it */
    bool closed;                   /* handles are closing */
    size_t ok, problems;           /* finished */
    char notice[FAILURE_TEXT_BYTES];
};

static inline const struct task *engine_state_task(const struct engine_slot *slot) {
    return &slot->engine->request->tasks->items[slot->index];
}

static inline struct engine_result *engine_state_result(const struct engine_slot *slot) {
    return &slot->engine->outcome->results[slot->index];
}

static inline const struct preflight_task *engine_state_forecast(const struct engine_slot *slot) {
    return &slot->engine->request->preflight->tasks[slot->index];
}

/* engine.c: after anything that happened: start what may start, and end when all is done. */
void engine_go_on(struct engine *engine);
void engine_fail(struct engine *engine, const char *what); /* a fault of registrar itself */
/* Takes fields; NULL is a fault. */
void engine_append(struct engine *engine, const char *event, json_t *fields,
                   ledger_commit_done_cb done, void *context);

/* engine_queue.c */
void engine_queue_fill(struct engine *engine);
void engine_queue_add(struct engine_slot *slot);
void engine_queue_clear(struct engine *engine);
uint64_t engine_queue_reserved(const struct engine *engine); /* by all that run */
/* The one to start now, taken out of the line; NULL: none. */
struct engine_slot *engine_queue_take(struct engine *engine);
/* An attempt is over: the model learns, and what waits or runs is forecast anew if that matters. */
void engine_queue_learn(struct engine_slot *slot, const struct attempt_result *result);

/* engine_task.c */
void engine_task_step(struct engine_slot *slot, enum task_event event);

/* engine_memory.c: --memory-trace */
MUST_USE int engine_memory_open(struct engine *engine, struct failure *failure);
void engine_memory_before(struct engine_slot *slot);
void engine_memory_after(struct engine_slot *slot, const struct attempt_result *result);
void engine_memory_close(struct engine *engine); /* while there still is a trace */

/* engine_watch.c: memory that runs short. */
int engine_watch_open(struct engine *engine);
void engine_watch_update(struct engine *engine); /* after anything that happened */
void engine_watch_close(struct engine *engine);

/* engine_view.c */
void engine_view_snapshot(void *context, struct live_view_snapshot *ret);
/* The event's line, to be told once the record is on disk. Out of memory: it is not told. */
void engine_view_prepare(struct engine_slot *slot, const struct attempt_result *result,
                         const char *more);
void engine_view_tell(struct engine_slot *slot);
/* A notice stays in the live view until it is replaced or ends, and is an event too. */
void engine_view_notify(struct engine *engine, const char *text);
void engine_view_end_notice(struct engine *engine, const char *text);

#endif
