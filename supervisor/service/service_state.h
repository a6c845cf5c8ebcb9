/* What the service's files share: its state, and the doors between them.
 *
 * service.c opens and closes; service_window.c decides which tasks the engine sees, in which order
 * and when; service_task.c takes one task there and back; service_end.c deals with the end of a
 * batch; service_tell.c tells of it all.
 */
#ifndef SUPERVISOR_SERVICE_SERVICE_STATE_H
#define SUPERVISOR_SERVICE_SERVICE_STATE_H

#include "common/clock.h"
#include "supervisor/memory/machine.h"
#include "supervisor/service/as_user.h"
#include "supervisor/service/hooks.h"
#include "supervisor/service/service.h"

/* A batch that the engine knows: its queue_batch's engine_line. */
struct service_batch {
    struct service *service;
    struct service_batch *next;
    struct queue_batch *batch;
    struct engine_line *line;
    struct credentials *credentials; /* owned; NULL: ourselves */
    bool is_in_ram;                  /* its output folder is */
};

/* A task in the engine's hands. */
struct service_task {
    struct service_batch *of;
    struct queue_taken taken;
    struct preflight_task planned;
    bool is_waiting; /* it counts as taken */
};

/* A batch whose end is being dealt with. */
struct service_end;

struct service {
    struct service_settings settings;
    struct queue *queue;
    struct model *model;
    struct ledger_store *store;
    struct ledger_commit *commit;
    struct engine *engine;
    struct hooks *hooks;
    char *worker;
    struct window_list quiet;
    struct credentials_memory users;
    struct machine machine; /* as of machine_ms */
    int64_t machine_ms;
    struct engine_limits limits; /* as the engine has them */
    uv_timer_t timer;            /* the next change by the clock */
    uv_idle_t idle;              /* while ends are dealt with */
    uv_timer_t ends_timer;       /* while the first of them waits for the ledger */
    uint64_t ends_pause_ms;
    struct service_batch *batches;
    struct service_end *ends;
    size_t n_taken;       /* in the engine, not yet started */
    uint64_t taken_bytes; /* of their lines */
    bool is_dirty;        /* windows and ranks are to be looked at */
    bool is_moved;        /* and what holds batches too: the clock or a user moved something */
    int64_t next_ms;      /* when the clock will; 0: never */
    bool is_started, is_ending, is_closed;
    bool disk_full;
    uint64_t compacted_bytes; /* the ledger's size when that was last tried */
    int level;                /* of service_stop */
    char *group;              /* of a run that did not come to its end; while opening */
    int64_t last_record_ms;
    uint64_t last_safe; /* seq, at the last look of the watchdog */
    struct failure end;
    struct failure told; /* why a batch does not start; told once */
    service_event_cb event;
    void *event_context;
};

/* service.c: goes on with the end, if that is what is waited for. */
void service_quiet(struct service *service);
/* service.c: the ledger is made smaller, if it is time. */
void service_compact(struct service *service);

/* service_window.c */
bool service_window_refill(void *context); /* the engine's handler */
void service_window_rank(struct service *service);
void service_window_set_limits(struct service *service);
void service_window_close(struct service *service);
/* The settings have changed: of the batches that are open, too. */
void service_window_reconfigure(struct service *service);
/* What one task may ask for. */
uint64_t service_window_max_memory(const struct service *service);
/* Lets go of a batch whose tasks have all ended. */
void service_window_drop(struct service *service, struct queue_batch *batch);

/* service_task.c: the engine's handlers */
void service_task_started(void *context, struct engine_line *line, void *task_context,
                          uint64_t reserved_bytes);
void service_task_over(void *context, struct engine_line *line, void *task_context,
                       uint64_t reserved_bytes, int64_t wall_ms);
void service_task_result(void *context, struct engine_line *line, void *task_context,
                         struct engine_result *result);
/* Takes the batch's next task to the engine; ret_is_added: false when it stood done already.
 * -ENOENT: none waits. */
MUST_USE int service_task_take(struct service_batch *of, bool *ret_is_added,
                               struct failure *failure);
/* A queue_judge_cb. */
int service_task_judge(void *context, const char *user, const struct options *options,
                       const struct task *task, const struct forecast_task *need,
                       struct failure *failure);

/* service_end.c */
void service_end_begin(struct service *service, struct queue_batch *batch);
/* Those that a dead daemon did not come to deal with. */
void service_end_resume(struct service *service);
void service_end_close(struct service *service);

/* service_hooks.c */
struct service_hooks_input {
    json_t *tasks, *counts; /* borrowed */
    double wall_s;
    uint32_t n_left_out; /* of the tasks */
};
MUST_USE int service_hooks_open(struct service *service, struct failure *failure);
void service_hooks_task(struct service *service, const struct service_task *task,
                        const struct engine_result *result);
bool service_hooks_want(const struct service *service, const struct queue_batch *batch);
void service_hooks_batch(struct service *service, const struct queue_batch *batch,
                         struct credentials *credentials, const struct service_hooks_input *told);

/* service_tell.c */
void service_tell_task(struct service *service, const struct service_task *task,
                       const struct engine_result *result);
void service_tell_start(struct service *service, const struct service_task *task);
void service_tell_batch(struct service *service, const struct queue_batch *batch);
void service_tell_text(void *context, const struct engine_line *line, const struct task *task,
                       const char *text); /* the engine's handler */

#endif
