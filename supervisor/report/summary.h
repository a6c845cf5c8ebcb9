/* The end of a run: what worked, what did not and why, and what to type next.
 *
 * For people: a table of the tasks, then the problems by kind, each with its evidence in words and
 * the next command to try, then one closing line. When many tasks are ok they become one line, so
 * that they never bury the problems. For programs: summary.json (contract), which --json prints.
 */
#ifndef SUPERVISOR_REPORT_SUMMARY_H
#define SUPERVISOR_REPORT_SUMMARY_H

#include "supervisor/report/task_result.h"

struct summary {
    const struct task_result *tasks; /* in the batch's order */
    size_t n_tasks;
    int64_t wall_ms; /* of this run */
    bool interrupted;
    const char *shortage; /* of memory, while tasks ran, in sentences; NULL: none */
    const char *groups;   /* which control groups held the tasks, or why none did; NULL: unknown */
    const char *out;      /* the output folder as the user wrote it */
    const char *command;  /* this run's command line, quoted (command_line.h) */
};
/* Everything is borrowed. */

/* Prints for people, in lines of at most width columns where the text allows. */
MUST_USE int summary_print(const struct summary *summary, FILE *stream, size_t width, bool colour,
                           struct failure *failure);

/* The contract's summary.json, on a stream (--json). A task without a verdict yet is "waiting". */
MUST_USE int summary_print_json(const struct summary *summary, FILE *stream,
                                struct failure *failure);

/* A task's line in it. Caller owns; NULL when out of memory. */
json_t *summary_task_to_json(const struct task_result *task);
/* How it is written: in this order, milliseconds without idle digits. */
enum { SUMMARY_JSON_FLAGS = JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY };

/* Writes the same text as path, whole or not at all. */
MUST_USE int summary_write(const struct summary *summary, const char *path,
                           struct failure *failure);

#endif
