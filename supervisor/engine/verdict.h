/* How an attempt ended: one pure function of the raw facts (contract: the table of verdicts).
 *
 * The facts are kept beside the verdict in the ledger, so that a person can check the judgement.
 * SIGKILL alone proves nothing: who sent it is told by what registrar itself did and by the
 * kernel's counters, before and after. Those of the attempt's own control group decide where it had
 * one: a kill for want of memory that is not counted there was not the kernel's. Without a group
 * the machine's one counter makes it likely or not, no more.
 *
 * In order: a result with exit 0 stands, even when it came in the grace period after a limit. Then
 * what registrar did decides (it stopped the attempt, so whatever the exit looks like is its own
 * doing). Then the signal, then the reason the worker gave, then the exit status.
 *
 * What the contract leaves open is decided so:
 *   - A command that exits 0 after registrar asked it to stop is not ok: a program that ends
 *     cleanly on SIGTERM looks the same as one that was done.
 *   - Death by a signal that registrar did not send and that is no fault of the program's own
 *     (SIGTERM, SIGINT, SIGXCPU, ...) is "killed", with the signal named. An align worker that
 *     stops at a checkpoint (exit 75) unasked was sent SIGTERM by somebody: "killed" too.
 *   - Breaking the protocol, a result with a nonzero exit, exit 0 without a result, and a program
 *     that cannot be started are "failed" with cause "environment": another try may go better.
 *   - A command's report lines count as progress only; its exit status decides alone.
 *   - A worker that its sandbox stopped is "crashed" with SIGSYS, and the call is named; what the
 *     worker says of it counts only together with that signal.
 *   - A task of which the kernel killed a process for want of memory, and whose leader then exits
 *     with a status that is not 0, died of that too (cgroup v1 kills one process, not the group). A
 *     leader that exits 0 had made up for it, and is ok.
 *   - The limit of a group above the attempt's own is the machine's shortage: "oom-machine".
 */
#ifndef SUPERVISOR_ENGINE_VERDICT_H
#define SUPERVISOR_ENGINE_VERDICT_H

#include "common/failure.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum verdict {
    VERDICT_OK,
    VERDICT_FAILED,
    VERDICT_DOUBTFUL,
    VERDICT_TIMEOUT,
    VERDICT_STALLED,
    VERDICT_OOM_LIMIT,   /* needs a control group per task */
    VERDICT_OOM_MACHINE, /* likewise */
    VERDICT_KILLED,
    VERDICT_CRASHED,
    VERDICT_CANCELLED,
    VERDICT_LOST,
    VERDICT_COUNT
};

/* Why registrar ended an attempt. The first reason stays. */
enum verdict_stop {
    VERDICT_STOP_NONE,
    VERDICT_STOP_TIMEOUT,
    VERDICT_STOP_STALL,
    VERDICT_STOP_USER,
    VERDICT_STOP_BREACH, /* of the protocol */
    VERDICT_STOP_MEMORY, /* it ran short, and this attempt gave way */
    VERDICT_STOP_COUNT
};

enum verdict_result {
    VERDICT_RESULT_NONE,
    VERDICT_RESULT_ALIGNED,
    VERDICT_RESULT_DOUBTFUL,
    VERDICT_RESULT_FAILED,
    VERDICT_RESULT_COUNT
};

/* The counters of an attempt's control group (process/cgroup_leaf.h tells what they mean). */
struct verdict_cgroup {
    const char *level;    /* "v1", "v2"; NULL: it had no group, nothing below counts */
    uint64_t limit_bytes; /* 0: none */
    uint64_t oom_before, oom_after;
    uint64_t oom_kill_before, oom_kill_after;
    uint64_t peak_bytes; /* page cache included; 0: unknown */
};

/* Strings are borrowed; NULL or "" where there is nothing to tell. */
struct verdict_facts {
    bool is_command;
    const char *start_error; /* it could not be started: nothing below counts */
    bool lost;               /* the supervisor died while it ran: nothing below counts */

    int code, status; /* of waitid: CLD_EXITED, CLD_KILLED or CLD_DUMPED; exit status or signal */
    enum verdict_stop stop;
    bool sent_term, sent_kill; /* what registrar sent it */
    int64_t limit_ms;          /* of the timeout or the stall time that was exceeded */
    const char *user;          /* who stopped it */
    const char *shortage;      /* "87 MiB left of 2.0 GiB": what it was stopped for */

    enum verdict_result result;
    const char *result_reason;
    const char *error_cause, *error_reason; /* an error was reported */
    const char *breach;                     /* of the protocol: what it sent */
    const char *stage;                      /* the last that was reported */
    const char *left_behind;                /* processes that could not be ended */
    const char *blocked;                    /* the system call that its sandbox stopped */
    int blocked_number;

    struct verdict_cgroup cgroup;
    const char *cgroup_error; /* why it had none although it should have */
    bool oom_counter_known;   /* the machine's, /proc/vmstat oom_kill: */
    uint64_t oom_kills_before, oom_kills_after;
    uint64_t memory_total_bytes;     /* 0: unknown */
    uint64_t memory_available_bytes; /* just after it ended */
    uint64_t peak_rss_bytes;
};

static inline bool verdict_by_signal(const struct verdict_facts *facts) {
    return facts->code == CLD_KILLED || facts->code == CLD_DUMPED;
}

enum { VERDICT_REASON_BYTES = 1024 };

struct verdict_judgement {
    enum verdict verdict;
    const char *cause; /* of failed: "input" or "environment"; else "". A constant */
    char reason[VERDICT_REASON_BYTES]; /* one sentence; "" for ok */
    json_t *evidence;                  /* owned by the caller; NULL when out of memory */
};

void verdict_judge(const struct verdict_facts *facts, struct verdict_judgement *ret);

/* "ok", "oom-limit", ...: the names of the contract. */
const char *verdict_name(enum verdict verdict);
/* -EINVAL when it is no verdict's name. */
MUST_USE int verdict_parse(const char *name, enum verdict *ret);

#endif
