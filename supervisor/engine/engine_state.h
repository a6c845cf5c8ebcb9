/* What the engine's files share: its state, and the doors between them.
 *
 * engine.c opens, closes and decides when something starts; engine_line.c has the lines and their
 * tasks; engine_queue.c knows who waits, and what each is expected to need; engine_task.c takes one
 * task through its states; engine_look.c and engine_tell.c tell of it all.
 */
#ifndef SUPERVISOR_ENGINE_ENGINE_STATE_H
#define SUPERVISOR_ENGINE_ENGINE_STATE_H

#include "supervisor/engine/admission.h"
#include "supervisor/engine/attempt.h"
#include "supervisor/engine/engine.h"
#include "supervisor/engine/groups.h"
#include "supervisor/memory/pressure.h"
#include "supervisor/memory/trace_report.h"
#include "supervisor/memory/watch.h"

struct engine_variants;

struct engine_slot {
    struct engine_line *line;
    struct engine_variants *variants; /* of the same pair, this one among them; NULL: it is none */
    struct engine_slot *previous, *next; /* of the line */
    const struct task *task;
    const struct preflight_task *planned;
    void *context;
    struct engine_result *result; /* of the last attempt; NULL: none yet */
    uint64_t order;               /* of being added: ties go by it */
    enum task_state state;
    enum task_event recorded; /* what to do once its records are on disk */
    struct attempt *attempt;  /* while it runs */
    struct forecast forecast; /* as the model sees it now */
    uint64_t reserved_bytes;  /* while it waits or runs */
    uint64_t promised_bytes;  /* reserved as it was started; 0: nothing was known */
    uint64_t floor_bytes;     /* it was seen to need more than its forecast; 0: it was not */
    char *refusal;            /* it can never fit, as was learned on the way; owned */
    char *words;              /* to say once its records are on disk; owned */
    int attempts;             /* in all runs */
    int tries;                /* in this run; what memory pressure stopped is none */
    int ooms;                 /* of the tries: ran out of memory */
    int stops;                /* by memory pressure, in this run */
    int started;              /* attempts in this run */
    bool is_alone;            /* its last chance: with all of the budget */
    bool is_cancelled;        /* by a user, for good */
};

struct engine_line {
    struct engine *engine;
    struct engine_line *previous, *next;
    struct engine_line_settings settings;
    struct attempt_line attempt;
    struct engine_slot *first, *last; /* its tasks, in order */
    size_t n_waiting, n_running, n_recording;
    uint32_t rank;
    bool is_held;
    bool is_full;          /* its own share of memory is used up */
    uint64_t space_needed; /* a task failed for lack of it: wait until it is there; 0: no */
};

/* Forecast time: of what has none the usual one stands in. */
struct engine_work {
    double known_ms;
    size_t n_known, n_unknown;
};

struct engine {
    struct engine_settings settings;
    struct engine_handlers handlers;
    uv_timer_t tick; /* while there is anything to do */
    struct attempt_host host;
    struct groups groups;
    struct engine_line *lines; /* in order of their opening */
    struct engine_variants *variants;
    uint64_t n_added;
    size_t n_slots;                      /* in all lines */
    struct admission_candidate *waiting; /* sorted; see engine_queue.c */
    size_t first_waiting, n_waiting, capacity;
    bool is_stale;         /* the candidates are: tasks came, lines were held */
    int passed_over;       /* how often the first in line was */
    int overtaken;         /* by those of another rank */
    uint64_t budget_bytes; /* as the machine is now; at most the limits' */
    uint64_t available_bytes;
    int64_t budget_read_ms;
    struct engine_slot **running;
    size_t n_running, running_capacity;
    size_t n_recording;
    struct engine_work work_done;
    int64_t started_ms;
    struct trace_report *memory_report; /* NULL: not asked for */
    char *memory_words;
    char batch_id[32];
    int level;         /* of engine_stop */
    char who[64];      /* asked for it */
    bool disk_full;    /* says the ledger */
    bool ledger_lost;  /* the same */
    bool memory_short; /* others have it */
    struct failure fault;
    struct watch *watch;
    struct pressure_marks marks;
    struct pressure_state pressure;
    struct pressure_task *pressed; /* as many as can run */
    struct engine_shortage shortage;
    char shortage_words[64]; /* as attempt_terminate wants them */
    bool closed;             /* handles are closing */
    char notice[FAILURE_TEXT_BYTES];
};

static inline struct engine *engine_of(const struct engine_slot *slot) {
    return slot->line->engine;
}

/* engine.c */
void engine_fail(struct engine *engine, const char *what); /* a fault of registrar itself */
void engine_wake(struct engine *engine);                   /* there is something to do */

/* engine_line.c: takes the slot out and hands its task back; the slot is gone. */
void engine_line_return(struct engine_slot *slot, bool is_finished);
/* Whether what waits in it may start. */
bool engine_line_is_open(const struct engine_line *line);
/* All tasks of all lines. */
void engine_line_step_all(struct engine *engine, enum task_event event);
void engine_line_return_all(struct engine *engine);
uint64_t engine_line_budget(const struct engine_line *line);
/* What waits for room on the disk waits no longer when it is there. */
void engine_line_look_for_space(struct engine *engine);

/* engine_queue.c */
MUST_USE int engine_queue_grow(struct engine *engine); /* -ENOMEM */
void engine_queue_add(struct engine_slot *slot);
/* The one to start now, taken out of the line; NULL: none. */
struct engine_slot *engine_queue_take(struct engine *engine);
/* An attempt is over: the model learns, and what waits or runs is forecast anew if that matters. */
void engine_queue_learn(struct engine_slot *slot, const struct attempt_result *result);
uint64_t engine_queue_reserved(const struct engine *engine);    /* by all that run */
enum admission_wait engine_queue_why(struct engine_slot *slot); /* of one that waits */

/* engine_variants.c */
MUST_USE int engine_variants_join(struct engine_slot *slot); /* -ENOMEM */
/* The task is handed back; is_over: it will not be done again. */
void engine_variants_leave(struct engine_slot *slot, bool is_over);
void engine_variants_run(struct engine_slot *slot, bool is_running);
/* Parameters of those that come after it and want the same aligned picture: what the task is
 * started with. NULL: there are none. */
json_t *engine_variants_params(const struct engine_slot *slot);
/* Another variant of its pair runs, and may be making what this one needs too. */
bool engine_variants_are_busy(const struct engine_slot *slot);

/* engine_task.c: the slot may be gone afterwards. */
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

/* engine_look.c */
void engine_look_add_work(const struct engine_slot *slot, struct engine_work *work);

/* engine_tell.c */
/* The event's line, to be told once the record is on disk. Out of memory: it is not told. */
void engine_tell_prepare(struct engine_slot *slot, const struct attempt_result *result,
                         const char *more);
void engine_tell_now(struct engine_slot *slot);
__attribute__((format(printf, 3, 4))) void
engine_tell(const struct engine *engine, const struct engine_slot *slot, const char *format, ...);
/* A notice stays until it is replaced or ends, and is an event too. */
void engine_tell_notice(struct engine *engine, const char *text);
void engine_tell_end_notice(struct engine *engine, const char *text);

#endif
