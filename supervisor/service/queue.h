/* The service's queue: batches of tasks, of all users, that survive whatever happens to the
 * machine.
 *
 * On disk, below the state directory:
 *
 *     batches/NAME.jsonl   the batch in its first line, then one task a line, then a line with the
 *                          checksum of all before it; written once, never changed (queue_file.h)
 *     ledger.jsonl         everything that happened since: records `batch` with "state" submit,
 *                          again, cancel, retry, pause, resume, priority, end, forget and "by" (who
 *                          did it), and the engine's attempt_start, attempt_end, task_end, each
 * with "batch" and "user" beside "task"
 *
 * Both together are the queue; what stands in memory can be made anew from them (queue_replay). In
 * memory a task takes 48 bytes: where its line stands, what became of it, and the seq of the record
 * that says so; texts are read from the files when somebody asks. A million tasks fit.
 *
 * Time is passed in: `now` is wall-clock time in ms since 1970, everywhere. One thread, the loop's.
 *
 * Rights are decided here (rights_policy.h): every operation takes the caller, as the kernel named
 * him. The queue never touches a user's files.
 *
 * Durability. An operation changes memory at once and appends its record; `done` is called when
 * that is on disk, never from within the call: answer the client then. Where nothing changed no
 * record is made and done is not called (the answer's n_changed is 0). Operations are refused with
 * a sentence for the client: -EPERM (not his), -ENOENT (no such batch or task), -EEXIST (the name
 * or the task's folder is taken), -EINVAL (malformed), -EBUSY, -ENOSPC.
 *
 * A task's life here: waiting -> taken (handed to the engine, not started) -> running -> ended;
 * from taken or running back to waiting when the engine gives it back; from ended back to waiting
 * by a retry or when the batch is submitted again. After a restart nothing is taken or running.
 */
#ifndef SUPERVISOR_SERVICE_QUEUE_H
#define SUPERVISOR_SERVICE_QUEUE_H

#include "supervisor/batch/task.h"
#include "supervisor/cli/options.h"
#include "supervisor/engine/verdict.h"
#include "supervisor/ledger/ledger_commit.h"
#include "supervisor/ledger/ledger_compacting.h"
#include "supervisor/memory/forecast.h"
#include "supervisor/service/rights_policy.h"
#include "supervisor/service/window.h"

enum {
    QUEUE_MAX_TASKS = 4000000,            /* of one batch */
    QUEUE_MAX_BATCHES = 10000,            /* that are not forgotten */
    QUEUE_MAX_USER_BATCHES = 2000,        /* of them one user's, unless he is an administrator */
    QUEUE_MAX_NAME_BYTES = 100,           /* of a batch */
    QUEUE_MAX_LINE_BYTES = 1 << 20,       /* of a task, with its newline */
    QUEUE_MAX_USER_TASKS = 8000000,       /* of one user, as above */
    QUEUE_MAX_UNFINISHED_BYTES = 1 << 30, /* of the batches that one user is sending */
    QUEUE_WHY_BYTES = 256,
    QUEUE_LEAST_PRIORITY = -100,
    QUEUE_MOST_PRIORITY = 100,
};

struct queue;
struct queue_task; /* private */

enum queue_state { QUEUE_WAITING, QUEUE_TAKEN, QUEUE_RUNNING, QUEUE_ENDED, QUEUE_STATE_COUNT };

/* A batch, to be looked at. Changed by the functions below alone; never moves while it is there. */
struct queue_batch {
    char *name; /* unique in the queue, fit for a file's name */
    char *user; /* who submitted it, as the passwd database calls him */
    uid_t uid;
    gid_t gid;
    char *out;              /* absolute */
    char *command;          /* his command line, quoted; "" when he told none */
    char *on_finish;        /* a command for the batch's end; NULL: none */
    struct options options; /* what the engine needs to know: queue_options.h */
    int64_t submitted_ms;
    int64_t not_before_ms;  /* 0: at once */
    int64_t ended_ms;       /* when the last of its tasks ended; 0: it has not */
    int64_t first_start_ms; /* when the first of its tasks was started; 0: none was */
    int priority;           /* among the same user's batches; more is earlier */
    uint64_t order;         /* of submission: more is later; never used twice */
    bool is_paused;
    char *paused_by;     /* user; NULL unless is_paused */
    bool is_closed;      /* its end is recorded: summary written, hooks run */
    char *damage;        /* why its tasks cannot be read any more, a sentence; NULL: they can */
    char *obstacle;      /* why it could not be begun, a sentence; NULL: nothing was in its way */
    int64_t obstacle_ms; /* when that is to be looked at again */
    uint32_t n_tasks;
    uint32_t n_state[QUEUE_STATE_COUNT];
    uint32_t n_verdict[VERDICT_COUNT]; /* of the ended */
    uint64_t seq;                      /* of the last record that changed it: new seq, new state */
    void *engine_line;                 /* the service's; the queue leaves it alone */

    struct queue_task *tasks; /* n_tasks; private, as all below */
    uint32_t capacity;        /* of tasks */
    uint32_t *index;          /* open addressing over the ids' hashes: position + 1, or 0 */
    uint32_t index_mask;
    uint32_t first_waiting; /* none waits before it */
    uint32_t n_pins;        /* submits that are compared with it: it is not forgotten */
    uint64_t hash_seed;
    int fd; /* of the batch file; -1: damaged */
};

/* One task, to be looked at. */
struct queue_task_view {
    enum queue_state state;
    enum verdict verdict; /* of the last end; when state is QUEUE_ENDED */
    int attempts;         /* in all */
    int64_t wall_ms;      /* of the last attempt */
    uint64_t peak_rss_bytes;
    uint64_t seq; /* of the ledger's record that says how it ended; 0: there is none */
};

/* ---- opening: open, replay every record of the ledger, then attach ---- */

/* folder: the state directory; "batches" is made below it (0700). */
MUST_USE int queue_open(const char *folder, struct queue **ret, struct failure *failure);
/* Takes one record (a ledger_store_replay_cb; context is the struct queue *). Records of things
 * that the queue does not know (a forgotten batch, a foreign id) are passed over. A batch file that
 * is missing or damaged makes that batch's `damage` and nothing else. */
int queue_replay(void *context, const json_t *record, struct failure *failure);
/* attempt_start records without an end, in order: what ran when the machine or the daemon died
 * (leftovers_settle ends them as `lost`). Borrowed; valid until queue_attach. */
const json_t *queue_open_attempts(const struct queue *queue);
/* After the ledger was replayed and leftovers are settled: everything that was running waits again.
 * From here on records go to commit. Removes what a killed submit left behind; sets aside whole
 * batch files that no record knows (nobody was told of them) and counts them in *ret_set_aside.
 * Borrows store and commit. */
MUST_USE int queue_attach(struct queue *queue, struct ledger_store *store,
                          struct ledger_commit *commit, size_t *ret_set_aside,
                          struct failure *failure);
/* Begins to make the ledger smaller, unless that goes on already (ledger_compacting.h: what is done
 * to the queue meanwhile stays). compacted is told when it is over. */
typedef void (*queue_compacted_cb)(void *context, int r, const struct ledger_compact_result *done,
                                   const struct failure *failure);
MUST_USE int queue_compact(struct queue *queue, uv_loop_t *loop, double least_gain,
                           queue_compacted_cb compacted, void *context, struct failure *failure);
bool queue_is_compacting(const struct queue *queue);
/* Before the commit is closed: gives it up, or waits for its last step. */
void queue_stop_compacting(struct queue *queue);
void queue_close(struct queue *queue); /* NULL is fine; nothing is lost by it */

/* ---- settings, that a reload may change ---- */

/* Borrows; NULL: no quiet hours. */
void queue_set_quiet_hours(struct queue *queue, const struct window_list *quiet);
/* Half-life of the fair share's memory; 0: the usual day. */
void queue_set_half_life(struct queue *queue, int64_t half_life_ms);
/* What is to stay free on the state folder's disk, for results: with less nothing is taken in. */
void queue_set_reserve(struct queue *queue, uint64_t reserve_bytes);
/* Asked of every task as it is submitted: what could never be done is refused then (negative errno
 * and a sentence; the batch is refused with it). need's kind is 0. NULL: everything is taken. */
typedef int (*queue_judge_cb)(void *context, const char *user, const struct options *options,
                              const struct task *task, const struct forecast_task *need,
                              struct failure *failure);
void queue_set_judge(struct queue *queue, queue_judge_cb judge, void *context);
/* While drained nothing new is to start; not kept over a restart. by: user, borrowed; NULL: no
 * longer. */
MUST_USE int queue_set_drained(struct queue *queue, const struct rights_caller *caller,
                               bool drained, struct failure *failure);
bool queue_is_drained(const struct queue *queue);

/* ---- submitting: begin, as many lines as announced, sync (any thread), commit ---- */

struct queue_submit;

/* header: {"out": absolute path, "tasks": n, "command"?: text, "name"?: NAME, "options"?: {...}
 * (queue_options.h), "not_before"?: "20:00", "priority"?: n, "on_finish"?: text}; other members are
 * passed over ("v", "do": the protocol's). Borrowed. Without a name: OUT's last component, with -2,
 * -3, ... if that is taken. The name is reserved until commit or abort. */
MUST_USE int queue_submit_begin(struct queue *queue, const struct rights_caller *caller,
                                const json_t *header, int64_t now, struct queue_submit **ret,
                                struct failure *failure);
/* One task as task_json_make writes it ("id" first), without the newline. After a refusal only
 * abort is allowed. The sentence names the task's number. */
MUST_USE int queue_submit_line(struct queue_submit *submit, const char *bytes, size_t length,
                               struct failure *failure);
/* After the last line, on the loop: whether there is work for queue_submit_sync. Ask again after
 * it: other batches may have come meanwhile. */
bool queue_submit_prepare(struct queue_submit *submit);
/* Makes what was written safe on disk and compares it with what is there already; any thread may
 * call it while the loop leaves this submit alone. Negative: the disk failed. commit does both by
 * itself, but then the loop waits for them. */
MUST_USE int queue_submit_sync(struct queue_submit *submit);

struct queue_answer {
    const char *name; /* of the batch that has the tasks; borrowed from it */
    const struct queue_batch *batch;
    uint32_t n_queued;  /* wait now because of this submit */
    uint32_t n_already; /* waited or ran already, in whatever batch: not queued twice */
    uint32_t n_seen;    /* of the queued: ended earlier; looked at before they would run again */
    bool is_same;       /* the whole batch was there already: no new one was made */
    uint32_t n_changed; /* 0: nothing was to be recorded, done is not called */
};

/* Takes submit, whatever comes of it. -EEXIST: a task with other parameters waits or runs for the
 * same folder. ret is valid until the next call that forgets batches. */
MUST_USE int queue_submit_commit(struct queue_submit *submit, ledger_commit_done_cb done,
                                 void *context, struct queue_answer *ret, struct failure *failure);
void queue_submit_abort(struct queue_submit *submit); /* takes it; NULL is fine */

/* ---- the engine's side ---- */

/* The batches that have waiting or taken tasks, not held back, next in line first: between users by
 * fair share, within a user by priority, then by order of submission. Fills at most `most` places
 * and returns how many there are. Ask anew after results, after operations and now and then: what
 * counts against a user fades. */
size_t queue_order(const struct queue *queue, int64_t now, struct queue_batch **ret, size_t most);

/* Whether tasks of the batch may start now, and when that changes by the clock alone (for a timer;
 * 0: never). */
struct queue_hold {
    bool is_held;
    double memory_share; /* of the budget, while quiet hours admit within one; else 1 */
    int64_t until_ms;    /* when the clock may change the answer; 0: never */
};
struct queue_hold queue_hold(const struct queue *queue, const struct queue_batch *batch,
                             int64_t now);

/* A task for the engine. */
struct queue_taken {
    uint32_t number;  /* the task's place in its batch: names it in all calls below */
    struct task task; /* absolute and checked; owned */
    struct forecast_task
        need;        /* kind is to be filled in: model_kind(model, task->kind_name, ...) */
    int attempts;    /* so far, in all */
    size_t bytes;    /* of its line */
    json_t *earlier; /* task_end of the same task and work with a final verdict, to be looked at
                        with the user's rights before it runs again (resume_open, resume_replay,
                        resume_decide): where inputs
                        and outputs are unchanged call queue_keep. Owned; NULL: none */
};

/* The batch's next waiting task; it is taken then. 0: there is one; -ENOENT: none waits; others:
 * the batch file cannot be read (the batch is then damaged and its waiting tasks stay). */
MUST_USE int queue_next(struct queue *queue, struct queue_batch *batch, struct queue_taken *ret,
                        struct failure *failure);
void queue_taken_free(struct queue_taken *taken);

/* The batch could not be begun, for a reason that is not the queue's: it is held until then, and
 * keeps no other batch's place. */
void queue_set_obstacle(struct queue_batch *batch, const char *why, int64_t until_ms);

/* Whether the caller's batch may go into the engine at all stays the service's business; these only
 * tell the queue what came of a task that was taken. */
void queue_started(struct queue *queue, struct queue_batch *batch, uint32_t number, int64_t now);
/* It waits again: not started, or stopped without a verdict. attempts: so far, in all. One that was
 * cancelled meanwhile has ended instead: true as queue_result's. */
MUST_USE bool queue_give_back(struct queue *queue, struct queue_batch *batch, uint32_t number,
                              int attempts, int64_t now);

struct queue_result {
    enum verdict verdict;
    int attempts; /* in all */
    int64_t wall_ms;
    uint64_t peak_rss_bytes;
    uint64_t seq; /* of its task_end, which is on disk */
    int64_t now;
};
/* True: that was the batch's last task. Write the summary, run the hooks, then queue_end_batch. */
MUST_USE bool queue_result(struct queue *queue, struct queue_batch *batch, uint32_t number,
                           const struct queue_result *result);
/* A taken task stands done already: its `earlier` holds. Appends a task_end (that record's members,
 * "resumed": true); the task has ended at once. True as above. */
MUST_USE bool queue_keep(struct queue *queue, struct queue_batch *batch,
                         const struct queue_taken *taken, int64_t now);
/* An attempt is over, whatever its end: the user has used so much. */
void queue_charge(struct queue *queue, const struct queue_batch *batch, uint64_t reserved_bytes,
                  int64_t wall_ms, int64_t now);
/* The batch's end is dealt with: recorded, and not to be dealt with again after a restart. All its
 * tasks have ended. Batches that ended without this (queue_attach found them so) have ended_ms but
 * not is_closed. */
MUST_USE int queue_end_batch(struct queue *queue, struct queue_batch *batch, int64_t now,
                             ledger_commit_done_cb done, void *context, struct failure *failure);

/* ---- what users do ---- */

/* What came of an operation. running lists tasks that the engine has (taken or running) and that
 * the operation is about: cancel must still be passed on to the engine for each of them; the queue
 * learns of their end by queue_result or queue_give_back. */
struct queue_change {
    uint32_t n_changed; /* tasks (cancel, retry) or batches (the others); 0: nothing to do */
    uint32_t *running;  /* numbers; owned */
    uint32_t n_running;
    bool is_ended; /* nothing of the batch waits or runs any more: as queue_result's true */
};
void queue_change_free(struct queue_change *change);

/* id NULL: the whole batch. Waiting tasks have ended then (verdict cancelled, "cancelled by NAME").
 */
MUST_USE int queue_cancel(struct queue *queue, const struct rights_caller *caller,
                          struct queue_batch *batch, const char *id, int64_t now,
                          ledger_commit_done_cb done, void *context, struct queue_change *ret,
                          struct failure *failure);
/* id NULL: all that ended other than ok. They wait again and are not asked whether they were done.
 */
MUST_USE int queue_retry(struct queue *queue, const struct rights_caller *caller,
                         struct queue_batch *batch, const char *id, ledger_commit_done_cb done,
                         void *context, struct queue_change *ret, struct failure *failure);
/* batch NULL: the whole queue (admins). Running tasks go on. */
MUST_USE int queue_pause(struct queue *queue, const struct rights_caller *caller,
                         struct queue_batch *batch, bool paused, ledger_commit_done_cb done,
                         void *context, struct queue_change *ret, struct failure *failure);
/* Above 0: admins alone. */
MUST_USE int queue_prioritise(struct queue *queue, const struct rights_caller *caller,
                              struct queue_batch *batch, int priority, ledger_commit_done_cb done,
                              void *context, struct queue_change *ret, struct failure *failure);
/* Forgets batches that ended before the time, oldest first, and those beyond the `most` newest
 * ended ones: record and file. Returns how many. Only closed ones. */
size_t queue_forget(struct queue *queue, int64_t before_ms, size_t most);

/* ---- looking ---- */

size_t queue_count(const struct queue *queue);
/* In order of submission; i < queue_count. */
struct queue_batch *queue_at(const struct queue *queue, size_t i);
struct queue_batch *queue_find(const struct queue *queue, const char *name); /* NULL: none */
/* Whether the whole queue is paused, and by whom (NULL: it is not). Borrowed. */
const char *queue_paused_by(const struct queue *queue);

struct queue_task_view queue_look(const struct queue_batch *batch, uint32_t number);
/* The task's place in the batch; -ENOENT. */
MUST_USE int queue_find_task(const struct queue_batch *batch, const char *id, uint32_t *ret);
/* The newest batch that has a task with that id and that the caller may touch; NULL: none. */
struct queue_batch *queue_find_by_task(const struct queue *queue,
                                       const struct rights_caller *caller, const char *id,
                                       uint32_t *ret);
/* The id, from the batch file. Caller owns. */
MUST_USE int queue_task_id(const struct queue_batch *batch, uint32_t number, char **ret,
                           struct failure *failure);
/* The whole task, as queue_next hands it out but without taking it. */
MUST_USE int queue_read_task(const struct queue_batch *batch, uint32_t number,
                             struct queue_taken *ret, struct failure *failure);
/* Why it ended so, a sentence; "" for ok. Read from the ledger. Caller owns; NULL: out of memory.
 */
char *queue_reason(const struct queue *queue, const struct queue_batch *batch, uint32_t number);

/* Tasks [from, from + most) in order, read in blocks: a status of a million tasks, some thousand a
 * turn of the loop. id is borrowed for the call. Nonzero ends the walk and is returned. */
typedef int (*queue_walk_cb)(void *context, uint32_t number, const char *id,
                             const struct queue_task_view *view);
MUST_USE int queue_walk(const struct queue_batch *batch, uint32_t from, uint32_t most,
                        queue_walk_cb callback, void *context, struct failure *failure);

/* Why a waiting task does not run, as far as the queue decides it: paused, not before, quiet hours,
 * how many tasks are ahead of its batch. "" when nothing here holds it: then the engine knows. As a
 * sentence without a full stop. Returns text. */
const char *queue_why(const struct queue *queue, const struct queue_batch *batch, int64_t now,
                      char text[QUEUE_WHY_BYTES]);

#endif
