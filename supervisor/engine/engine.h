/* Runs tasks: starts what may start, ends what must end, and tells only what is on disk.
 *
 * Work comes in lines, one per batch; what the tasks of a batch share is the line's, and tasks are
 * added to it one by one, at any time. All lines share one budget of memory and one number of jobs.
 * One libuv loop, one thread: the loop and the ledger are the owner's, who is told through the
 * handlers. `registrar run` (foreground.h) is one line with all tasks added at once.
 *
 * After engine_add and all that lets tasks start, engine_go_on; it is not called from handlers.
 */
#ifndef SUPERVISOR_ENGINE_ENGINE_H
#define SUPERVISOR_ENGINE_ENGINE_H

#include "supervisor/batch/task.h"
#include "supervisor/engine/verdict.h"
#include "supervisor/ledger/ledger_commit.h"
#include "supervisor/memory/consumers.h"
#include "supervisor/memory/preflight.h"

#include <uv.h>

struct child_host;
struct engine;
struct engine_line;
struct credentials;

/* What became of one task. */
struct engine_result {
    bool finished;        /* false: it was not brought to its end, a later run may do it */
    bool cancelled;       /* and nobody wants it to: engine_cancel, engine_line_cancel */
    enum verdict verdict; /* of its last attempt; finished: the final one */
    int attempts;         /* in all runs */
    int tries;            /* of them, in this one; 0: nothing else below is set */
    int64_t wall_ms;      /* of the last attempt */
    uint64_t peak_rss_bytes;
    uint64_t seq;     /* finished: of its task_end in the ledger */
    char *reason;     /* owned; NULL: nothing to say */
    json_t *evidence; /* owned; NULL for ok */
};

/* All but refill and result may be NULL. None of them calls the engine; but refill adds, and
 * started may rank lines. */
struct engine_handlers {
    void *context; /* borrowed */
    /* Every task comes back once: its verdict is on disk, or it is left. The handler may steal from
     * result, and free the task. */
    void (*result)(void *context, struct engine_line *line, void *task_context,
                   struct engine_result *result);
    /* An attempt starts, with so much reserved; it is over. */
    void (*started)(void *context, struct engine_line *line, void *task_context,
                    uint64_t reserved_bytes);
    void (*over)(void *context, struct engine_line *line, void *task_context,
                 uint64_t reserved_bytes, int64_t wall_ms);
    /* Something was started or came back: there may be room in a line. Whether tasks were added. */
    bool (*refill)(void *context);
    /* Nothing waits or runs; so many results are still on their way to disk. Called again with each
     * that arrives, 0 last, and then as often as engine_go_on is. */
    void (*quiet)(void *context, size_t n_recording);
    /* An event in one line of text; line and task are NULL where it is about none. */
    void (*event)(void *context, const struct engine_line *line, const struct task *task,
                  const char *text);
};

/* What there is for all lines. */
struct engine_limits {
    int jobs;                 /* at once */
    uint64_t memory_bytes;    /* that reservations may add up to */
    uint64_t available_bytes; /* of the machine, when that was decided */
    bool is_forced;           /* whatever the machine has left by then */
};

struct engine_settings {
    uv_loop_t *loop;              /* borrowed, as all pointers here */
    struct ledger_store *store;   /* names our processes */
    struct ledger_commit *commit; /* its state goes to engine_ledger_state */
    struct model *model;          /* learns from what ends */
    const char *worker;           /* NULL: there is none, and only commands run */
    struct engine_limits limits;
    int64_t sample_interval_ms;
    bool is_unconfined;  /* workers do without their sandbox */
    size_t memory_trace; /* --memory-trace: of so many tasks; 0: not asked for */
};

/* The handles are closed by engine_close; the memory is freed by engine_free when the loop has had
 * its last turn. */
MUST_USE int engine_open(const struct engine_settings *settings,
                         const struct engine_handlers *handlers, struct engine **ret,
                         struct failure *failure);
/* Hands back what is left, and lets go of what runs. The owner closes the ledger_commit right
 * after: what is on its way to disk is told to nobody any more. */
void engine_close(struct engine *engine);
void engine_free(struct engine *engine); /* NULL is fine. Ends what tasks left behind */

/* Starts what may start. */
void engine_go_on(struct engine *engine);
void engine_set_limits(struct engine *engine, const struct engine_limits *limits);
/* Whether workers that are started from now on have their sandbox. */
void engine_set_confined(struct engine *engine, bool is_confined);
/* What the ledger said of itself (ledger_commit_state_cb). While it is full nothing starts; when it
 * is lost all is stopped. */
void engine_ledger_state(struct engine *engine, bool full, bool fatal, const char *text);
/* Level 1: workers stop at their checkpoints; 2: at once. Nothing is started any more, and all
 * comes back, unfinished. who: "ada (Ctrl-C)". */
void engine_stop(struct engine *engine, int level, const char *who);
/* Tells of it and keeps it as the notice. */
void engine_notify(struct engine *engine, const char *text);
/* That starts the tasks: whoever else starts children uses it too. Borrowed. */
struct child_host *engine_host(struct engine *engine);
/* A fault of registrar itself has ended it; code 0: none. Borrowed. */
const struct failure *engine_fault(const struct engine *engine);
/* Appends to the ledger; takes fields, NULL (out of memory) is a fault. */
void engine_append(struct engine *engine, const char *event, json_t *fields,
                   ledger_commit_done_cb done, void *context);
/* The records of this run as a whole. */
void engine_record_start(struct engine *engine, const char *command, const char *out,
                         size_t n_tasks, int threads);
void engine_record_end(struct engine *engine, ledger_commit_done_cb done, void *context);

/* ---- lines ---- */

struct engine_line_settings {
    const char *out;                       /* absolute; strings are borrowed */
    const char *batch, *user;              /* for the ledger; NULL: it does not tell */
    const struct credentials *credentials; /* borrowed; NULL: ourselves */
    int64_t timeout_ms, stall_timeout_ms;
    int retries;
    int threads;           /* of a pair's worker */
    uint64_t cap_bytes;    /* of the same */
    int jobs;              /* at once; 0: the engine's */
    uint64_t memory_bytes; /* that its reservations may add up to; 0: the engine's */
    bool is_forced, is_redo;
    void *context;
};

/* NULL: out of memory. */
struct engine_line *engine_line_open(struct engine *engine,
                                     const struct engine_line_settings *settings);
/* Other timeouts, retries, threads and shares; for what starts from now on, but the stall timeout
 * is that of what runs too. Everything else stays as it was opened. */
void engine_line_change(struct engine_line *line, const struct engine_line_settings *settings);
/* When all of its tasks came back. */
void engine_line_close(struct engine_line *line);
void *engine_line_context(const struct engine_line *line);
/* While held nothing of it is started; what runs goes on. */
void engine_line_hold(struct engine_line *line, bool is_held);
/* Whether anything of it might start now: it is not held, and has not used up its share. */
bool engine_line_may_start(const struct engine_line *line);
/* Lower ranks come first. */
void engine_line_rank(struct engine_line *line, uint32_t rank);
size_t engine_line_waiting(const struct engine_line *line);
size_t engine_line_running(const struct engine_line *line); /* or on its way to disk */

/* task and planned (what it needs) are borrowed until the result. attempts: of earlier runs.
 * -ENOMEM: it was not added. */
MUST_USE int engine_add(struct engine_line *line, const struct task *task,
                        const struct preflight_task *planned, int attempts, void *task_context);
/* For good: what runs stops at a checkpoint and is finished as cancelled; what waits comes back.
 * False: the task is not here. */
bool engine_cancel(struct engine_line *line, const char *id, const char *who);
void engine_line_cancel(struct engine_line *line, const char *who);

/* ---- to be told ---- */

/* One that runs. */
struct engine_view {
    const struct engine_line *line;
    const struct task *task;
    void *context;     /* as it was added */
    const char *stage; /* borrowed until the engine goes on */
    double fraction;   /* negative: unknown */
    uint64_t memory_bytes, reserved_bytes;
    int64_t elapsed_ms;
    int attempt;
    bool is_stopping;
};
/* Returns how many there are; fills at most `most`. */
size_t engine_look(const struct engine *engine, struct engine_view *ret, size_t most);

/* Memory ran short while tasks ran. */
struct engine_shortage {
    int n_holds, n_stops;
    uint64_t least_bytes;              /* that were available then */
    char others[CONSUMERS_TEXT_BYTES]; /* who had it, when it last began */
};

struct engine_totals {
    size_t n_running;   /* processes, not yet over */
    size_t n_recording; /* on their way to disk */
    uint64_t reserved_bytes, budget_bytes;
    double work, work_done; /* forecast time of all tasks so far, of those that ended */
    const char *notice;     /* why nothing new starts; NULL: nothing to say. Borrowed */
};
void engine_tell_totals(const struct engine *engine, struct engine_totals *ret);
const struct engine_shortage *engine_tell_shortage(const struct engine *engine);
/* Which control groups hold here, or why none do, in words. */
const char *engine_tell_groups(const struct engine *engine);
/* The closing words of --memory-trace, once closed. Caller owns; NULL: not asked for. */
char *engine_take_memory_words(struct engine *engine);

enum { ENGINE_WHY_BYTES = FAILURE_TEXT_BYTES };
/* Why the task does not run yet, as a sentence; false: it does not wait here. */
bool engine_why(const struct engine_line *line, const char *id, char text[ENGINE_WHY_BYTES]);

#endif
