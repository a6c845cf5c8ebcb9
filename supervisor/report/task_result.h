/* What the summary tells of one task: the last word of the ledger on it, from this run or before.
 */
#ifndef SUPERVISOR_REPORT_TASK_RESULT_H
#define SUPERVISOR_REPORT_TASK_RESULT_H

#include "supervisor/engine/verdict.h"

struct task_result {
    const char *id;       /* borrowed */
    bool finished;        /* false: interrupted before it had a verdict */
    bool resumed;         /* true: stood finished in the ledger before this run */
    enum verdict verdict; /* when finished */
    int attempts;         /* in all runs */
    int tries;            /* of them, in this run */
    int64_t wall_ms;      /* of the last attempt */
    uint64_t peak_rss_bytes;
    const char *reason;     /* a sentence; "" when there is nothing to say. Borrowed */
    const json_t *evidence; /* the raw facts of the last attempt; NULL: none. Borrowed */
    const char *log_path;   /* NULL: there is none. Borrowed */
};

#endif
