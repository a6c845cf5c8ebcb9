/* What to do about a task that is not ok: the kinds of problems, their evidence in words, and the
 * next command to try. Pure functions of the results; the summary prints them. */
#ifndef SUPERVISOR_REPORT_ADVICE_H
#define SUPERVISOR_REPORT_ADVICE_H

#include "supervisor/report/task_result.h"

/* In the order in which the summary tells them: what needs a person most comes last. */
enum advice_kind {
    ADVICE_CANCELLED,
    ADVICE_LOST,
    ADVICE_STALLED,
    ADVICE_TIMEOUT,
    ADVICE_OOM_LIMIT,
    ADVICE_OOM, /* the machine ran out: told by the kernel, or likely */
    ADVICE_KILLED,
    ADVICE_CRASHED,
    ADVICE_DOUBTFUL,
    ADVICE_FAILED,
    ADVICE_KIND_COUNT,
    ADVICE_NONE = ADVICE_KIND_COUNT /* ok, or not finished: nothing to advise */
};

enum advice_kind advice_kind(const struct task_result *task);

/* "failed", "killed, likely for memory": what follows a number. */
const char *advice_title(enum advice_kind kind);

/* The reason with what else the evidence tells, in one or more sentences. Caller owns; NULL when
 * out of memory. */
char *advice_evidence(const struct task_result *task);

/* What the advice of one kind needs to know of all its tasks. */
struct advice_group {
    size_t count;
    const struct task_result *first; /* borrowed */
    int64_t longest_ms;              /* the limit that was exceeded, or how long it ran */
    uint64_t largest_bytes;
};

void advice_group_add(struct advice_group *group, const struct task_result *task);

struct advice {
    const char *words; /* static */
    char *command;     /* to copy; NULL: the words are all. Owned */
};

/* command: the run's own command line, quoted. -ENOMEM. */
MUST_USE int advice_make(enum advice_kind kind, const struct advice_group *group,
                         const char *command, struct advice *ret);
/* The run's command with one option more (" --name value"; "": none) in place of an earlier one of
 * that name, and without --redo. Caller owns; NULL when out of memory. */
char *advice_command(const char *command, const char *option);
/* Twice that, as a round value for a command line or a manifest: "768M", "6G". Returns text. */
const char *advice_twice_size(uint64_t bytes, char *text); /* UNITS_TEXT_BYTES */
void advice_free(struct advice *advice);

#endif
