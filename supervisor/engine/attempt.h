/* One attempt of a task: its process, its clocks, and the facts for its verdict.
 *
 * It tells the engine what happens (a limit, a breach, the end) as events of task_state.h and does
 * what the engine then wants. Progress is a report that says something new, or, for a command,
 * growth of its log.
 */
#ifndef SUPERVISOR_ENGINE_ATTEMPT_H
#define SUPERVISOR_ENGINE_ATTEMPT_H

#include "common/clock.h"
#include "supervisor/engine/launch.h"
#include "supervisor/engine/task_state.h"
#include "supervisor/engine/verdict.h"
#include "supervisor/memory/trace.h"

enum { ATTEMPT_STAGE_BYTES = 65 };

/* What all attempts of a run share. */
struct attempt_host {
    struct child_host children; /* owns */
    struct launch_base launch;  /* owns */
    struct trace *trace;        /* borrows */
    int64_t grace_ms;
    bool oom_known;
    uint64_t oom_kills; /* as of oom_read_ms */
    int64_t oom_read_ms;
};

/* What all attempts of a batch share. */
struct attempt_line {
    struct launch_line launch;
    int64_t timeout_ms, stall_timeout_ms;
};

struct attempt;

typedef void (*attempt_event_cb)(void *context, enum task_event event);

struct attempt_request {
    const struct task *task;
    int number;
    json_t *variants;            /* as launch_prepare wants them */
    uint64_t memory_limit_bytes; /* held to it where the kernel can do that; 0: to none */
    attempt_event_cb event;
    void *context;
};

/* One that could not start is an attempt too: attempt_pid is 0, no event comes, and it is to be
 * judged at once. NULL when out of memory. Borrows host, line, and the request's task and context.
 */
struct attempt *attempt_start(struct attempt_host *host, const struct attempt_line *line,
                              const struct attempt_request *request);
/* Lets go of it; what still runs is not waited for. NULL is fine. */
void attempt_close(struct attempt *attempt);

/* SIGTERM and the grace period; SIGKILL to everything. The first reason stays. why: of USER the
 * user, of MEMORY the shortage. */
void attempt_terminate(struct attempt *attempt, enum verdict_stop stop, const char *why);
void attempt_kill(struct attempt *attempt, enum verdict_stop stop, const char *why);
/* Why TASK_EVENT_LIMIT was sent. */
enum verdict_stop attempt_limit(const struct attempt *attempt);

pid_t attempt_pid(const struct attempt *attempt);
uint64_t attempt_start_ticks(const struct attempt *attempt);
int attempt_number(const struct attempt *attempt);
const char *attempt_token(const struct attempt *attempt);

/* For the live view. */
struct attempt_view {
    const char *stage; /* borrowed */
    double fraction;   /* negative: unknown */
    uint64_t memory_bytes;
    int64_t elapsed_ms;
};
void attempt_look(const struct attempt *attempt, struct attempt_view *ret);

/* The attempt is over. */
struct attempt_result {
    struct verdict_judgement judgement; /* owns its evidence */
    char started[CLOCK_TEXT_BYTES];
    int64_t wall_ms, cpu_ms;
    uint64_t peak_rss_bytes;
    uint64_t largest_rss_bytes; /* of its largest process alone */
    uint64_t min_rss_bytes;     /* the least resident size seen while it ran; 0: too short to see */
    char stage[ATTEMPT_STAGE_BYTES];
    bool is_shared; /* took results of another variant: its time and memory are no whole's */
    int start_code; /* negative errno: why it could not start; 0: it did */
    enum verdict_stop stop;   /* why registrar ended it */
    uint64_t limit_bytes;     /* that the kernel held it to; 0: to none */
    json_t *inputs, *outputs; /* arrays, owned; NULL when out of memory */
    json_t *peak; /* what it told of its memory, as the ledger wants it; owned; NULL: nothing */
};
void attempt_judge(const struct attempt *attempt, struct attempt_result *ret);
void attempt_result_free(struct attempt_result *result);

#endif
